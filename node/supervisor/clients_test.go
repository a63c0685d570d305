package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// Clients that do not send what they said they would, or do not take what they asked for, cost a module nothing: it
// hears of other things, and does not fail.
func TestClientsStall(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	read := p.Import("nx", "event_read", types{i32, i32}, types{i32})
	write := p.Import("nx", "http_write", types{i32, i32}, types{i32})
	p.On(sandbox.OnRequest, slices.Concat(
		sandboxtest.Const32(0), sandboxtest.Const32(100), sandboxtest.CallFunc(read), sandboxtest.Drop(),
		slices.Concat(slices.Repeat([][]byte{slices.Concat(
			sandboxtest.Const32(0), sandboxtest.Const32(60_000), sandboxtest.CallFunc(write), sandboxtest.Drop(),
		)}, 200)...))...) // more than a socket takes unread
	p.On(sandbox.OnMessage, p.count("messages")...)
	w.addSite("site", "[limits]\ndeadline = \"1s\"\n[restart]\ntries = 1\n[grants]\nsubscribe = [\"e\"]\n"+all+"[[triggers]]\nmessage = \"e\"\n", p.Bytes(), nil)
	host := strings.TrimPrefix(w.serve().URL, "http://")
	for range 6 {
		for _, request := range []string{
			"POST /m/site/ HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nx",
			"GET /m/site/ HTTP/1.1\r\nHost: x\r\n\r\n",
		} {
			c, err := net.Dial("tcp", host)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, request); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.wait("those whose request is whole to be answered", func() bool { return w.super.status("site").Calls["on_request"] == 6 })
	_ = w.bus.Publish(t.Context(), "e", nil)
	w.wait("a message after them", func() bool { return w.counted("messages") == 1 })
	if s := w.super.status("site"); s.Failed != 0 || s.Restarts != 0 || s.State != string(Running) {
		t.Errorf("clients that stall made the module fail: %+v", s)
	}
	if status, body, _ := ask(t, "GET", "http://"+host+"/m/site/", ""); status != 200 || len(body) != 200*60_000 {
		t.Errorf("a good client gets %d, %d bytes", status, len(body))
	}
}

// What is about the connection is the host's: a guest neither sees nor sets it, and a header that is none is refused.
func TestHopByHop(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	write := p.Import("nx", "http_write", types{i32, i32}, types{i32})
	hop := []string{
		"connection", "transfer-encoding", "content-length", "keep-alive", "te", "trailer", "upgrade", "proxy-authorization",
		"proxy-connection", "x-named", "x-plain",
	}
	var code []byte
	for _, name := range hop { // a line of + or - for each
		place, args := at(256, "header."+name)
		code = slices.Concat(code, place, sandboxtest.Poke(64, []byte("-")), args, sandboxtest.Const32(1024), sandboxtest.Const32(256), sandboxtest.CallFunc(p.get),
			sandboxtest.Const32(0), []byte{0x4e, 0x04, 0x40}, // if it is there
			sandboxtest.Poke(64, []byte("+")), []byte{0x0b},
			sandboxtest.Const32(64), sandboxtest.Const32(1), sandboxtest.CallFunc(write), sandboxtest.Drop())
	}
	p.On(sandbox.OnRequest, code...)
	w.addSite("site", "", p.Bytes(), nil)
	host := strings.TrimPrefix(w.serve().URL, "http://")
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = io.WriteString(c, "POST /m/site/x HTTP/1.1\r\nHost: x\r\nConnection: X-Named, close\r\nX-Named: 1\r\nTE: trailers\r\nKeep-Alive: 5\r\n"+
		"Trailer: X-T\r\nUpgrade: h2c\r\nProxy-Authorization: Basic x\r\nProxy-Connection: close\r\nX-Plain: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	first, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(first.Body)
	if want := strings.Repeat("-", len(hop)-1) + "+"; err != nil || string(got) != want {
		t.Errorf("the guest sees %s, want %s of %v, %v", got, want, hop, err)
	}
	_, got2, _ := ask(t, "POST", "http://"+host+"/m/site/x", "body") // with a Content-Length
	if got2 != strings.Repeat("-", len(hop)) {
		t.Errorf("the guest sees %s", got2)
	}

	a := &answer{headers: make(http.Header), body: spool{hold: newMemory().hold("", "")}}
	for _, name := range hop[:len(hop)-2] {
		if err := a.Header(name, "x"); !errors.Is(err, sandbox.ErrDenied) {
			t.Errorf("a guest sets %s: %v", name, err)
		}
	}
	for _, x := range [][2]string{{"X-A\tB", "x"}, {"", "x"}, {"X A", "x"}, {"X:", "x"}, {"Ä", "x"}, {"X(", "x"}, {"X", "a\r\nb"}, {"X", "a\x00"}, {"X", "\x1b["}} {
		if err := a.Header(x[0], x[1]); !errors.Is(err, errHeader) {
			t.Errorf("header %q: %q is taken: %v", x[0], x[1], err)
		}
	}
	for _, x := range [][2]string{{"X-A", "a\tb ü"}, {"ETag", `"x"`}, {"Set-Cookie", "a=b; Path=/"}} {
		if err := a.Header(x[0], x[1]); err != nil {
			t.Errorf("header %q: %q: %v", x[0], x[1], err)
		}
	}
}

// A guest sees no path with parts to be taken out, however it is written.
func TestPathsAreClean(t *testing.T) {
	w := newWorld(t)
	w.addSite("site", "[[triggers]]\nhttp = \"/shop\"\n"+all, site(), nil)
	host := strings.TrimPrefix(w.serve().URL, "http://")
	for path, want := range map[string]string{
		"/m/site/%2e%2e/x": "404", "/m/site/a/%2e%2e/b": "/b", "/m/site/a%2f..%2f..%2f..%2f/x": "404", "/shop/%2e%2e/%2e%2e/etc": "404",
		"/shop/./a/%2e/b/": "/shop/a/b/", "/m/site//%2f/b": "/b",
	} {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path)
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(answer.Body)
		got := string(body)
		switch answer.StatusCode {
		case 301, 307: // the browser goes there
			got = want
			if l := answer.Header.Get("Location"); strings.Contains(l, "/../") || strings.Contains(l, "//") {
				t.Errorf("%s: sent to %s", path, l)
			}
		case 404:
			got = "404"
		}
		if got != want {
			t.Errorf("%s: the guest sees %q, want %q", path, got, want)
		}
	}
}

// Requests are charged for what they hold, to their client, their module and their mailbox, and it comes back.
func TestRequestMemory(t *testing.T) {
	m := newMemory()
	a, b := m.hold("a", "m"), m.hold("b", "n")
	s := spool{hold: a}
	n, err := s.Write(make([]byte, webShare+1))
	if !errors.Is(err, errNoMemory) || n > webShare || a.size > webShare || a.size < int64(n) {
		t.Errorf("one client holds %d bytes in %d: %v", n, a.size, err)
	}
	if !b.take(1 << 20) {
		t.Error("another client has no room beside it")
	}
	if m.hold("b", "m").take(webShare) || m.hold("a", "n").take(webShare) {
		t.Error("a share is not the module's, or not the client's")
	}
	if got, err := io.Copy(io.Discard, &s); err != nil || got != int64(n) || a.size != 0 {
		t.Errorf("read %d of %d, %d are still held: %v", got, n, a.size, err)
	}
	a.release()
	b.release()
	if m.used != 0 || len(m.shares) != 0 {
		t.Errorf("%d bytes are held by nobody: %v", m.used, m.shares)
	}

	r := httptest.NewRequest("GET", "/m/x/?"+strings.Repeat("q", 30_000), nil)
	r.Header.Set("X", strings.Repeat("x", 30_000))
	if _, size := requestFields(r, "/"); size < 60_000 {
		t.Errorf("60,000 bytes of query and header are charged as %d", size)
	}
}

// The mailbox is full when what waits is large, and a request whose client has gone waits no more.
func TestRequestsWait(t *testing.T) {
	w := newWorld(t)
	p := newProgram()
	p.On(sandbox.OnRequest, append(p.count("requests"), sandboxtest.Forever()...)...)
	w.addSite("busy", "[limits]\nmailbox = 65536\ndeadline = \"10s\"\n"+all, p.Bytes(), nil)
	host := strings.TrimPrefix(w.serve().URL, "http://")
	say := func(text string) net.Conn {
		c, err := net.Dial("tcp", host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
		return c
	}
	large := "GET /m/busy/?" + strings.Repeat("q", 60_000) + " HTTP/1.1\r\nHost: x\r\n\r\n"
	say(large)
	w.wait("the first", func() bool { return w.counted("requests") == 1 })
	var all []net.Conn
	for range 200 {
		all = append(all, say(large))
	}
	w.wait("some to be refused", func() bool { return w.super.status("busy").Dropped > 0 })
	if n := w.super.status("busy").Waiting * 60_000 * 2; n > maxWaiting {
		t.Errorf("%d bytes of fields wait, at most %d may", n, maxWaiting)
	}
	for _, c := range all {
		c.Close()
	}
	w.wait("those whose client has gone to go", func() bool { return w.super.status("busy").Waiting == 0 })
	if s := w.super.status("busy"); s.Calls["on_request"] != 0 {
		t.Error("they went only when the guest's call was over")
	}
	u := w.super.unit("busy")
	u.box.mu.Lock()
	counted, bytes := u.box.counted, u.box.bytes
	u.box.mu.Unlock()
	if counted != 0 || bytes != 0 {
		t.Errorf("nobody waits, and %d events of %d bytes are counted", counted, bytes)
	}
}

// One client cannot have all the live connections of a module, and many of one end for another's first.
func TestLives(t *testing.T) {
	var l lives
	ended := make(map[string]int)
	join := func(client string) func() { return l.join(client, func() { ended[client]++ }) }
	for range maxLiveClient {
		if join("a") == nil {
			t.Fatal("refused too soon")
		}
	}
	if join("a") != nil {
		t.Error("one client has more than its share")
	}
	for _, c := range []string{"b", "c", "d"} {
		for range maxLiveClient {
			join(c)
		}
	}
	leave := join("e")
	if leave == nil || len(ended) != 1 || l.all != maxLive {
		t.Errorf("a client with none got %v; ended %v, %d there", leave != nil, ended, l.all)
	}
	leave()
	leave()
	if l.all != maxLive-1 {
		t.Errorf("%d there, want %d", l.all, maxLive-1)
	}
	for i := range maxLive { // each alone
		if join(fmt.Sprint("x", i)) == nil {
			break
		}
	}
	if l.all > maxLive {
		t.Errorf("%d at once", l.all)
	}
}

// A body that does not come whole is the client's fault, and one that is too long is refused before it is read.
func TestBodies(t *testing.T) {
	w := newWorld(t)
	w.addSite("site", all, site(), nil)
	url := w.serve().URL + "/m/site/x"
	if status, got, _ := ask(t, "POST", url, strings.Repeat("b", 100_000)); status != 201 || got != "/x"+strings.Repeat("b", 1024) {
		t.Errorf("got %d, %d bytes", status, len(got))
	}
	host, _, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
	c, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	fmt.Fprintf(c, "POST /m/site/x HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", maxRequestBody+1)
	answer, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || answer.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("a body over the bound: %v %v", answer, err)
	}
	if n := w.counted("requests"); n != 1 {
		t.Errorf("the guest heard of %d requests", n)
	}
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// What a page is told at the start is found where it lies: what is beside it is not looked at. What it costs is its
// module's.
func TestLiveCosts(t *testing.T) {
	w := newWorld(t)
	for _, key := range []string{"a", "a\x00", "a\x00b", "aa", "ab", "b", "a\xff"} {
		w.inc(key)
	}
	for prefix, want := range map[string]int{"": 7, "a": 6, "a\x00": 2, "a\x00b": 1, "aa": 1, "b": 1, "c": 0, "a\xff": 1} {
		n := 0
		err := w.data.ObjectsUnder(t.Context(), prefix, func(o replica.Object) bool {
			if n++; !strings.HasPrefix(o.Key, prefix) {
				t.Errorf("%q is not under %q", o.Key, prefix)
			}
			return true
		})
		if err != nil || n != want {
			t.Errorf("%d objects under %q, want %d: %v", n, prefix, want, err)
		}
	}
	p := newProgram()
	p.On(sandbox.OnTick)
	w.addSite("page", all, p.Bytes(), nil)
	u := w.super.unit("page")
	// Many pages that each ask for little, and go, are charged together.
	s := w.serve()
	asked, _ := u.cpu.Used()
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/m/page/.live", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if lines := bufio.NewScanner(answer.Body); !lines.Scan() {
			t.Error("a page is told nothing")
		}
		cancel()
		_ = answer.Body.Close()
		before := asked
		w.wait("the page to be charged", func() bool { asked, _ = u.cpu.Used(); return asked > before })
	}
	l := &liveStream{unit: u, since: time.Now().Add(-50 * time.Millisecond)}
	before, _ := u.cpu.Used()
	_ = l.charge(t.Context())
	if after, _ := u.cpu.Used(); after-before < 50*time.Millisecond {
		t.Errorf("50 ms of work for a page was charged as %v", after-before)
	}
	// A module that has used up its share does no more for pages that come.
	_ = u.cpu.Spend(ended(), time.Hour)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	told := httptest.NewRecorder()
	l = &liveStream{unit: u, dataset: "default", w: told, out: http.NewResponseController(told)}
	if err := l.follow(ctx, w.data, ""); err == nil || told.Body.Len() > 0 {
		t.Errorf("a page is told %q: %v", told.Body, err)
	}
}
