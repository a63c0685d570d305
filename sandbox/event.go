package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// The exports by which a guest hears of things. Each is () -> (); what happened is pulled with the event_* functions.
const (
	OnInit     = "init"     // once, before all others
	OnShutdown = "shutdown" // once, when the instance is ended in order

	OnChange           = "on_change"    // an object has changed: fields dataset, family, key
	OnRemoteOp         = "on_remote_op" // the same, of changes that another node made
	OnTick             = "on_tick"      // a timer: field timer
	OnMessage          = "on_message"   // fields subject, from, reply; the payload is the body
	OnRequest          = "on_request"   // a web request: fields method, path, query, host, remote, header.NAME; a body
	OnPeerConnected    = "on_peer_connected"
	OnPeerDisconnected = "on_peer_disconnected" // fields peer, addr
)

// handlers are the exports of which a guest that has one lives on to be called.
var handlers = []string{
	OnChange, OnRemoteOp, OnTick, OnMessage, OnRequest, OnPeerConnected, OnPeerDisconnected,
}

// Event is one thing a guest is told, during one call of the export with its name.
type Event struct {
	Name string
	// Fields are what event_get finds, beside "event": the name of the export, in every call of a guest.
	Fields map[string]string
	// Body is what event_read reads; nil = none.
	Body io.Reader
	// Reply takes the answer to a message; nil = nobody waits for one. It is called at most once.
	Reply func(payload []byte) error
	// Response takes the answer to a web request; nil = there is none to give.
	Response Response
}

// Response is where the answer to a web request goes. The first Write sends the status, 200 if none was set, and the
// headers; after it both are refused. Write may block until the other side reads.
type Response interface {
	io.Writer
	Status(code int) error
	Header(name, value string) error
}

// Service is what lets a guest that lives on be called: by its data and by time.
type Service interface {
	// UseDataset is the dataset that the crdt_* functions, watches too, mean from now on; ErrNotFound if the node does
	// not have it.
	UseDataset(name string) (CRDT, error)
	// Watch asks for OnChange and OnRemoteOp of objects whose key starts with prefix; Unwatch takes it back.
	Watch(prefix string) error
	Unwatch(prefix string) error
	// SetTimer sets timer id, in place of an earlier one, to fire after delay and, if period > 0, every period.
	SetTimer(id uint32, delay, period time.Duration) error
	// CancelTimer says whether there was one.
	CancelTimer(id uint32) bool
}

// Messages is how guests talk, also across nodes. Payloads given away belong to the host.
type Messages interface {
	Subscribe(subject string) error
	Unsubscribe(subject string) error
	// Publish tells every subscriber, at most once.
	Publish(ctx context.Context, subject string, payload []byte) error
	// Send tells the subscribers on one node, at least once: it returns when the message is on disk.
	Send(ctx context.Context, node, subject string, payload []byte) error
	// Request returns the first answer, ErrNotFound if nobody gives one before ctx ends.
	Request(ctx context.Context, subject string, payload []byte) ([]byte, error)
}

// Fetcher makes web requests for a guest. headers are in the order the guest gave them.
type Fetcher interface {
	Fetch(ctx context.Context, method, url string, headers [][2]string, body []byte) (Fetched, error)
}

// Fetched is the answer to a Fetch. Header answers "" for what is absent. The guest's runtime closes it.
type Fetched interface {
	io.ReadCloser
	Status() int
	Header(name string) string
}

// ErrNotFound is answered -1.
var ErrNotFound = errors.New("sandbox: not found")

// ErrEnded is the error of calls to an instance that has ended: by an error, by its own exit, or by Close.
var ErrEnded = errors.New("sandbox: the instance has ended")

// eventGet answers a field of the event under way.
func eventGet(c call, arg args) code {
	name, bad := c.read(arg.u32(0), arg.u32(1), maxEventField)
	if bad != codeOK {
		return bad
	}
	if bad := capacity(arg.u32(3)); bad != codeOK {
		return bad
	}
	if c.event == nil {
		return codeNotFound
	}
	value, ok := c.event.Fields[string(name)]
	if string(name) == "event" {
		value, ok = c.event.Name, true
	}
	if !ok {
		return codeNotFound
	}
	return c.write(arg.u32(2), arg.u32(3), []byte(value))
}

// eventRead reads on in the body of the event under way.
func eventRead(c call, arg args) code {
	if c.event == nil {
		return codeNotFound
	}
	return c.readFrom(arg, c.event.Body)
}

// readFrom reads into the guest's buffer what r has, at least a byte unless r is at its end.
func (c call) readFrom(arg args, r io.Reader) code {
	out, bad := c.read(arg.u32(0), arg.u32(1), maxOutput)
	if bad != codeOK {
		return bad
	}
	if r == nil {
		return codeNotFound
	}
	if len(out) == 0 {
		return codeTooSmall
	}
	n, err := 0, error(nil)
	c.wait(func() {
		for n == 0 && err == nil {
			n, err = r.Read(out)
		}
	})
	if n == 0 && err != io.EOF {
		return codeOfOurs(err)
	}
	return code(n)
}

func msgReply(c call, arg args) code {
	payload, bad := c.read(arg.u32(0), arg.u32(1), maxEventPayload)
	if bad != codeOK {
		return bad
	}
	if c.event == nil || c.event.Reply == nil {
		return codeInvalid
	}
	reply := c.event.Reply
	c.event.Reply = nil
	owned := bytes.Clone(payload)
	return c.waitFor(func() error { return reply(owned) })
}

// httpStatus is for an event with a response, as are the next two.
func httpStatus(g *guest, arg args) code {
	status := int(arg.u32(0))
	if g.event == nil || g.event.Response == nil || status < 200 || status > 599 {
		return codeInvalid
	}
	return codeOfOurs(g.event.Response.Status(status))
}

func httpHeader(c call, arg args) code {
	name, bad := c.text(arg.u32(0), arg.u32(1))
	if bad != codeOK {
		return bad
	}
	value, bad := c.text(arg.u32(2), arg.u32(3))
	if bad != codeOK {
		return bad
	}
	if c.event == nil || c.event.Response == nil {
		return codeInvalid
	}
	return codeOfOurs(c.event.Response.Header(name, value))
}

func httpWrite(c call, arg args) code {
	data, bad := c.read(arg.u32(0), arg.u32(1), maxOutput)
	if bad != codeOK {
		return bad
	}
	if c.event == nil || c.event.Response == nil {
		return codeInvalid
	}
	return c.waitFor(func() error { _, err := c.event.Response.Write(data); return err })
}

// EventError says during which call an instance failed.
type EventError struct {
	Event string
	Err   error
}

func (e *EventError) Error() string { return fmt.Sprintf("in %s: %v", e.Event, e.Err) }
func (e *EventError) Unwrap() error { return e.Err }
