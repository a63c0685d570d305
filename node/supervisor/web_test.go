package supervisor

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// site is a module that answers with status 201, a header, the path it sees and the body it got; and counts.
func site() []byte {
	p := newProgram()
	status := p.Import("nx", "http_status", types{i32}, types{i32})
	header := p.Import("nx", "http_header", types{i32, i32, i32, i32}, types{i32})
	write := p.Import("nx", "http_write", types{i32, i32}, types{i32})
	read := p.Import("nx", "event_read", types{i32, i32}, types{i32})
	name, nameArgs := at(64, "X-Site")
	value, valueArgs := at(96, "yes")
	field, fieldArgs := at(128, "path")
	p.On(sandbox.OnRequest, slices.Concat(name, value, field, p.count("requests"),
		sandboxtest.Const32(201), sandboxtest.CallFunc(status), sandboxtest.TrapUnless32(0),
		nameArgs, valueArgs, sandboxtest.CallFunc(header), sandboxtest.TrapUnless32(0),
		sandboxtest.Const32(1024), fieldArgs, sandboxtest.Const32(1024), sandboxtest.Const32(256), sandboxtest.CallFunc(p.get),
		sandboxtest.CallFunc(write), sandboxtest.TrapUnless32(0),
		sandboxtest.Const32(2048), sandboxtest.Const32(2048), sandboxtest.Const32(1024), sandboxtest.CallFunc(read),
		sandboxtest.CallFunc(write), sandboxtest.TrapUnless32(0),
		sandboxtest.Const32(200), sandboxtest.CallFunc(status), sandboxtest.TrapUnless32(-3), // too late
	)...)
	return p.Bytes()
}

// addSite adds a module with files.
func (w *world) addSite(name, manifest string, wasm []byte, files map[string]string) {
	w.t.Helper()
	for file, text := range files {
		path := filepath.Join(w.dir, "source", name, "web", file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	w.add(w.pack(name, "1.0.0", manifest+"\n", wasm))
}

func (w *world) serve() *httptest.Server {
	s := httptest.NewServer(w.super.Web())
	w.t.Cleanup(s.Close)
	return s
}

func ask(t *testing.T, method, url, body string, headers ...string) (int, string, http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(b), answer.Header
}

func TestWeb(t *testing.T) {
	w := newWorld(t)
	w.addSite("site", "files = \"web\"\n"+all+"[[triggers]]\nhttp = \"/shop\"\n", site(), map[string]string{
		"index.html": "<h1>hi</h1>", "a/b.js": "let b",
	})
	slow := newProgram()
	slow.On(sandbox.OnRequest, sandboxtest.Forever()...)
	w.addSite("slow", "[limits]\ndeadline = \"50ms\"\n", slow.Bytes(), nil)
	broken := newProgram()
	broken.On(sandbox.OnRequest, sandboxtest.Trap()...)
	w.addSite("broken", "", broken.Bytes(), nil)
	silent := newProgram()
	silent.On(sandbox.OnTick)
	w.addSite("silent", "", silent.Bytes(), nil)
	s := w.serve()
	for _, x := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/m/site/", "", 200, "<h1>hi</h1>"},
		{"GET", "/m/site", "", 200, "<h1>hi</h1>"}, // redirected
		{"GET", "/m/site/a/b.js", "", 200, "let b"},
		{"GET", "/m/site/../module.toml", "", 404, "there is no module module.toml here\n"},
		{"GET", "/m/site/none", "", 201, "/none"},
		{"POST", "/m/site/x/y", "body", 201, "/x/ybody"},
		{"POST", "/m/site/", "body", 201, "/body"},
		{"GET", "/shop/cart", "", 201, "/shop/cart"},
		{"GET", "/shopping", "", 404, "no module serves this address: modules are under /m/NAME/\n"},
		{"GET", "/m/other/", "", 404, "there is no module other here\n"},
		{"GET", "/m/slow/", "", 504, "Gateway Timeout\n"},
		{"GET", "/m/broken/", "", 500, "Internal Server Error\n"},
		{"GET", "/m/silent/", "", 404, "Not Found\n"},
	} {
		status, body, h := ask(t, x.method, s.URL+x.path, x.body)
		if status != x.status || body != x.want {
			t.Errorf("%s %s: %d %q, want %d %q", x.method, x.path, status, body, x.status, x.want)
		}
		if status == 201 && h.Get("X-Site") != "yes" {
			t.Errorf("%s %s: headers %v", x.method, x.path, h)
		}
	}
	if status, _, _ := ask(t, "POST", s.URL+"/m/site/", "", "Origin", "http://elsewhere.example", "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("a page of another site could post: %d", status)
	}
	w.wait("the broken one to run again", func() bool { return w.super.status("broken").State == string(Running) })
}

// Who asks for a module that does not run just now, of a node that has just begun too, is told to come again: a page
// that has edits to send keeps them.
func TestWebAbsent(t *testing.T) {
	w := newWorld(t)
	w.addSite("site", "[[triggers]]\nhttp = \"/shop\"\n", site(), nil)
	later := func(super *Supervisor, host, path string) {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, path, nil)
		r.Host = host
		a := httptest.NewRecorder()
		super.Web().ServeHTTP(a, r)
		if a.Code != http.StatusServiceUnavailable || a.Header().Get("Retry-After") == "" {
			t.Errorf("POST %s%s: %d %s", host, path, a.Code, a.Body)
		}
	}
	early := New(w.super.cfg)
	later(early, "localhost", "/m/site/x")
	later(early, "localhost", "/shop/x")
	later(early, "site.localhost", "/x")
	err := w.super.Change(t.Context(), "site", func(name string) error { return w.super.cfg.Shelf.Want(name, false) })
	if err != nil {
		t.Fatal(err)
	}
	later(w.super, "localhost", "/m/site/x")
	later(w.super, "site.localhost", "/x")
}

// A request that finds the mailbox full is told so, and one whose client has gone is not told to the guest.
func TestWebFull(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	p.On(sandbox.OnRequest, append(p.count("requests"), sandboxtest.Forever()...)...)
	w.addSite("busy", "[limits]\nmailbox = 1\ndeadline = \"1s\"\n"+all, p.Bytes(), nil)
	s := w.serve()
	first, stop := context.WithCancel(t.Context())
	defer stop()
	get := func(ctx context.Context) {
		r, _ := http.NewRequestWithContext(ctx, "GET", s.URL+"/m/busy/", nil)
		if answer, err := http.DefaultClient.Do(r); err == nil {
			answer.Body.Close()
		}
	}
	go get(first)
	w.wait("the first request", func() bool { return w.counted("requests") == 1 })
	second, leave := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() { get(second); close(gone) }()
	w.wait("the second request to wait", func() bool { return w.super.status("busy").Waiting == 1 })
	if status, _, h := ask(t, "GET", s.URL+"/m/busy/", ""); status != http.StatusServiceUnavailable || h.Get("Retry-After") == "" {
		t.Errorf("a request over the mailbox: %d %v", status, h)
	}
	leave()
	<-gone
	if s := w.super.status("busy"); s.Dropped != 1 {
		t.Errorf("%d events dropped, want 1", s.Dropped)
	}
}

// A guest that reads less than was sent, and answers, leaves a connection that serves the next request.
func TestWebUnread(t *testing.T) {
	w := newWorld(t)
	w.addSite("site", "", site(), nil)
	url := w.serve().URL + "/m/site/x"
	for range 50 {
		if status, got, _ := ask(t, "POST", url, strings.Repeat("b", 2000)); status != 201 || got != "/x"+strings.Repeat("b", 1024) {
			t.Fatalf("got %d %q", status, got)
		}
	}
}

// A page follows what the module may read, and nothing else.
func TestLive(t *testing.T) {
	w := newWorld(t)
	w.inc("a/1")
	w.inc("b/1")
	p := newProgram()
	p.On(sandbox.OnTick)
	w.addSite("page", "[[grants.data]]\ndataset = \"default\"\nprefix = \"a/\"\nread = [\"gcounter\"]\n", p.Bytes(), nil)
	s := w.serve()
	for _, path := range []string{"/m/page/.live", "/m/page/.live?prefix=b/", "/m/page/.live?dataset=other&prefix=a/"} {
		if status, _, _ := ask(t, "GET", s.URL+path, ""); status != http.StatusForbidden {
			t.Errorf("%s: %d", path, status)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.URL+"/m/page/.live?prefix=a/", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("headers %v", answer.Header)
	}
	lines := bufio.NewScanner(answer.Body)
	next := func() string {
		var event []string
		for lines.Scan() && lines.Text() != "" {
			event = append(event, lines.Text())
		}
		return strings.Join(event, " ")
	}
	if got := next(); got != `event: value data: {"family":"gcounter","key":"a/1","value":1}` {
		t.Errorf("first %s", got)
	}
	if got := next(); !strings.HasPrefix(got, "event: ready") {
		t.Errorf("then %s", got)
	}
	w.inc("b/1")
	w.inc("a/2")
	if got := next(); !strings.Contains(got, `"key":"a/2"`) {
		t.Errorf("a change: %s", got)
	}
}

func TestLocalOnly(t *testing.T) {
	h := LocalOnly(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, want := range map[string]int{
		"localhost": 200, "localhost:80": 200, "a.localhost:80": 200, "127.0.0.1:9": 200, "[::1]:9": 200, "[::1]": 200, "127.9.9.9": 200,
		"evil.example": 403, "evil.example:80": 403, "10.0.0.1:80": 403, "localhost.evil.example": 403, "": 403,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		if answer.Code != want {
			t.Errorf("host %q: %d, want %d", host, answer.Code, want)
		}
	}
}

// Outgoing requests reach granted hosts alone, also by redirects.
func TestFetch(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/away":
			http.Redirect(w, r, "http://localhost:1/", http.StatusFound)
		default:
			b, _ := io.ReadAll(r.Body)
			w.Header().Set("X-Echo", r.Header.Get("X-Ask"))
			_, _ = w.Write(b)
		}
	}))
	defer target.Close()
	host := strings.TrimPrefix(target.URL, "http://")
	m, err := module.Parse([]byte("name = \"m\"\nversion = \"1.0.0\"\n[grants]\nhosts = [\"" + host + "\"]\n"))
	if err != nil {
		t.Fatal(err)
	}
	settled := 0
	f := newFetcher(&m.Grants, func(context.Context) error { settled++; return nil })
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	answer, err := f.Fetch(ctx, "POST", target.URL+"/x", [][2]string{{"X-Ask", "q"}}, []byte("body"))
	if err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(answer)
	answer.Close()
	if string(b) != "body" || answer.Status() != 200 || answer.Header("x-echo") != "q" {
		t.Errorf("%d %q", answer.Status(), b)
	}
	for _, url := range []string{"http://127.0.0.1:1/", "http://localhost/", "ftp://" + host + "/", "file:///etc/passwd", target.URL + "/away", "http://user@" + host + ":99/"} {
		if _, err := f.Fetch(ctx, "GET", url, nil, nil); err == nil {
			t.Errorf("%s was fetched", url)
		}
	}
	if settled == 0 {
		t.Error("sent before what was written is on disk")
	}
	if newFetcher(&module.Grants{}, nil) != nil {
		t.Error("a module without hosts has a fetcher")
	}
}

// What an answer may have in headers is bounded, and some would reach over to other modules.
func TestAnswerHeaders(t *testing.T) {
	a := &answer{headers: make(http.Header), body: spool{hold: newMemory().hold("", "")}}
	if err := a.Header("Service-Worker-Allowed", "/"); !errors.Is(err, sandbox.ErrDenied) {
		t.Errorf("a worker over all modules: %v", err)
	}
	if err := a.Header("X", "a\r\nY: b"); err == nil {
		t.Error("a header with a line break")
	}
	for range 1000 {
		if err := a.Header("X", strings.Repeat("x", 1000)); err != nil {
			if !errors.Is(err, sandbox.ErrQuota) {
				t.Error(err)
			}
			return
		}
	}
	t.Error("headers without end")
}

// A module's pages have a site of their own, too.
func TestOwnHost(t *testing.T) {
	w := newWorld(t)
	w.addSite("site", "files = \"web\"\n"+all, site(), map[string]string{"index.html": "hi"})
	for host, want := range map[string]int{"site.localhost:80": 200, "site.localhost": 200, "other.localhost": 404, "localhost": 404} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		answer := httptest.NewRecorder()
		w.super.Web().ServeHTTP(answer, r)
		if answer.Code != want {
			t.Errorf("%s: %d, want %d", host, answer.Code, want)
		}
	}
}
