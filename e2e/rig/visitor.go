package rig

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// Visitor is a browser profile without scripts. It keeps cookies, follows redirects within the site, and sends what a browser
// sends with a navigation. It is not safe for concurrent use, but its copies by Clone are.
type Visitor struct {
	Base string // http://localhost:PORT
	// Addr is where the visitor comes from, for servers that trust proxies on the loopback address; "" says nothing.
	Addr string
	// Transport carries the requests; nil means a connection pool of all visitors.
	Transport http.RoundTripper
	jar       *jar
}

// NewVisitor returns a fresh profile.
func NewVisitor(base string) *Visitor {
	return &Visitor{Base: base, jar: &jar{byName: map[string]string{}}}
}

// Clone returns a visitor with the same cookies, which from then on change apart.
func (v *Visitor) Clone() *Visitor {
	c := NewVisitor(v.Base)
	c.Addr, c.Transport = v.Addr, v.Transport
	v.jar.mu.Lock()
	defer v.jar.mu.Unlock()
	maps.Copy(c.jar.byName, v.jar.byName)
	return c
}

// Cookie returns the value of a cookie, "" if the visitor has none of that name.
func (v *Visitor) Cookie(name string) string {
	v.jar.mu.Lock()
	defer v.jar.mu.Unlock()
	return v.jar.byName[name]
}

// SetCookie plants a cookie.
func (v *Visitor) SetCookie(name, value string) {
	v.jar.mu.Lock()
	defer v.jar.mu.Unlock()
	v.jar.byName[name] = value
}

// Cookies is the Cookie header that the visitor sends.
func (v *Visitor) Cookies() string {
	var parts []string
	for _, c := range v.jar.Cookies(nil) {
		parts = append(parts, c.Name+"="+c.Value)
	}
	return strings.Join(parts, "; ")
}

// transport is shared, so that hundreds of visitors do not run out of ports.
var transport = &http.Transport{MaxIdleConnsPerHost: 1000, DisableCompression: true}

// CloseIdle gives back the connections of all visitors.
func CloseIdle() { transport.CloseIdleConnections() }

func (v *Visitor) client(follow bool) *http.Client {
	c := &http.Client{Jar: v.jar, Transport: v.Transport}
	if c.Transport == nil {
		c.Transport = transport
	}
	if !follow {
		c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return c
}

// Get navigates to a path or URL and follows redirects.
func (v *Visitor) Get(ctx context.Context, path string) (*Page, error) {
	req, err := v.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	return v.Do(req, true)
}

// Fetch gets a path as a script of the page would, without following redirects.
func (v *Visitor) Fetch(ctx context.Context, path string) (*Page, error) {
	req, err := v.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "*/*")
	req.Header.Set("Sec-Fetch-Mode", "cors")
	req.Header.Set("Sec-Fetch-Dest", "empty")
	return v.Do(req, false)
}

// Post sends a form as a browser on that site would, and does not follow the redirect.
func (v *Visitor) Post(ctx context.Context, path string, form url.Values) (*Page, error) {
	req, err := v.request(ctx, http.MethodPost, path, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	return v.Do(req, false)
}

// request prepares a navigation: a POST of a form if body is not nil.
func (v *Visitor) request(ctx context.Context, method, path string, body io.Reader) (*http.Request, error) {
	if strings.HasPrefix(path, "/") {
		path = v.Base + path
	}
	req, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8")
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	if v.Addr != "" {
		req.Header.Set("X-Forwarded-For", v.Addr)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", v.Base)
	}
	return req, nil
}

// Do sends any request with the visitor's cookies.
func (v *Visitor) Do(req *http.Request, follow bool) (*Page, error) {
	resp, err := v.client(follow).Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", req.URL.Path, err)
	}
	return &Page{Status: resp.StatusCode, Header: resp.Header, Body: body, URL: resp.Request.URL, visitor: v}, nil
}

// Submit sends the form, follows the redirect, and returns the page that it led to.
func (f *Form) Submit(ctx context.Context) (*Page, error) {
	v := f.page.visitor
	var req *http.Request
	var err error
	if f.Method == http.MethodPost {
		req, err = v.request(ctx, http.MethodPost, f.Action.String(), strings.NewReader(f.Values.Encode()))
	} else {
		u := *f.Action
		u.RawQuery = f.Values.Encode()
		req, err = v.request(ctx, http.MethodGet, u.String(), nil)
	}
	if err != nil {
		return nil, err
	}
	return v.Do(req, true)
}

// jar keeps cookies by name and sends them all, the Secure ones too: like a browser, it trusts localhost without TLS, which
// net/http/cookiejar does not. It serves one site.
type jar struct {
	mu     sync.Mutex
	byName map[string]string
}

var _ http.CookieJar = (*jar)(nil)

func (j *jar) SetCookies(_ *url.URL, cookies []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range cookies {
		if c.MaxAge < 0 || c.Value == "" {
			delete(j.byName, c.Name)
		} else {
			j.byName[c.Name] = c.Value
		}
	}
}

func (j *jar) Cookies(*url.URL) []*http.Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	list := make([]*http.Cookie, 0, len(j.byName))
	for name, value := range j.byName {
		list = append(list, &http.Cookie{Name: name, Value: value})
	}
	return list
}
