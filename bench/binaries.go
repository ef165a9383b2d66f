package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

const plainMain = `package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

func main() { caddycmd.Main() }
`

// buildPlain builds Caddy's standard modules alone, with the versions of our go.mod and the flags of `make build`.
func buildPlain(ctx context.Context, dir string) (string, error) {
	src, bin := filepath.Join(dir, "plain"), filepath.Join(dir, "plain-caddy")
	if err := os.Mkdir(src, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("%w: start bench in the root of the repository", err)
		}
		if err := os.WriteFile(filepath.Join(src, name), text, 0o600); err != nil {
			return "", err
		}
	}
	if err := os.WriteFile(filepath.Join(src, "main.go"), []byte(plainMain), 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, ".")
	cmd.Dir, cmd.Env = src, append(os.Environ(), "CGO_ENABLED=0")
	if said, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building plain Caddy: %w\n%s", err, said)
	}
	return bin, nil
}

// ungated is the plain configuration that rig.Gated is compared with.
var ungated = strings.Replace(rig.Gated, "\tmfa\n", "", 1)

// binaries compares what two processes cost: ours with mfa, and plain Caddy without.
func (b *bench) binaries(ctx context.Context) error {
	progress("size, start, memory")
	var size [2]float64
	for i, bin := range []string{b.plain, b.bin} {
		info, err := os.Stat(bin)
		if err != nil {
			return err
		}
		size[i] = float64(info.Size())
	}
	b.table.row("size of the binary", asMiB(size[0]), asMiB(size[1]), fmt.Sprintf("%.3f", size[1]/size[0]), "at most 1.10")

	plain, err := b.start(ctx, b.plain, ungated)
	if err != nil {
		return err
	}
	plain.Stop()
	mfa, err := b.start(ctx, b.bin, rig.Gated)
	if err != nil {
		return err
	}
	alice, v, err := enrolled(ctx, mfa, "alice")
	if err != nil {
		return err
	}
	_ = alice
	mfa.Stop()
	var took, idle, loaded [2][]float64
	for range b.starts {
		for i, s := range []*rig.Server{plain, mfa} {
			rig.CloseIdle()
			if err := s.Again(ctx); err != nil {
				return err
			}
			took[i] = append(took[i], millis(s.Took))
			if err := settle(ctx, s.Pid()); err != nil {
				return err
			}
			rss, err := resident(s.Pid())
			if err != nil {
				return err
			}
			idle[i] = append(idle[i], float64(rss))
			t := target{port: s.Port, headers: []string{"Cookie: " + sessionCookie + "=" + v.Cookie(sessionCookie)}}
			if _, err := load(ctx, s.Pid(), t, b.round); err != nil {
				return errors.Join(err, errors.New(s.Log.String()))
			}
			if rss, err = resident(s.Pid()); err != nil {
				return err
			}
			loaded[i] = append(loaded[i], float64(rss))
			s.Stop()
		}
	}
	b.table.pairs("first answer after start, with a store", took[0], took[1], asMillis, "at most 1.35")
	b.table.pairs("resident memory, idle", idle[0], idle[1], asMiB, "at most 1.15")
	b.table.pairs("resident memory, after load", loaded[0], loaded[1], asMiB, "")
	return nil
}

const sessionCookie = "__Host-mfa"

// enrolled makes an account, signs in and returns the visitor.
func enrolled(ctx context.Context, s *rig.Server, name string) (*rig.Person, *rig.Visitor, error) {
	p, v := &rig.Person{Name: name, Password: "correct horse battery " + name}, rig.NewVisitor(s.URL)
	if err := s.AddUser(ctx, p); err != nil {
		return nil, nil, err
	}
	page, err := p.SignIn(ctx, v, "/")
	if err != nil {
		return nil, nil, err
	}
	if v.Cookie(sessionCookie) == "" {
		return nil, nil, fmt.Errorf("signing up %s led to %s: %s", name, page.URL, page.Text())
	}
	return p, v, nil
}

// reloads times the reload of an idle server, and looks for goroutines left over.
func (b *bench) reloads(ctx context.Context) error {
	progress("reloads")
	var took [2][]float64
	var servers [2]*rig.Server
	var before [2]int
	for i, c := range []struct{ bin, text string }{{b.plain, ungated}, {b.bin, rig.Gated}} {
		s, err := b.start(ctx, c.bin, c.text)
		if err != nil {
			return err
		}
		defer s.Stop()
		servers[i] = s
		if _, err := reload(ctx, s); err != nil {
			return err
		}
		if before[i], err = goroutines(ctx, s); err != nil {
			return err
		}
	}
	for range 100 {
		for i, s := range servers {
			d, err := reload(ctx, s)
			if err != nil {
				return err
			}
			took[i] = append(took[i], millis(d))
			if err := pause(ctx, 20*time.Millisecond); err != nil {
				return err
			}
		}
	}
	b.table.pairs("reload, idle", took[0], took[1], asMillis, "at most 10 ms")
	var more [2]string
	for i, s := range servers {
		if err := settle(ctx, s.Pid()); err != nil {
			return err
		}
		after, err := goroutines(ctx, s)
		if err != nil {
			return err
		}
		more[i] = fmt.Sprintf("%+d", after-before[i])
	}
	b.table.row("goroutines after 100 reloads", more[0], more[1], "", "none more")
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
