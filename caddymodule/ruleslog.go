package caddymodule

import (
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sort"
	"strconv"
	"strings"
	"time"
)

// What "rules check --log" keeps in memory is bounded, however long the log is: of equal requests one is asked about, and answers are
// only counted.
const (
	maxLogLine    = 1 << 20  // bytes; a longer one cannot be read
	maxLogRequest = 16 << 10 // bytes of one request, as it is asked about
	maxWaiting    = 8 << 20  // bytes of requests that wait to be asked about
	progressEvery = 5 * time.Second
)

// logLine is what counts in a line of Caddy's access log.
type logLine struct {
	Msg     string `json:"msg"`
	UserID  string `json:"user_id"`
	Status  int    `json:"status"`
	Request *struct {
		RemoteIP string              `json:"remote_ip"`
		Method   string              `json:"method"`
		Host     string              `json:"host"`
		URI      string              `json:"uri"`
		Headers  map[string][]string `json:"headers"`
		TLS      *struct{}           `json:"tls"`
	} `json:"request"`
}

// The counts of a log.
type (
	logView struct {
		Asked      string      `json:"asked"`
		Lines      int         `json:"lines"`
		Requests   int         `json:"requests"`    // of sites that the configuration serves
		OtherHosts int         `json:"other_hosts"` // of hosts that it does not serve
		Other      int         `json:"other"`       // lines of the log that are about something else
		Unreadable int         `json:"unreadable"`
		Unknown    int         `json:"unknown_users"` // requests of users that there are no more; they count as strangers
		Decisions  []*logCount `json:"decisions"`
		Reports    []*logCount `json:"reports"` // what rules would decide that only report
	}
	logCount struct {
		Decision string       `json:"decision"`
		By       string       `json:"by"`
		Requests int          `json:"requests"`
		OK       int          `json:"answered_2xx"` // of these, when the log was written
		Examples []logExample `json:"examples,omitempty"`
	}
	logExample struct {
		Method   string `json:"method"`
		URL      string `json:"url"`
		User     string `json:"user,omitempty"`
		Requests int    `json:"requests"`
	}
)

// replayed is a log on its way through.
type replayed struct {
	logView
	ask      func([]json.RawMessage) ([]checkView, error)
	examples int
	waiting  map[string]*[2]int // how often, and how often answered 2xx, by request
	order    []string
	bytes    int
}

func (f *checkFlags) replay(c *client) error {
	in := c.in
	if f.log != "-" {
		file, err := os.Open(f.log)
		if err != nil {
			return err
		}
		defer file.Close()
		in = file
		if strings.HasSuffix(f.log, ".gz") {
			if in, err = gzip.NewReader(file); err != nil {
				return fmt.Errorf("reading %s: %w", f.log, err)
			}
		}
	}
	a, err := c.ruleAsker()
	if err != nil {
		return err
	}
	l := &replayed{ask: a.ask, examples: f.examples, waiting: map[string]*[2]int{}}
	l.Asked, l.Decisions, l.Reports = a.about, []*logCount{}, []*logCount{}
	if err := l.read(in, c.errs); err != nil {
		return err
	}
	if l.Requests+l.OtherHosts == 0 && l.Lines > 0 {
		return &refusedError{"No line of the log is a request in JSON. Caddy writes them so where the log's format is json, its default for files."}
	}
	for _, counts := range [][]*logCount{l.Decisions, l.Reports} {
		sort.SliceStable(counts, func(i, j int) bool {
			x, y := counts[i], counts[j]
			return cmp.Or(cmp.Compare(x.Decision, y.Decision), cmp.Compare(y.Requests, x.Requests), cmp.Compare(x.By, y.By)) < 0
		})
	}
	return c.show(&l.logView, l.print)
}

// read takes the log line by line. The progress of a long one is told on progress.
func (l *replayed) read(in io.Reader, progress io.Writer) error {
	r, told := bufio.NewReaderSize(in, 64<<10), time.Now()
	var line []byte
	for ended := false; !ended; {
		var whole bool
		var err error
		line, whole, err = nextLine(r, line[:0])
		if ended = errors.Is(err, io.EOF); err != nil && !ended {
			return fmt.Errorf("reading the log: %w", err)
		}
		if len(line) > 0 {
			l.Lines++
			if !whole || !l.line(line) {
				l.Unreadable++
			}
		}
		if ended || l.bytes > maxWaiting {
			if err := l.flush(); err != nil {
				return err
			}
		}
		if l.Lines%1000 == 0 && time.Since(told) > progressEvery {
			told = time.Now()
			fmt.Fprintf(progress, "%d lines read so far\n", l.Lines)
		}
	}
	return nil
}

// nextLine appends the next line to buf, without its end and surrounding space. whole is false if it was longer than what is taken.
func nextLine(r *bufio.Reader, buf []byte) (line []byte, whole bool, err error) {
	whole = true
	for {
		part, err := r.ReadSlice('\n')
		if len(buf)+len(part) <= maxLogLine {
			buf = append(buf, part...)
		} else {
			whole = false
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			for len(buf) > 0 && buf[len(buf)-1] <= ' ' {
				buf = buf[:len(buf)-1]
			}
			return buf, whole, err
		}
	}
}

// line notes the request of a line. It reports whether the line could be read.
func (l *replayed) line(b []byte) bool {
	var line logLine
	if err := json.Unmarshal(b, &line); err != nil {
		return false
	}
	if line.Request == nil || line.Msg != "" && line.Msg != "handled request" { // of errors there is a second line
		l.Other++
		return true
	}
	asked := askedRequest{Method: line.Request.Method, URL: "http://", Client: line.Request.RemoteIP, User: line.UserID}
	if line.Request.TLS != nil {
		asked.URL = "https://"
	}
	if !strings.HasPrefix(line.Request.URI, "/") {
		return false
	}
	asked.URL += line.Request.Host + line.Request.URI
	if net.ParseIP(asked.Client) == nil { // a Unix socket, or it was left out of the log
		asked.Client = ""
	}
	for name, values := range line.Request.Headers {
		if len(values) > 0 && !strings.Contains(unheeded, " "+name+" ") {
			if asked.Headers == nil {
				asked.Headers = map[string]string{}
			}
			asked.Headers[name] = strings.Join(values, ", ")
		}
	}
	key, err := json.Marshal(asked)
	if err != nil || len(key) > maxLogRequest {
		return false
	}
	if _, _, err := asked.request(); err != nil {
		return false
	}
	n := l.waiting[string(key)]
	if n == nil {
		n = new([2]int)
		l.waiting[string(key)] = n
		l.order = append(l.order, string(key))
		l.bytes += 2*len(key) + 64
	}
	n[0]++
	if line.Status/100 == 2 {
		n[1]++
	}
	return true
}

// unheeded are headers that differ from request to request and that matchers seldom look at; credentials are not in the log.
const unheeded = " Accept Accept-Encoding Accept-Language Authorization Cache-Control Content-Length Cookie Dnt If-Modified-Since If-None-Match " +
	"Pragma Priority Range Referer Sec-Ch-Ua Sec-Ch-Ua-Mobile Sec-Ch-Ua-Platform Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User " +
	"Sec-Gpc Sec-Websocket-Key Te Traceparent Upgrade-Insecure-Requests X-Request-Id "

// flush asks about what waits, in as many calls as that takes.
func (l *replayed) flush() error {
	for rest := l.order; len(rest) > 0; {
		var requests []json.RawMessage
		for size := 64; len(rest) > 0 && len(requests) < maxAsked; rest = rest[1:] {
			if size += len(rest[0]) + 1; size > maxAdminBody {
				break
			}
			requests = append(requests, json.RawMessage(rest[0]))
		}
		answers, err := l.ask(requests)
		if err != nil {
			return err
		}
		for i := range answers {
			l.count(&answers[i], *l.waiting[string(requests[i])])
		}
	}
	clear(l.waiting)
	l.order, l.bytes = nil, 0
	return nil
}

// count adds an answer that is so many lines'.
func (l *replayed) count(v *checkView, n [2]int) {
	decided, name := v.Stranger, ""
	if v.User != nil {
		decided, name = v.User.verdict, v.User.Name
		if v.User.Unknown {
			l.Unknown += n[0]
		}
	}
	if decided.Decision == decisionNoSite {
		l.OtherHosts += n[0]
		return
	}
	l.Requests += n[0]
	e := logExample{v.Method, v.URL, name, n[0]}
	l.add(&l.Decisions, decided, e, n, decided.Decision != "allow" && decided.Decision != decisionPublic)
	for i := range v.Gates {
		for _, r := range v.Gates[i].Reports {
			would := verdict{Decision: r.Stranger, By: r.Rule}
			if v.User != nil && !v.User.Unknown {
				would.Decision = r.User
			}
			l.add(&l.Reports, would, e, n, would.Decision != "allow")
		}
	}
}

func (l *replayed) add(to *[]*logCount, decided verdict, e logExample, n [2]int, show bool) {
	var c *logCount
	for _, other := range *to {
		if other.Decision == decided.Decision && other.By == decided.By {
			c = other
		}
	}
	if c == nil {
		c = &logCount{Decision: decided.Decision, By: decided.By}
		*to = append(*to, c)
	}
	c.Requests += n[0]
	c.OK += n[1]
	if !show {
		return
	}
	for i := range c.Examples {
		if known := &c.Examples[i]; known.Method == e.Method && known.URL == e.URL && known.User == e.User {
			known.Requests += e.Requests
			return
		}
	}
	if len(c.Examples) < l.examples {
		c.Examples = append(c.Examples, e)
	}
}

func (l *replayed) print(w io.Writer) {
	fmt.Fprintf(w, "Asked: %s\n%d lines: %d requests", printable(l.Asked), l.Lines, l.Requests)
	for _, part := range []struct {
		n    int
		text string
	}{
		{l.OtherHosts, "of hosts that no site here serves"}, {l.Other, "about something else"},
		{l.Unreadable, "that could not be read"}, {l.Unknown, "of users that there are no more, counted as strangers"},
	} {
		if part.n > 0 {
			fmt.Fprintf(w, ", %d %s", part.n, part.text)
		}
	}
	fmt.Fprintln(w, ".")
	l.printCounts(w, "DECISION", l.Decisions)
	if len(l.Reports) > 0 {
		fmt.Fprintln(w, "\nRules that only report:")
		l.printCounts(w, "WOULD", l.Reports)
	}
	fmt.Fprintln(w, "\nThe log names those whom mfa let through to what is not public. They count as having just proven all that they have set up, all others as strangers.")
}

func (l *replayed) printCounts(w io.Writer, head string, counts []*logCount) {
	if len(counts) == 0 {
		return
	}
	fmt.Fprintln(w)
	rows := [][]string{{head, "BY", "REQUESTS", "SHARE", "2XX IN THE LOG"}}
	for _, c := range counts {
		rows = append(rows, []string{
			c.Decision, orElse(c.By, "-"), strconv.Itoa(c.Requests), fmt.Sprintf("%.1f%%", 100*float64(c.Requests)/float64(l.Requests)), strconv.Itoa(c.OK),
		})
	}
	table(w, "", rows)
	for _, c := range counts {
		for i, e := range c.Examples {
			if i == 0 {
				fmt.Fprintf(w, "\n%s\n", printable(strings.TrimSpace(c.Decision+" "+c.By)))
			}
			fmt.Fprintf(w, "  %d x %s %s %s\n", e.Requests, printable(e.Method), printable(e.URL), printable(orElse(e.User, "(stranger)")))
		}
	}
}
