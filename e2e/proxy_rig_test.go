package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-mfa/caddy-mfa/e2e/rig"
)

// askedCaddy is a Caddy that other proxies ask. What is asked with open=1 is public.
const askedCaddy = `{
	admin {admin}
	auto_https off
	servers {
		trusted_proxies static 127.0.0.1
		trusted_proxies_strict
	}
	mfa {
		url {proxy}
	}
}

http://:{port} {
	bind 127.0.0.1
	@open query open=1
	mfa_forward_auth {
		hosts localhost wiki.localhost
		public @open
	}
}
`

// proxy runs a proxy with a configuration from docs/proxies in front of an app, and the Caddy that it asks.
type proxy struct {
	*rig.Server
	URL string // under which visitors reach the app
	app string
}

// proxies are those whose configurations are tested: how the text becomes one of this machine, and how it is run in a directory.
var proxies = map[string]func(t *testing.T, dir, port string, replace func(file string, pairs ...string) string) *exec.Cmd{
	"nginx": func(t *testing.T, dir, port string, replace func(string, ...string) string) *exec.Cmd {
		site := replace("nginx.conf", "listen 443 ssl;", "listen 127.0.0.1:"+port+";", "listen 443 ssl default_server;", "listen 127.0.0.1:"+port+" default_server;", "server_name dash.example.com;", "server_name localhost wiki.localhost;",
			"ssl_certificate /etc/ssl/dash.example.com.pem;", "", "ssl_certificate_key /etc/ssl/dash.example.com.key;", "")
		user := ""
		if os.Geteuid() == 0 {
			user = "user root;\n"
		}
		conf := user + "daemon off;\nworker_processes 1;\nerror_log stderr;\npid " + dir + "/pid;\nevents {}\nhttp {\naccess_log off;\nclient_max_body_size 0;\n"
		for _, temp := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			conf += temp + "_temp_path " + dir + "/" + temp + ";\n"
		}
		write(t, dir, "nginx.conf", conf+site+"}\n")
		return exec.Command(program("nginx"), "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
	},
	"haproxy": func(t *testing.T, dir, port string, replace func(string, ...string) string) *exec.Cmd {
		write(t, dir, "mfa.lua", replace("mfa.lua"))
		write(t, dir, "haproxy.cfg", replace("haproxy.cfg", "/etc/haproxy/mfa.lua", filepath.Join(dir, "mfa.lua"),
			"bind :443 ssl crt /etc/ssl/dash.example.com.pem", "bind 127.0.0.1:"+port, "-i dash.example.com", "-i localhost wiki.localhost"))
		return exec.Command(program("haproxy"), "-db", "-f", filepath.Join(dir, "haproxy.cfg"))
	},
	"caddy": func(t *testing.T, dir, port string, replace func(string, ...string) string) *exec.Cmd {
		write(t, dir, "Caddyfile", "{\n\tadmin off\n\tpersist_config off\n\tauto_https off\n}\n"+
			replace("Caddyfile", "dash.example.com {", "http://localhost:"+port+", http://wiki.localhost:"+port+" {\n\tbind 127.0.0.1"))
		cmd := exec.Command(binary, "run", "--config", filepath.Join(dir, "Caddyfile"), "--adapter", "caddyfile")
		cmd.Env = []string{"HOME=" + dir, "XDG_DATA_HOME=" + dir, "XDG_CONFIG_HOME=" + dir}
		return cmd
	},
}

// program finds what Debian keeps, beyond the PATH of most users or behind something else of that name.
func program(name string) string {
	for _, dir := range []string{"/usr/sbin/", "/usr/bin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	return name
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startProxy starts the proxy of that name, with the configuration that the guide shows, in which changes stand for what they follow.
func startProxy(t *testing.T, name string, changes ...string) *proxy {
	t.Helper()
	ports, err := rig.FreePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	app, err := rig.StartApp()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { app.Close() })
	p := &proxy{URL: "http://localhost:" + ports[0], app: app.Addr}
	p.Server = start(t, rig.Config{Caddyfile: strings.ReplaceAll(askedCaddy, "{proxy}", p.URL)})
	dir := t.TempDir()
	cmd := proxies[name](t, dir, ports[0], func(file string, pairs ...string) string {
		text, err := os.ReadFile(filepath.Join("../docs/proxies", file))
		if err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, "127.0.0.1:9091", "127.0.0.1:"+p.Port)
		for i := 0; i < len(pairs); i += 2 {
			if !strings.Contains(string(text), pairs[i]) {
				t.Fatalf("%s holds no %s", file, pairs[i])
			}
		}
		pairs = append(pairs, changes...)
		return strings.NewReplacer(append(pairs, "127.0.0.1:3000", p.app, "localhost:3000", p.app)...).Replace(string(text))
	})
	launch(t, cmd, "127.0.0.1:"+ports[0])
	return p
}

// launch runs cmd until the test ends, and returns when it listens.
func launch(t *testing.T, cmd *exec.Cmd, address string) {
	t.Helper()
	if _, err := exec.LookPath(cmd.Path); err != nil {
		t.Fatalf("%v; tools/setup installs it", err)
	}
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Logf("%s says:\n%.10000s", cmd.Path, said.String())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		if conn, err := net.Dial("tcp", address); err == nil {
			conn.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatal(fmt.Errorf("%s ended: %w", cmd.Path, err))
		case <-ctx.Done():
			t.Fatalf("%s does not listen", cmd.Path)
		case <-time.After(2 * time.Millisecond):
		}
	}
}
