//go:build !wasip1

package nx_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

func ExampleCurrentMessage() {
	// In a guest, with //go:wasmexport on_message above it:
	onMessage := func() {
		m, err := nx.CurrentMessage()
		if err == nil && m.Asks {
			err = nx.Reply(append([]byte("echo: "), m.Payload...))
		}
		if err != nil {
			nx.Abort(err.Error())
		}
	}
	got := nx.During("on_message", map[string]string{"subject": "say", "reply": "1"}, []byte("hello"), onMessage)
	fmt.Printf("%s\n", got.Reply)
	// Output: echo: hello
}

func ExampleResponse() {
	onRequest := func() {
		r := nx.CurrentRequest()
		var w nx.Response
		w.SetStatus(404)
		w.SetHeader("Content-Type", "text/plain")
		fmt.Fprintf(w, "%s %s: nothing here", r.Method, r.Path)
	}
	got := nx.During("on_request", map[string]string{"method": "GET", "path": "/x"}, nil, onRequest)
	fmt.Println(got.Status, got.Headers, string(got.Body))
	// Output: 404 [{Content-Type text/plain}] GET /x: nothing here
}

// Outside a call there is no event, and nothing to answer.
func TestNoEvent(t *testing.T) {
	if v, ok := nx.Field("event"); ok || v != "" {
		t.Errorf("event is %q", v)
	}
	if b, err := io.ReadAll(nx.Body); len(b) > 0 || err != nil {
		t.Errorf("body is %q, %v", b, err)
	}
	_, write := nx.Response{}.Write(nil)
	for why, err := range map[string]error{
		"reply": nx.Reply(nil), "status": nx.Response{}.SetStatus(200), "header": nx.Response{}.SetHeader("a", "b"), "write": write,
	} {
		if !errors.Is(err, nx.ErrInvalid) {
			t.Errorf("%s: %v", why, err)
		}
	}
}

// A head is sent once, and a message is answered once.
func TestAnswersOnce(t *testing.T) {
	nx.During("on_request", nil, nil, func() {
		var w nx.Response
		io.WriteString(w, "a")
		if err := w.SetStatus(500); !errors.Is(err, nx.ErrInvalid) {
			t.Errorf("status after a write: %v", err)
		}
	})
	got := nx.During("on_message", map[string]string{"reply": "1"}, nil, func() {
		if err := errors.Join(nx.Reply(nil)); err != nil {
			t.Error(err)
		}
		if err := nx.Reply([]byte("again")); !errors.Is(err, nx.ErrInvalid) {
			t.Errorf("second reply: %v", err)
		}
	})
	if got.Reply == nil || len(got.Reply) > 0 {
		t.Errorf("reply is %q", got.Reply)
	}
}

func TestServices(t *testing.T) {
	for why, c := range map[string]struct{ got, want error }{
		"timer":   {nx.SetTimer(1, time.Second, 0), nil},
		"past":    {nx.SetTimer(1, -time.Second, 0), nx.ErrInvalid},
		"watch":   {errors.Join(nx.Watch("a"), nx.Unwatch("a")), nil},
		"subject": {nx.Subscribe("a b"), nx.ErrInvalid},
		"publish": {errors.Join(nx.Subscribe("a"), nx.Publish("a", nil), nx.Send("n", "a", nil), nx.Unsubscribe("a")), nil},
		"long":    {nx.Publish(strings.Repeat("a", 129), nil), nx.ErrInvalid},
		"large":   {nx.Publish("a", make([]byte, 64<<10+1)), nx.ErrInvalid},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", why, c.got, c.want)
		}
	}
	if ok, err := nx.CancelTimer(1); !ok || err != nil {
		t.Errorf("cancel: %v, %v", ok, err)
	}
	if ok, err := nx.CancelTimer(1); ok || err != nil {
		t.Errorf("cancel again: %v, %v", ok, err)
	}
	if ok, err := nx.UseDataset("none"); ok || err != nil {
		t.Errorf("use an unknown dataset: %v, %v", ok, err)
	}
	if _, ok, err := nx.Ask("a", nil, time.Second); ok || err != nil {
		t.Errorf("ask nobody: %v, %v", ok, err)
	}
	if _, err := nx.Fetch("GET", "http://h/", nil, nil); !errors.Is(err, nx.ErrDenied) {
		t.Errorf("fetch: %v", err)
	}
}
