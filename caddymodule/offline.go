package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/caddy-mfa/caddy-mfa/storage/badgerstore"
)

// callStore runs op on the store itself, as the config at p sets it up; without a config, on the store that Caddy would use by
// default. Errors: *refusedError, or a fault.
func (c *client) callStore(p place, op operation, in []byte) (answer []byte, err error) {
	app, err := c.offlineApp(p)
	if err != nil {
		return nil, err
	}
	if op.storeless {
		out, err := op.run(c.ctx, call{app: app, offline: true}, in)
		return answerOffline(out, err, in)
	}
	dir := app.settings.dir
	exists, err := checkOwner(dir)
	if err != nil {
		return nil, err
	}
	if !exists && op.name != "user/add" { // looking for somebody must not leave an empty store behind
		return c.withoutStore(dir, op, in)
	}
	realm, closer, err := openRealm(c.ctx, app, slog.New(slog.DiscardHandler))
	if errors.Is(err, badgerstore.ErrLocked) {
		return nil, &refusedError{lockedText(p, dir)}
	}
	if err != nil {
		return nil, err
	}
	if !exists {
		c.note("No Caddy answers, so a new store was made in " + dir + ".")
	}
	defer func() {
		if closing := closer.Close(); err == nil && closing != nil {
			err = fmt.Errorf("closing the store in %s: %w", dir, closing)
		}
	}()
	out, err := op.run(c.ctx, call{realm: realm, app: app, offline: true}, in)
	if v, ok := out.(invitationView); ok && v.Link != "" && v.Email != "" && app.settings.mails && !realm.Mails() {
		c.note("The link was not mailed: no Caddy answers, and the option url does not say where links lead.")
	}
	return answerOffline(out, err, in)
}

// answerOffline is what the admin API would have answered.
func answerOffline(out any, err error, in []byte) ([]byte, error) {
	if err != nil {
		if refused := adminError(err, inputName(in)); refused.Err == nil {
			return nil, &refusedError{refused.Message}
		}
		return nil, err
	}
	return json.Marshal(out)
}

// offlineApp makes the app as Caddy would, but starts nothing.
func (c *client) offlineApp(p place) (*App, error) {
	if !p.loaded {
		config, _, _, err := caddycmd.LoadConfig(c.config, c.adapter)
		if err != nil {
			return nil, err
		}
		p.config = config
	}
	var config struct {
		Apps struct {
			MFA json.RawMessage `json:"mfa"`
		} `json:"apps"`
	}
	if len(p.config) > 0 {
		if err := json.Unmarshal(caddy.RemoveMetaFields(p.config), &config); err != nil {
			return nil, fmt.Errorf("reading the config: %w", err)
		}
	}
	app := new(App)
	if len(config.Apps.MFA) > 0 {
		if err := caddy.StrictUnmarshalJSON(config.Apps.MFA, app); err != nil {
			return nil, fmt.Errorf("reading the mfa app's config: %w", err)
		}
	}
	if err := app.prepare(caddy.NewReplacer()); err != nil {
		return nil, fmt.Errorf("in the mfa app's config: %w", err)
	}
	return app, nil
}

// withoutStore answers where no store was ever made: nobody is there. It names the place, for it may be the wrong one: that of
// another user than the one that Caddy runs as.
func (c *client) withoutStore(dir string, op operation, in []byte) ([]byte, error) {
	where := "No Caddy answers, and there is no store in " + dir + " yet."
	if op.name == "user/list" {
		c.note(where)
		return []byte("[]"), nil
	}
	return nil, &refusedError{fmt.Sprintf("There is no user %q. %s", inputName(in), where)}
}

// note says on standard error what the person should know although the command succeeds.
func (c *client) note(text string) { fmt.Fprintln(c.errs, "Note:", printable(text)) }

func lockedText(p place, dir string) string {
	if p.address == "" {
		return fmt.Sprintf("The store in %s is in use by a running Caddy whose config has the admin API off. Turn it on, or stop that Caddy.", dir)
	}
	return fmt.Sprintf("The store in %s is in use, but no admin API answers at %s. Look for the running Caddy, and name its admin API with --address or its config with --config.",
		dir, p.address)
}

// checkOwner refuses unless the store's directory is the caller's own. It refuses root too: files that root leaves in the store
// would keep the server from opening it. So root makes a new one in a directory of his own only.
func checkOwner(dir string) (exists bool, err error) {
	stat, err := os.Stat(dir)
	exists = err == nil
	for at := dir; errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at); {
		at = filepath.Dir(at)
		stat, err = os.Stat(at)
	}
	if err != nil {
		return false, fmt.Errorf("looking at the store: %w", err)
	}
	if name, own := owner(stat); !own && (exists || os.Geteuid() == 0) {
		return false, &refusedError{fmt.Sprintf("No Caddy answers, and the store in %s is not yours: run this as %s, as Caddy does.", dir, name)}
	}
	return exists, nil
}
