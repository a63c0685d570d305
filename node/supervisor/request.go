package supervisor

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/numax-mesh/numax/node/door"
	"github.com/numax-mesh/numax/sandbox"
)

// Limits of web requests to modules.
const (
	maxRequestBody = 16 << 20 // bytes; more is 413
	maxFields      = 256      // headers; more are 431
	requestCost    = 16 << 10 // bytes that a request takes beside what it says
	fieldCost      = 64       // and a field
)

// A client has clientTime, and a second more for each clientRate bytes, to send a body, and again to take the answer.
// That is its own time: no module waits for a client.
const (
	clientTime = 30 * time.Second
	clientRate = 32 << 10
)

// pace is until when n bytes must have been sent or taken.
func pace(began time.Time, n int) time.Time {
	return began.Add(clientTime + time.Duration(n)*time.Second/clientRate)
}

var errNoMemory = errors.New("supervisor: too much of other requests is held")

// ask has the guest answer a request:
//
//	the client sends ──body──► memory ──► mailbox ──► the guest's call ──answer──► memory ──► the client takes it
//	 └─ at its pace             └ bounded, of all, of one client, of one module ┘              └─ at its pace
func (u *unit) ask(w http.ResponseWriter, r *http.Request, below string) {
	h := u.s.web.hold(door.Client(r.RemoteAddr), u.name)
	defer h.release()
	if len(r.Header) > maxFields {
		http.Error(w, "too many headers", http.StatusRequestHeaderFieldsTooLarge)
		return
	}
	fields, size := requestFields(r, below)
	a := &answer{w: w, out: http.NewResponseController(w), body: spool{hold: h}, headers: make(http.Header)}
	if err := u.box.check(size); err != nil {
		a.finish(err) // before anything is read
		return
	}
	if !h.take(size) {
		a.finish(errNoMemory)
		return
	}
	body := spool{hold: h}
	if err := readBody(w, r, a.out, &body); err != nil {
		a.finish(err)
		return
	}
	done := make(chan error, 1)
	i := &item{
		event: &sandbox.Event{Name: sandbox.OnRequest, Fields: fields, Body: &body, Response: a},
		size:  size, done: func(err error) { done <- err },
	}
	err := u.box.push(i)
	if err == nil {
		select {
		case err = <-done:
		case <-r.Context().Done():
			if a.abandon() { // nobody has begun with it
				u.box.remove(i)
				return
			}
			err = <-done
		}
	}
	for len(body.pieces) > 0 { // what the guest did not read
		body.forget()
	}
	a.finish(err)
}

// requestFields is what a guest is told of a request, and what that takes.
func requestFields(r *http.Request, below string) (fields map[string]string, size int) {
	fields = map[string]string{
		"method": r.Method, "path": below, "query": r.URL.RawQuery, "host": r.Host, "remote": r.RemoteAddr,
	}
	hosts := named(r.Header)
	for name, values := range r.Header {
		if !ofHost(name) && !hosts[name] {
			fields["header."+strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	size = requestCost
	for name, value := range fields {
		size += 2*(len(name)+len(value)) + fieldCost // as it came, and as it is told
	}
	return fields, size
}

// bodyError is why a body was not read, as the client is told.
type bodyError struct {
	status int
	text   string
}

func (e *bodyError) Error() string { return e.text }

// readBody reads all of a body.
func readBody(w http.ResponseWriter, r *http.Request, out *http.ResponseController, to *spool) error {
	long := &bodyError{http.StatusRequestEntityTooLarge, "a request has at most 16 MiB"}
	if r.ContentLength > maxRequestBody {
		return long
	}
	if r.Body == http.NoBody {
		return nil
	}
	in := http.MaxBytesReader(w, r.Body, maxRequestBody)
	began := time.Now()
	for {
		room := to.room()
		if room == nil {
			return errNoMemory
		}
		_ = out.SetReadDeadline(pace(began, to.size))
		n, err := in.Read(room)
		to.used(n)
		switch {
		case err == io.EOF:
			_ = out.SetReadDeadline(time.Time{})
			return nil
		case errors.As(err, new(*http.MaxBytesError)):
			return long
		case err != nil:
			return &bodyError{http.StatusRequestTimeout, "the request did not come whole in time"}
		}
	}
}
