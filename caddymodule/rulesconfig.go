package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-mfa/caddy-mfa/internal/auth"
)

// ruleAsker asks one configuration: the running one by the admin API, or that of a file.
type ruleAsker struct {
	about string // which one, for people
	ask   func(requests []json.RawMessage) ([]checkView, error)
}

// ruleAsker chooses the configuration: that of --config if it is given, or else the running one, or else, where no Caddy runs, the
// Caddyfile of the working directory.
func (c *client) ruleAsker() (*ruleAsker, error) {
	quiet()
	at, err := c.locate()
	if err != nil {
		return nil, err
	}
	if c.config == "" && at.address != "" {
		a := &ruleAsker{about: "the running configuration, at " + at.address, ask: func(requests []json.RawMessage) ([]checkView, error) {
			return askServer(at.address, requests)
		}}
		if _, err := a.ask(nil); !errors.Is(err, errNoServer) {
			return a, err
		}
	}
	file := c.config
	switch {
	case file != "" && !at.loaded: // --address was given, too
		at.loaded = true
		at.config, _, _, err = caddycmd.LoadConfig(c.config, c.adapter)
	case file == "" && len(at.config) == 0:
		err = &refusedError{"No Caddy answers, and there is no Caddyfile here: name the configuration to ask with --config."}
	case file == "":
		file = "Caddyfile"
	}
	if err != nil {
		return nil, err
	}
	k, err := askFile(at.config)
	if err != nil {
		return nil, err
	}
	k.person = c.person(at)
	return &ruleAsker{about: "the configuration " + file, ask: func(requests []json.RawMessage) ([]checkView, error) {
		var in checkInput
		if err := decodeStrict(checkBody(requests), &in); err != nil {
			return nil, err
		}
		return k.run(c.ctx, in)
	}}, nil
}

// checkBody is the input of rules/check.
func checkBody(requests []json.RawMessage) []byte {
	body := []byte(`{"requests":[`)
	for i, r := range requests {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, r...)
	}
	return append(body, ']', '}')
}

func askServer(address string, requests []json.RawMessage) (out []checkView, err error) {
	answer, err := callServer(address, operationNamed("rules/check"), checkBody(requests))
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		return nil, fmt.Errorf("reading the answer: %w", err)
	}
	if len(out) != len(requests) {
		return nil, errors.New("the answer is not about what was asked")
	}
	return out, nil
}

// askFile makes the apps of a configuration as "caddy validate" does, and starts nothing. It opens no log, and no storage of Caddy's
// either: what provisioning writes, certificate authorities for example, goes to a directory that is removed.
func askFile(config []byte) (*ruleCheck, error) {
	cfg := new(caddy.Config)
	if err := caddy.StrictUnmarshalJSON(caddy.RemoveMetaFields(config), cfg); err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	dir, err := os.MkdirTemp("", "caddy-mfa-")
	if err != nil {
		return nil, fmt.Errorf("making a directory: %w", err)
	}
	defer os.RemoveAll(dir)
	cfg.Admin = nil
	cfg.StorageRaw, _ = json.Marshal(map[string]string{"module": "file_system", "root": dir}) // strings cannot fail
	cfg.Logging = nil
	if err := json.Unmarshal([]byte(`{"logs":{"default":{"writer":{"output":"discard"}}}}`), &cfg.Logging); err != nil {
		return nil, err
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		return nil, fmt.Errorf("loading the config: %w", err)
	}
	web, err := ctx.AppIfConfigured("http")
	if err != nil {
		return nil, &refusedError{"The config has no sites."}
	}
	app, err := ctx.AppIfConfigured("mfa")
	if err != nil {
		return nil, &refusedError{"The config does not use mfa."}
	}
	k := &ruleCheck{web: web.(*caddyhttp.App), app: app.(*App)}
	if err := k.app.look(); err != nil {
		return nil, fmt.Errorf("the config would not start: %w", err)
	}
	return k, nil
}

// person looks people up at the running Caddy, or in the store where none runs: once, when the first is needed.
func (c *client) person(at place) func(string) (userView, error) {
	var people map[string]userView
	return func(name string) (u userView, err error) {
		if people == nil {
			var list []userView
			if err := c.callAt(at, "user/list", nobody{}, &list); err != nil {
				return u, fmt.Errorf("looking for users: %w", err)
			}
			people = make(map[string]userView, len(list))
			for _, u := range list {
				people[u.Name] = u
			}
		}
		folded, err := auth.FoldName(name)
		u, ok := people[folded]
		if err != nil || !ok {
			return u, auth.ErrUnknownUser
		}
		return u, nil
	}
}
