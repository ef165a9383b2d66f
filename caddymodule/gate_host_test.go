package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func TestForeignHostsGetNoPortal(t *testing.T) { // S71
	s := newSite(t)
	s.trusted = "127.0.0.0/8"
	s.serve(`http://:{port} {
	@limited header X-Limited yes
	route {
		error @limited 429
		mfa {
			public /healthz
		}
		reverse_proxy {app}
	}
	handle_errors 429 {
		mfa
		respond {err.status_code}
	}
}
`, "url https://dash.example.com")
	for host, want := range map[string]int{
		"dash.example.com": http.StatusOK, "DASH.example.com:443": http.StatusOK, "localhost": http.StatusOK,
		"evil.example.com": http.StatusMisdirectedRequest, "dash.example.com.": http.StatusMisdirectedRequest,
	} {
		if res := s.get("/.mfa/login", "Host: "+host, "X-Forwarded-Proto: https", asPage); res.StatusCode != want {
			t.Errorf("%s: portal %s", host, res.Status)
		}
		if res := s.get("/.mfa/login", "Host: "+host, "X-Forwarded-Proto: https", "X-Limited: yes", asPage); res.StatusCode != want {
			t.Errorf("%s: portal in the error routes %s", host, res.Status)
		}
		if res := s.get("/", "Host: "+host, "X-Forwarded-Proto: https", asPage); (res.StatusCode == http.StatusSeeOther) != (want == http.StatusOK) {
			t.Errorf("%s: page %s", host, res.Status)
		}
		arrived(t, s.get("/healthz", "Host: "+host))
	}
}

// A request may come before the app has started: apps start in no particular order.
func TestForeignHostsGetNoPortalBeforeStart(t *testing.T) { // S71
	s := newSite(t)
	s.trusted = "127.0.0.0/8"
	for _, target := range []string{"/.mfa/login", "/"} {
		var cfg caddy.Config
		if err := json.Unmarshal(s.config("http://:{port} {\n\tmfa\n}\n", "url https://dash.example.com"), &cfg); err != nil {
			t.Fatal(err)
		}
		ctx, err := caddy.ProvisionContext(&cfg)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := ctx.App("http")
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", target, nil)
		r.Host, r.RemoteAddr = "evil.example.com", "127.0.0.1:1"
		r.Header.Set("X-Forwarded-Proto", "https")
		w := httptest.NewRecorder()
		loaded.(*caddyhttp.App).Servers["srv0"].ServeHTTP(w, r)
		if w.Code != http.StatusMisdirectedRequest {
			t.Errorf("%s: %d %s", target, w.Code, w.Body)
		}
		app, err := ctx.App("mfa")
		if err != nil {
			t.Fatal(err)
		}
		if err := app.(*App).Cleanup(); err != nil {
			t.Error(err)
		}
	}
}

// A site that answers to any name shows its pages under any unless the option url names one, and says so once.
func TestSiteOfAnyNameIsWarnedOf(t *testing.T) {
	const warning = "say with the option url which one is yours"
	for _, c := range []struct {
		name, sites string
		options     []string
		want        int
	}{
		{"any name", "http://:{port} {\n\tmfa\n}\n", nil, 1},
		{"two of them", "http://:{port} {\n\thandle /a/* {\n\t\tmfa {\n\t\t\tallow alice\n\t\t}\n\t}\n\thandle {\n\t\tmfa\n\t}\n}\n", nil, 1},
		{"with the option", "http://:{port} {\n\tmfa\n}\n", []string{"url https://dash.example.com"}, 0},
		{"a name", plainGate, nil, 0},
		{"without a gate", "http://:{port} {\n\trespond x\n}\n" + plainGate, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.serve(c.sites, c.options...)
			s.get("/.mfa/login", asPage)
			if n := strings.Count(s.logged(), warning); n != c.want {
				t.Errorf("warned %d times, want %d", n, c.want)
			}
		})
	}
}
