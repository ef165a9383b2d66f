package rig

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Config says how to start a Server. Binary and Dir are required.
type Config struct {
	Binary string // Caddy with the module
	Dir    string // an empty directory; it becomes HOME and holds the store. A Server that is started again in it finds its data
	// Caddyfile is the whole configuration. "{admin}", "{port}" and "{app}" in it become the addresses of this Server.
	// "" means Gated.
	Caddyfile string
	App       string // host:port of the protected app; "" without one
	Args      []string
	Env       []string // NAME=value, beside what a person on a fresh machine has
}

// Gated is the smallest configuration that protects an app.
const Gated = `{
	admin {admin}
	auto_https off
}

http://localhost:{port} {
	bind 127.0.0.1
	mfa
	reverse_proxy {app}
}
`

// Proxied is Gated behind a proxy on the loopback address: visitors say where they come from.
const Proxied = `{
	admin {admin}
	auto_https off
	servers {
		trusted_proxies static 127.0.0.0/8
	}
}

http://localhost:{port} {
	bind 127.0.0.1
	mfa
	reverse_proxy {app}
}
`

// Server is a running Caddy.
type Server struct {
	URL   string // http://localhost:PORT, without a slash at the end
	Admin string // host:port of the admin API
	Port  string
	Log   *Log
	Took  time.Duration // from start to the first answer

	conf Config
	file string
	cmd  *exec.Cmd
	gone chan struct{} // closed when the process has ended
}

// Start starts a server and waits until it answers. Call Stop or Kill.
func Start(ctx context.Context, conf Config) (*Server, error) {
	ports, err := FreePorts(2)
	if err != nil {
		return nil, err
	}
	s := &Server{
		URL:   "http://localhost:" + ports[0],
		Port:  ports[0],
		Admin: "127.0.0.1:" + ports[1],
		Log:   newLog(),
		conf:  conf,
		file:  filepath.Join(conf.Dir, "Caddyfile"),
	}
	text := conf.Caddyfile
	if text == "" {
		text = Gated
	}
	if err := s.Write(text); err != nil {
		return nil, err
	}
	return s, s.run(ctx)
}

// Again starts the same server once more, after Stop or Kill, at the same addresses and with an empty Log.
func (s *Server) Again(ctx context.Context) error {
	s.Log = newLog()
	return s.run(ctx)
}

// Write replaces the Caddyfile. A running server learns of it by Reload.
func (s *Server) Write(text string) error {
	text = strings.NewReplacer("{admin}", s.Admin, "{port}", s.Port, "{app}", s.conf.App).Replace(text)
	return os.WriteFile(s.file, []byte(text), 0o600)
}

func (s *Server) run(ctx context.Context) error {
	s.cmd = exec.Command(s.conf.Binary, append([]string{"run", "--config", s.file, "--adapter", "caddyfile"}, s.conf.Args...)...)
	s.cmd.Dir, s.cmd.Env = s.conf.Dir, s.env()
	s.cmd.Stdout, s.cmd.Stderr = s.Log, s.Log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // a test that dies leaves no server behind
	begun := time.Now()
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("starting server: %w", err)
	}
	gone := make(chan struct{})
	s.gone = gone
	cmd := s.cmd
	go func() {
		_ = cmd.Wait() // how it ended is in ProcessState
		close(gone)
	}()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		conn, err := net.Dial("tcp", "127.0.0.1:"+s.Port)
		if err == nil {
			conn.Close()
			break
		}
		if err := s.pause(ctx); err != nil {
			s.Kill()
			return fmt.Errorf("waiting for the server: %w\n%s", err, s.Log)
		}
	}
	resp, err := http.Get("http://127.0.0.1:" + s.Port + "/")
	if err == nil {
		resp.Body.Close()
	}
	s.Took = time.Since(begun)
	// It answers a moment before the admin API knows the config.
	if _, err := s.Log.Wait(ctx, serving); err != nil {
		s.Kill()
		return err
	}
	return nil
}

// pause waits a moment, or returns why waiting is in vain.
func (s *Server) pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.gone:
		return errors.New("it ended: " + s.cmd.ProcessState.String())
	case <-time.After(2 * time.Millisecond):
		return nil
	}
}

// env is the environment of a person on a fresh machine, and what the Config adds.
func (s *Server) env() []string {
	return append([]string{
		"HOME=" + s.conf.Dir,
		"XDG_DATA_HOME=" + filepath.Join(s.conf.Dir, "data"),
		"XDG_CONFIG_HOME=" + filepath.Join(s.conf.Dir, "config"),
		"PATH=" + os.Getenv("PATH"),
		"TMPDIR=" + os.TempDir(),
	}, s.conf.Env...)
}

// Pid is the process.
func (s *Server) Pid() int { return s.cmd.Process.Pid }

// Stop ends the server as an admin would, and waits.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.gone:
	case <-time.After(30 * time.Second):
		s.Kill()
	}
}

// Kill ends the server without a chance to save anything, and waits.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	<-s.gone
}

// Exited returns a channel that is closed when the process has ended.
func (s *Server) Exited() <-chan struct{} { return s.gone }

// Store is the directory that holds the store, its secret and its marker.
func (s *Server) Store() string { return filepath.Join(s.conf.Dir, "data", "caddy") }

// Result is what a command printed and how it ended.
type Result struct {
	Out, Err string
	Code     int
}

// Command runs the binary with args, as the same person and with stdin.
func (s *Server) Command(ctx context.Context, stdin string, args ...string) (Result, error) {
	cmd := exec.CommandContext(ctx, s.conf.Binary, args...)
	cmd.Dir, cmd.Env = s.conf.Dir, s.env()
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return Result{}, err
	}
	return Result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}, nil
}

// MFA runs `caddy mfa ARGS` against the running server; any exit code but 0 is an error.
func (s *Server) MFA(ctx context.Context, stdin string, args ...string) (string, error) {
	r, err := s.Command(ctx, stdin, append(append([]string{"mfa"}, args...), "--address", s.Admin)...)
	if err != nil {
		return "", err
	}
	if r.Code != 0 {
		return "", fmt.Errorf("caddy mfa %s: exit code %d: %s", strings.Join(args, " "), r.Code, r.Err)
	}
	return r.Out, nil
}

// Reload makes the running server read its Caddyfile again, even if it is unchanged.
func (s *Server) Reload(ctx context.Context) error {
	r, err := s.Command(ctx, "", "reload", "--config", s.file, "--adapter", "caddyfile", "--address", s.Admin, "--force")
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("caddy reload: exit code %d: %s", r.Code, r.Err)
	}
	CloseIdle() // what was dialled and never used, the server before may have closed, and no request on it is tried again
	return err
}

var serving = regexp.MustCompile(`serving initial configuration`)

var setupLink = regexp.MustCompile(`https?://[^\s"\\]+/\.mfa/invite#[^\s"\\]+`)

// SetupLink waits for the one-time link of the first start in the log.
func (s *Server) SetupLink(ctx context.Context) (string, error) {
	return s.Log.Wait(ctx, setupLink)
}

// given are the ports that FreePorts has chosen.
var given sync.Map

// FreePorts returns n ports that nobody listens on, and none of them twice. They are drawn from below those that Linux gives to connections
// (32768 and up), which might take them before the one that they are for.
func FreePorts(n int) ([]string, error) {
	const lowest, highest, tries = 15000, 32000, 1000
	ports := make([]string, 0, n)
	for range tries {
		if len(ports) == n {
			return ports, nil
		}
		var drawn [4]byte
		_, _ = rand.Read(drawn[:]) // never fails
		port := strconv.Itoa(lowest + int(binary.BigEndian.Uint32(drawn[:])%(highest-lowest)))
		if _, again := given.LoadOrStore(port, true); again {
			continue
		}
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue // somebody else's
		}
		l.Close()
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("no %d free ports among %d", n, tries)
}

// AddUser makes an account with p's name and password, through the admin API.
func (s *Server) AddUser(ctx context.Context, p *Person) error {
	_, err := s.API(ctx, "user/add", map[string]any{"name": p.Name, "password": p.Password})
	return err
}

// API runs an operation of the admin API that changes something, such as "user/disable", and returns the answer.
func (s *Server) API(ctx context.Context, op string, in map[string]any) ([]byte, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.Admin+"/mfa/"+op, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d: %s", op, resp.StatusCode, answer)
	}
	return answer, err
}
