package caddymodule

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// client runs operations for a command: on the running Caddy, or on the store where none runs.
type client struct {
	ctx                      context.Context
	in                       io.Reader
	out, errs                io.Writer
	address, config, adapter string // as given
	json                     bool
	offline                  bool // the operation ran on the store
}

// refusedError is an operation that was refused, with a sentence for the person.
type refusedError struct{ text string }

func (e *refusedError) Error() string { return e.text }

// errNoServer means that nothing answers at the admin API's address.
var errNoServer = errors.New("no admin API answers")

// call runs the operation with the given name and decodes its output into out. Both ways go through JSON, so both print alike.
func (c *client) call(name string, in, out any) error {
	quiet()
	found, err := c.locate()
	if err != nil {
		return err
	}
	return c.callAt(found, name, in, out)
}

// callAt is call where the place is known.
func (c *client) callAt(found place, name string, in, out any) error {
	op := operationNamed(name)
	body, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encoding the input: %w", err)
	}
	answer, err := []byte(nil), errNoServer
	if found.address != "" {
		answer, err = callServer(found.address, op, body)
	}
	if errors.Is(err, errNoServer) {
		c.offline = true
		answer, err = c.callStore(found, op, body)
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("reading the answer: %w", err)
	}
	return nil
}

func operationNamed(name string) operation {
	return operations[slices.IndexFunc(operations, func(o operation) bool { return o.name == name })]
}

// place is where a command finds the running Caddy, and the store without one.
type place struct {
	address string // "": the config switches the admin API off
	loaded  bool   // config was read; it may be nil for none
	config  []byte
}

// locate finds the admin API as Caddy's own commands do: --address, or what --config says, or what the Caddyfile in the working
// directory says, or Caddy's default.
func (c *client) locate() (place, error) {
	if c.address != "" {
		if at, err := caddy.ParseNetworkAddress(c.address); err != nil || at.PortRangeSize() > 1 {
			return place{}, &usageError{fmt.Sprintf("--address %q is not one network address", c.address)}
		}
		return place{address: c.address}, nil
	}
	if c.adapter != "" && c.config == "" {
		return place{}, &usageError{"--adapter needs --config"}
	}
	config, file, adapter, err := caddycmd.LoadConfig(c.config, c.adapter)
	if err != nil {
		return place{}, fmt.Errorf("%w (--address reaches a running Caddy without its config)", err)
	}
	p := place{loaded: true, config: config}
	var admin struct {
		Admin caddy.AdminConfig `json:"admin"`
	}
	if json.Unmarshal(config, &admin) == nil && admin.Admin.Disabled {
		return p, nil
	}
	address, err := caddycmd.DetermineAdminAPIAddress("", config, file, adapter)
	p.address = caddy.NewReplacer().ReplaceKnown(address, "")
	return p, err
}

// callServer runs op through the admin API. Errors: errNoServer, *refusedError, or a fault.
func callServer(address string, op operation, in []byte) ([]byte, error) {
	method, uri, body := http.MethodPost, adminPrefix+op.name, io.Reader(bytes.NewReader(in))
	if op.read {
		var fields map[string]string
		if err := json.Unmarshal(in, &fields); err != nil {
			return nil, fmt.Errorf("encoding the input: %w", err)
		}
		query := url.Values{}
		for k, v := range fields {
			query.Set(k, v)
		}
		method, body = http.MethodGet, nil
		if len(query) > 0 {
			uri += "?" + query.Encode()
		}
	}
	resp, err := caddycmd.AdminAPIRequest(address, method, uri, nil, body)
	if err != nil {
		return nil, serverError(address, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the answer of the admin API at %s: %w", address, err)
	}
	return answer, nil
}

// serverError tells the errors of caddycmd.AdminAPIRequest apart. It formats them into text, so the text is all there is to go by:
// that of the system for a connection which nobody takes ("connection refused", on Windows "actively refused"), and its own for
// an answer that is an error.
func serverError(address string, err error) error {
	text := err.Error()
	if strings.HasPrefix(text, "performing request: ") && strings.Contains(text, "refused") ||
		strings.HasPrefix(address, "unix") && strings.Contains(text, syscall.ENOENT.Error()) {
		return noServer(address)
	}
	answer, ok := strings.CutPrefix(text, "caddy responded with error: ")
	if !ok {
		return fmt.Errorf("asking the admin API at %s: %w", address, err)
	}
	status, body, _ := strings.Cut(answer, ": ")
	var apiErr caddy.APIError
	if json.Unmarshal([]byte(body), &apiErr) == nil && apiErr.Message != "" {
		return &refusedError{apiErr.Message}
	}
	return fmt.Errorf("what answers at %s is no Caddy with the mfa module: %s", address, status)
}

// noServer is errNoServer where the store of this machine is the one to open then, else a plain refusal: behind an address of
// another machine is another store.
func noServer(address string) error {
	parsed, err := caddy.ParseNetworkAddress(address)
	if err != nil {
		return err
	}
	ip := net.ParseIP(parsed.Host)
	if parsed.IsUnixNetwork() || parsed.Host == "" || parsed.Host == "localhost" || ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		return errNoServer
	}
	return &refusedError{"No admin API answers at " + address + "."}
}

// readLine returns the first line of r, of at most 64 KiB, as it is apart from its end.
func readLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, maxAdminBody)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	if cut, ok := strings.CutSuffix(line, "\r\n"); ok {
		return cut, nil
	}
	return strings.TrimSuffix(line, "\n"), nil
}
