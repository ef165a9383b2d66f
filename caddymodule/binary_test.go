package caddymodule

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// binary returns the real program: the one that CADDY_MFA_BIN names, or one that is built at the first call.
func binary(t *testing.T) string {
	t.Helper()
	if bin := os.Getenv("CADDY_MFA_BIN"); bin != "" {
		return bin
	}
	bin, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

var builtDir string

var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "caddy-mfa-test-")
	if err != nil {
		return "", err
	}
	builtDir = dir
	bin := filepath.Join(dir, "caddy")
	if out, err := exec.Command("go", "build", "-o", bin, "../cmd/caddy").CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the program: %w\n%s", err, out)
	}
	return bin, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if builtDir != "" {
		if err := os.RemoveAll(builtDir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// machine is a home of its own with a Caddyfile in it, in which the real program runs.
type machine struct {
	t    *testing.T
	bin  string
	home string
	env  []string
	// admin is the address of the admin API, site that of the gated site.
	admin, site string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, bin: binary(t), home: t.TempDir(), admin: freeAddress(t), site: freeAddress(t)}
	m.env = []string{"HOME=" + m.home, "XDG_DATA_HOME=" + m.home + "/data", "XDG_CONFIG_HOME=" + m.home + "/config", "PATH=" + os.Getenv("PATH"), "TZ=UTC"}
	m.configureSite("mfa")
	return m
}

// configureSite writes a Caddyfile with one site, in which gate stands before an app that greets.
func (m *machine) configureSite(gate string) {
	m.t.Helper()
	m.configure(`{
	admin ` + m.admin + `
	auto_https off
	mfa {
		url ` + m.base() + `
	}
}

` + m.base() + ` {
	bind 127.0.0.1
	` + gate + `
	respond "hello {http.auth.user.id}"
}
`)
}

func (m *machine) configure(caddyfile string) {
	m.t.Helper()
	if err := os.WriteFile(filepath.Join(m.home, "Caddyfile"), []byte(caddyfile), 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// base is the address of the site, as a browser on this machine reaches it.
func (m *machine) base() string {
	_, port, _ := strings.Cut(m.site, ":")
	return "http://localhost:" + port
}

func (m *machine) storeDir() string { return filepath.Join(m.home, "data", "caddy", "mfa") }

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serve runs the server until the test ends or stop is called.
func (m *machine) serve() (stop func()) {
	m.t.Helper()
	cmd := exec.Command(m.bin, "run", "--config", "Caddyfile", "--adapter", "caddyfile")
	cmd.Dir, cmd.Env = m.home, m.env
	stderr, err := cmd.StderrPipe()
	if err != nil {
		m.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	var log bytes.Buffer
	started, ended := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			log.Write(append(lines.Bytes(), '\n'))
			if strings.Contains(lines.Text(), "serving initial configuration") {
				started <- true
			}
		}
	}()
	stop = sync.OnceFunc(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			m.t.Error(err)
		}
		<-ended
		if err := cmd.Wait(); err != nil {
			m.t.Errorf("the server ended badly: %v\n%s", err, log.String())
		}
	})
	m.t.Cleanup(stop)
	select {
	case <-started:
	case <-ended:
		m.t.Fatalf("the server did not start:\n%s", log.String())
	case <-time.After(30 * time.Second):
		m.t.Fatal("the server took too long to start")
	}
	return stop
}

// result is how a command ended.
type result struct {
	code           int
	stdout, stderr string
}

// run runs `caddy` with args.
func (m *machine) run(stdin string, args ...string) result {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, m.bin, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = m.home, m.env, strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// must runs a command that has to succeed, decodes its JSON into out unless that is nil, and returns what it printed.
func (m *machine) must(out any, args ...string) string {
	m.t.Helper()
	return m.mustWith("", out, args...)
}

func (m *machine) mustWith(stdin string, out any, args ...string) string {
	m.t.Helper()
	r := m.run(stdin, args...)
	if r.code != 0 || r.stderr != "" {
		m.t.Fatalf("caddy %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	if out != nil {
		if err := json.Unmarshal([]byte(r.stdout), out); err != nil {
			m.t.Fatalf("caddy %s: %v\n%s", strings.Join(args, " "), err, r.stdout)
		}
	}
	return r.stdout
}
