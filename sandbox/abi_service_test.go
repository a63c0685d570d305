package sandbox_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// response notes what a guest answers.
type response struct {
	strings.Builder
	err error
}

func (r *response) Status(code int) error { fmt.Fprintf(r, "%d|", code); return r.err }
func (r *response) Header(name, value string) error {
	fmt.Fprintf(r, "%s=%s|", name, value)
	return r.err
}

// Every function for guests that live on: good and bad input, what the host is asked, and -6 without a host.
func TestServiceRows(t *testing.T) {
	const mostly = 64 * kib
	over := strings.Repeat("s", 129)
	sum := func(s string) string { h := blake3.Sum256([]byte(s)); return string(h[:]) }
	rows := []struct {
		call  string
		args  []arg
		want  int64
		asked string // of the service; "" = nothing
		out   string
		free  bool // needs no service
	}{
		{call: "dataset_use", args: []arg{in("other")}, asked: "use other"},
		{call: "dataset_use", args: []arg{in("none")}, want: -1},
		{call: "dataset_use", args: []arg{in("\xff")}, want: -3, free: true},
		{call: "crdt_watch", args: []arg{in("p/")}, asked: "watch p/"},
		{call: "crdt_watch", args: []arg{in("")}, asked: "watch "},
		{call: "crdt_watch", args: []arg{in(long + "k")}, want: -3, free: true},
		{call: "crdt_unwatch", args: []arg{in("p/")}, asked: "unwatch p/"},
		{call: "timer_set", args: []arg{num(7), num(1500), num(10)}, asked: "timer 7 1.5s 10ms"},
		{call: "timer_set", args: []arg{num(7), num(0), num(0)}, asked: "timer 7 0s 0s"},
		{call: "timer_set", args: []arg{num(7), num(0), num(9)}, want: -3, free: true},
		{call: "timer_set", args: []arg{num(7), num(1 << 63), num(0)}, want: -3, free: true},
		{call: "timer_cancel", args: []arg{num(1)}},
		{call: "timer_cancel", args: []arg{num(2)}, want: -1},
		{call: "msg_subscribe", args: []arg{in("a.b")}, asked: "subscribe a.b"},
		{call: "msg_subscribe", args: []arg{in("a.*")}, asked: "subscribe a.*"},
		{call: "msg_subscribe", args: []arg{in("*")}, want: -3, free: true},
		{call: "msg_subscribe", args: []arg{in("a b")}, want: -3, free: true},
		{call: "msg_subscribe", args: []arg{in("")}, want: -3, free: true},
		{call: "msg_subscribe", args: []arg{in(over)}, want: -3, free: true},
		{call: "msg_unsubscribe", args: []arg{in("a.b")}, asked: "unsubscribe a.b"},
		{call: "msg_publish", args: []arg{in("a"), in("hi")}, asked: "publish a hi"},
		{call: "msg_publish", args: []arg{in("a"), size(mostly + 1)}, want: -3, free: true},
		{call: "msg_send", args: []arg{in("n"), in("a"), in("hi")}, asked: "send n a hi"},
		{call: "msg_send", args: []arg{in("n"), in(""), in("hi")}, want: -3, free: true},
		{call: "msg_request", args: []arg{in("a"), in("q"), num(60_000), out(mostly)}, want: 6, asked: "request a q", out: "answer"},
		{call: "msg_request", args: []arg{in("a"), in("q"), num(60_000), out(mostly - 1)}, want: -2, free: true},
		{call: "msg_request", args: []arg{in("a"), in("q"), num(60_000), at(memoryEnd-1, mostly)}, want: -3, free: true},
		{call: "fetch", args: []arg{in("GET"), in("http://h/"), in("A: b\nC:d\r\n"), in("x")}, want: 201, asked: "GET http://h/ [[A b] [C d]] x"},
		{call: "fetch", args: []arg{in("GET"), in("http://h/"), in("no colon"), in("")}, want: -3, free: true},
		{call: "fetch_header", args: []arg{in("Kind"), out(9)}, want: -1, free: true}, // nothing was fetched
		{call: "fetch_read", args: []arg{out(9)}, want: -1, free: true},
		{call: "blob_write", args: []arg{in("hi")}, asked: "blob write hi"},
		{call: "blob_write", args: []arg{size(mib)}, asked: "blob write " + string(blank[:mib])},
		{call: "blob_write", args: []arg{size(mib + 1)}, want: -3, free: true},
		{call: "blob_write", args: []arg{at(memoryEnd, 1)}, want: -3, free: true},
		{call: "blob_finish", args: []arg{out(32)}, want: 32, asked: "blob finish", out: sum("")},
		{call: "blob_finish", args: []arg{out(31)}, want: -2, free: true},
		{call: "blob_finish", args: []arg{out(mib + 1)}, want: -3, free: true},
		{call: "blob_finish", args: []arg{at(memoryEnd-31, 32)}, want: -3, free: true},
		{call: "blob_size", args: []arg{in(sum("answer"))}, want: 6, asked: "blob size"},
		{call: "blob_size", args: []arg{in(sum("none"))}, want: -1},
		{call: "blob_size", args: []arg{in(sum("answer")[1:])}, want: -3, free: true},
		{call: "blob_size", args: []arg{in(sum("answer") + "x")}, want: -3, free: true},
		{call: "blob_read", args: []arg{in(sum("answer")), num(2), out(3)}, want: 3, asked: "blob read at 2", out: "swe"},
		{call: "blob_read", args: []arg{in(sum("answer")), num(2), out(9)}, want: 4, asked: "blob read at 2", out: "swer"},
		{call: "blob_read", args: []arg{in(sum("answer")), num(6), out(9)}, asked: "blob read at 6"},
		{call: "blob_read", args: []arg{in(sum("answer")), num(0), out(0)}, want: -2, free: true},
		{call: "blob_read", args: []arg{in(sum("answer")), num(1 << 63), out(9)}, want: -3, free: true},
		{call: "blob_read", args: []arg{in(sum("answer")), num(0), out(mib + 1)}, want: -3, free: true},
		{call: "blob_read", args: []arg{in(sum("none")), num(0), out(9)}, want: -1},
		{call: "blob_read", args: []arg{in("short"), num(0), out(9)}, want: -3, free: true},
		{call: "blob_drop", args: []arg{in(sum("answer"))}, asked: "blob drop"},
		{call: "blob_drop", args: []arg{in(sum("none"))}, want: -1},
		{call: "blob_drop", args: []arg{in("short")}, want: -3, free: true},
		{call: "event_get", args: []arg{in("x"), out(9)}, want: -1, free: true}, // no event
		{call: "event_read", args: []arg{out(9)}, want: -1, free: true},
		{call: "msg_reply", args: []arg{in("x")}, want: -3, free: true},
		{call: "http_status", args: []arg{num(200)}, want: -3, free: true},
		{call: "http_header", args: []arg{in("a"), in("b")}, want: -3, free: true},
		{call: "http_write", args: []arg{in("x")}, want: -3, free: true},
	}
	m := compileForwarder(t)
	for _, r := range rows {
		f := newFixture(t, m)
		s := &sandboxtest.Service{Node: f.Node, Reply: []byte("answer")}
		f.serve(s)
		if got := f.call(r.call, r.args...); got != r.want {
			t.Errorf("%s = %d, want %d", r.call, got, r.want)
		}
		if asked := strings.Join(s.Asked, ";"); asked != r.asked {
			t.Errorf("%s asked %q, want %q", r.call, asked, r.asked)
		}
		if f.output(len(r.out)) != r.out {
			t.Errorf("%s wrote %q, want %q", r.call, f.output(len(r.out)), r.out)
		}
		f.quiet(int64(len(r.out)))
		if r.want < 0 || r.call == "timer_cancel" {
			continue
		}
		for err, want := range map[error]int64{sandbox.ErrDenied: -6, sandbox.ErrBusy: -8, sandbox.ErrQuota: -7, errors.New("fire"): -3} {
			s.Err = err
			f.serve(s) // as it was before the call
			if got := f.call(r.call, r.args...); got != want {
				t.Errorf("%s with %v = %d, want %d", r.call, err, got, want)
			}
			f.quiet(0)
		}
		denied := newFixture(t, m) // without a service
		want := int64(-6)
		if r.free {
			want = r.want
		}
		if got := denied.call(r.call, r.args...); got != want {
			t.Errorf("%s without a host = %d, want %d", r.call, got, want)
		}
		if !r.free && !slices.Equal(denied.denied, []string{r.call}) {
			t.Errorf("%s: denied calls counted %q", r.call, denied.denied)
		}
	}
}

// What an instance has not finished is dropped at its end, however that comes.
func TestUnfinishedBlob(t *testing.T) {
	m := new(sandboxtest.Module)
	write := m.Import("nx", "blob_write", []sandboxtest.Type{i32, i32}, []sandboxtest.Type{i32})
	m.Memory(1, "memory")
	hi := slices.Concat(sandboxtest.SayCode(write, "hi"), sandboxtest.TrapUnless32(0))
	m.On(sandbox.OnTick, hi...)
	m.On(sandbox.OnChange, slices.Concat(hi, sandboxtest.Trap())...)
	code := compile(t, m.Bytes())
	for _, event := range []string{sandbox.OnTick, sandbox.OnChange} {
		s := &sandboxtest.Service{Node: sandboxtest.NewNode()}
		host := s.Host()
		host.Blobs = s.Blobs()
		i, err := code.Start(t.Context(), sandbox.Call{Host: host})
		if err != nil {
			t.Fatal(err)
		}
		failed := i.Handle(t.Context(), &sandbox.Event{Name: event}) != nil
		if failed != (event == sandbox.OnChange) {
			t.Errorf("%s failed: %t", event, failed)
		}
		if err := i.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if want := []string{"blob write hi", "blob discard hi"}; !slices.Equal(s.Asked, want) {
			t.Errorf("%s asked %q, want %q", event, s.Asked, want)
		}
	}
}

// A request that nobody answers ends at its timeout.
func TestRequestTimeout(t *testing.T) {
	f := newFixture(t, compileForwarder(t))
	f.serve(&sandboxtest.Service{Node: f.Node})
	if got := f.call("msg_request", in("a"), in("q"), num(1), out(64*kib)); got != -1 {
		t.Errorf("msg_request = %d, want -1", got)
	}
}

func TestFetched(t *testing.T) {
	f := newFixture(t, compileForwarder(t))
	f.serve(&sandboxtest.Service{Node: f.Node, Reply: []byte("abc")})
	f.call("fetch", in("GET"), in("http://h/"), in(""), in(""))
	for _, r := range []struct {
		call string
		args []arg
		want int64
		out  string
	}{
		{"fetch_header", []arg{in("Kind"), out(4)}, 4, "test"},
		{"fetch_header", []arg{in("Kind"), out(3)}, -2, ""},
		{"fetch_header", []arg{in("Other"), out(3)}, -1, ""},
		{"fetch_read", []arg{out(0)}, -2, ""},
		{"fetch_read", []arg{out(2)}, 2, "ab"},
		{"fetch_read", []arg{at(memoryEnd, 2)}, -3, ""},
		{"fetch_read", []arg{out(2)}, 1, "c"},
		{"fetch_read", []arg{out(2)}, 0, ""},
	} {
		f.clear()
		if got := f.call(r.call, r.args...); got != r.want || f.output(len(r.out)) != r.out {
			t.Errorf("%s = %d %q, want %d %q", r.call, got, f.output(len(r.out)), r.want, r.out)
		}
		f.quiet(int64(len(r.out)))
	}
}

func TestEventRows(t *testing.T) {
	f := newFixture(t, compileForwarder(t))
	var replies []string
	answer := new(response)
	sandbox.SetEvent(f.ctx, &sandbox.Event{
		Name: "on_message", Fields: map[string]string{"subject": "s", "empty": ""}, Body: strings.NewReader("body"),
		Reply:    func(p []byte) error { replies = append(replies, string(p)); return nil },
		Response: answer,
	})
	for _, r := range []struct {
		call string
		args []arg
		want int64
		out  string
	}{
		{"event_get", []arg{in("event"), out(64)}, 10, "on_message"},
		{"event_get", []arg{in("subject"), out(1)}, 1, "s"},
		{"event_get", []arg{in("subject"), out(0)}, -2, ""},
		{"event_get", []arg{in("empty"), out(0)}, 0, ""},
		{"event_get", []arg{in("absent"), out(9)}, -1, ""},
		{"event_get", []arg{in("subject"), out(mib + 1)}, -3, ""},
		{"event_get", []arg{at(memoryEnd, 1), out(9)}, -3, ""},
		{"event_read", []arg{out(3)}, 3, "bod"},
		{"event_read", []arg{out(3)}, 1, "y"},
		{"event_read", []arg{out(3)}, 0, ""},
		{"msg_reply", []arg{in("one")}, 0, ""},
		{"msg_reply", []arg{in("two")}, -3, ""},
		{"http_status", []arg{num(404)}, 0, ""},
		{"http_status", []arg{num(199)}, -3, ""},
		{"http_header", []arg{in("A"), in("b")}, 0, ""},
		{"http_write", []arg{in("page")}, 0, ""},
		{"http_write", []arg{at(memoryEnd, 1)}, -3, ""},
	} {
		f.clear()
		if got := f.call(r.call, r.args...); got != r.want || f.output(len(r.out)) != r.out {
			t.Errorf("%s = %d %q, want %d %q", r.call, got, f.output(len(r.out)), r.want, r.out)
		}
		f.quiet(int64(len(r.out)))
	}
	if !slices.Equal(replies, []string{"one"}) {
		t.Errorf("replies %q", replies)
	}
	if answer.String() != "404|A=b|page" {
		t.Errorf("response %q", answer.String())
	}
}

// What is withheld is answered -6, and the language's runtime still starts.
func TestWithheld(t *testing.T) {
	f := newFixture(t, compileForwarder(t))
	f.host.WithholdTime, f.host.WithholdRandom = true, true
	f.open()
	if got := f.call("time_now"); got != -6 {
		t.Errorf("time_now = %d", got)
	}
	if got := f.call("random_bytes", out(8)); got != -6 {
		t.Errorf("random_bytes = %d", got)
	}
	if !slices.Equal(f.denied, []string{"time_now", "random_bytes"}) {
		t.Errorf("counted %q", f.denied)
	}
}
