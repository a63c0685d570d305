package api_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/numax-mesh/numax/node/api"
)

// ask sends one request to a handler.
func ask(h http.Handler, method, target, body string, header ...string) *http.Response {
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

// read is a whole answer, which has to be JSON.
func read(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Header.Get("Content-Type"); got != "application/json" || !json.Valid(b) {
		t.Errorf("answer %q of type %q, want JSON", b, got)
	}
	return strings.TrimSpace(string(b))
}

func TestRoutes(t *testing.T) {
	n := newNode()
	h := api.Handler(n, "")
	const change = `{"dataset":"default","family":"orset","key":"k","verb":"add","args":["a","b"]}`
	for _, c := range []struct {
		method, target, body string
		status               int
		want                 string // a part of the answer
	}{
		{"GET", "/v1/status", "", 200, `"peer_id":"me"`},
		{"GET", "/v1/peers", "", 200, `[]`}, // never null
		{"GET", "/v1/data?dataset=default&family=orset&key=k", "", 200, `{"family":"orset","key":"k","value":[]}`},
		{"POST", "/v1/data", change, 200, `{"family":"orset","key":"k","value":["a","b"]}`},
		{"POST", "/v1/data", change + "\n", 200, `"value":["a","b","a","b"]`},
		{"GET", "/v1/data?dataset=default&family=orset&key=k", "", 200, `"value":["a","b","a","b"]`},
		{"GET", "/v1/data?dataset=default&family=heap&key=k", "", 400, `{"error":"usage: family \"heap\""}`},
		{"GET", "/v1/data?dataset=other&family=orset&key=k", "", 404, `not found`},
		{"GET", "/v1/watch?dataset=other&family=orset&key=k", "", 404, `not found`},
		{"GET", "/v1/watch?dataset=default&family=heap&key=k", "", 400, `heap`},
		{"POST", "/v1/data", strings.Replace(change, "orset", "heap", 1), 400, `heap`},
		{"POST", "/v1/data", strings.Replace(change, "default", "other", 1), 404, `not found`},
		{"POST", "/v1/data", ``, 400, `usage`},
		{"POST", "/v1/data", `[]`, 400, `usage`},
		{"POST", "/v1/data", `{"key":`, 400, `usage`},
		{"POST", "/v1/data", `{"keys":"k"}`, 400, `keys`},
		{"POST", "/v1/data", change + change, 400, `one JSON object`},
		{"POST", "/v1/data", `{"key":"` + strings.Repeat("x", 4<<20) + `"}`, 400, `too large`},
	} {
		r := ask(h, c.method, c.target, c.body)
		got := read(t, r)
		if r.StatusCode != c.status || !strings.Contains(got, c.want) {
			t.Errorf("%s %s %.100q:\ngot  %d %.300s\nwant %d …%s…", c.method, c.target, c.body, r.StatusCode, got, c.status, c.want)
		}
		var f struct{ Error string }
		if c.status != 200 && (json.Unmarshal([]byte(got), &f) != nil || f.Error == "" || strings.Contains(f.Error, "\n")) {
			t.Errorf("%s %s %.100q: error %q, want one line", c.method, c.target, c.body, f.Error)
		}
	}
	for _, c := range []struct {
		method, target string
		status         int
	}{
		{"GET", "/", 404},
		{"GET", "/v1/nothing", 404},
		{"DELETE", "/v1/data", 405},
		{"POST", "/v1/status", 405},
	} {
		if got := ask(h, c.method, c.target, "").StatusCode; got != c.status {
			t.Errorf("%s %s: got %d, want %d", c.method, c.target, got, c.status)
		}
	}

	n.broken = errors.New("the disk is full")
	for _, target := range []string{"/v1/data", "/v1/watch"} {
		r := ask(h, "GET", target, "")
		if got := read(t, r); r.StatusCode != 503 || got != `{"error":"the disk is full"}` {
			t.Errorf("GET %s of a broken node: got %d %s", target, r.StatusCode, got)
		}
	}
}

func TestToken(t *testing.T) {
	h := api.Handler(newNode(), "secret")
	for _, c := range []struct {
		authorization string
		status        int
	}{
		{"", 401},
		{"secret", 401},
		{"Bearer", 401},
		{"Bearer ", 401},
		{"Bearer secre", 401},
		{"Bearer secrets", 401},
		{"Basic secret", 401},
		{"Bearer secret", 200},
	} {
		for _, route := range []string{"GET /v1/status", "GET /v1/peers", "GET /v1/data", "POST /v1/data", "GET /v1/watch", "GET /"} {
			method, target, _ := strings.Cut(route, " ")
			r := ask(h, method, target, "", "Authorization", c.authorization)
			if refused := r.StatusCode == 401; refused != (c.status == 401) {
				t.Errorf("%s with %q: got %d", route, c.authorization, r.StatusCode)
			}
			if c.status == 401 {
				if got := read(t, r); !strings.Contains(got, "api.json") {
					t.Errorf("%s with %q: got %s, want where the token is", route, c.authorization, got)
				}
			}
		}
	}
}

// A value that JSON cannot hold is a failure that says so, not an empty answer.
func TestUnwritableValue(t *testing.T) {
	r := ask(api.Handler(brokenValue{newNode()}, ""), "GET", "/v1/data", "")
	if got := read(t, r); r.StatusCode != 500 || !strings.Contains(got, "error") {
		t.Errorf("got %d %s", r.StatusCode, got)
	}
}

type brokenValue struct{ *memoryNode }

func (brokenValue) Get(string, string, string) (api.Value, error) {
	return api.Value{Family: "gcounter", Count: "many"}, nil
}

// A watch is a value a line, at once, and ends on the node with its client.
func TestWatchStreams(t *testing.T) {
	n := newNode()
	s := httptest.NewServer(api.Handler(n, ""))
	defer s.Close()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", s.URL+"/v1/watch?dataset=default&family=orset&key=k", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Content-Type"); got != "application/x-ndjson" {
		t.Errorf("type: got %q", got)
	}
	lines := bufio.NewScanner(resp.Body)
	for _, want := range []string{`[]`, `["a"]`, `["a","b"]`} {
		if !lines.Scan() {
			t.Fatal(lines.Err())
		}
		if want := `{"family":"orset","key":"k","value":` + want + `}`; lines.Text() != want {
			t.Errorf("got %s, want %s", lines.Text(), want)
		}
		next := map[string]string{`[]`: "a", `["a"]`: "b"}[want]
		if next == "" {
			break
		}
		if _, err := n.Change(ctx, api.Change{Dataset: "default", Family: "orset", Key: "k", Args: []string{next}}); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	eventually(t, "the node watches no more", func() bool { return n.watching() == 0 })
}
