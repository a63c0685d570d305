package supervisor

import (
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/numax-mesh/numax/sandbox"
)

// maxAnswer bounds the bytes of an answer; writing on is an error.
const maxAnswer = 64 << 20

// sendPiece is how much of an answer is sent between two looks at the clock.
const sendPiece = 32 << 10

// answer is sandbox.Response for a web request. It is kept until the guest's call has ended and what it wrote to the
// store is on disk; then it is sent.
type answer struct {
	w   http.ResponseWriter
	out *http.ResponseController

	mu    sync.Mutex // guards begun and gone
	begun bool
	gone  bool

	// Of the guest's goroutine, then of finish.
	status  int
	headers http.Header
	header  int // bytes of them
	wrote   bool
	body    spool
	short   error // why not all that the guest wrote is there
}

var (
	errSent   = errors.New("supervisor: the answer was begun already")
	errHeader = errors.New("supervisor: not a header")
	errNoBody = errors.New("supervisor: an answer of this status has no body")
	errLong   = errors.New("supervisor: the answer is too long")
)

// begin is called when a guest is about to see the request; false if nobody waits any more.
func (a *answer) begin() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun = true
	return !a.gone
}

// abandon is called when the client has gone; false if a guest is at it.
func (a *answer) abandon() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.gone = true
	return !a.begun
}

// Status implements sandbox.Response.
func (a *answer) Status(code int) error {
	if a.wrote {
		return errSent
	}
	a.status = code
	return nil
}

// Header implements sandbox.Response.
func (a *answer) Header(name, value string) error {
	if a.wrote {
		return errSent
	}
	if a.header += len(name) + len(value) + 32; a.header > maxHeaders {
		return sandbox.ErrQuota
	}
	if !isHeader(name, value) {
		return errHeader
	}
	name = http.CanonicalHeaderKey(name)
	switch {
	case ofHost(name):
		return sandbox.ErrDenied
	case name == "Service-Worker-Allowed" || name == "Clear-Site-Data":
		return sandbox.ErrDenied // they reach over to the pages of other modules
	case !a.body.hold.take(len(name) + len(value) + 32):
		return sandbox.ErrQuota
	}
	a.headers.Add(name, value)
	return nil
}

// Write implements sandbox.Response. It waits for nobody.
func (a *answer) Write(p []byte) (int, error) {
	if bodyless(a.status) {
		return 0, errNoBody
	}
	a.wrote = true
	if len(p) > maxAnswer-a.body.size {
		a.short = errLong
		return 0, sandbox.ErrQuota
	}
	n, err := a.body.Write(p)
	if err != nil {
		a.short = err
		return n, sandbox.ErrQuota
	}
	return n, nil
}

func bodyless(status int) bool {
	return status == http.StatusNoContent || status == http.StatusNotModified
}

// finish sends the answer, or why there is none, as the guest's call ended.
func (a *answer) finish(err error) {
	if err == nil {
		err = a.short // the client must not take half an answer for a whole one
	}
	if err == nil {
		a.send()
		return
	}
	status, text := http.StatusInternalServerError, ""
	late, body := new(sandbox.DeadlineError), new(bodyError)
	switch {
	case errors.Is(err, ErrFull), errors.Is(err, errNoMemory):
		a.w.Header().Set("Retry-After", "1")
		status = http.StatusServiceUnavailable
	case errors.Is(err, errGone):
		status = http.StatusServiceUnavailable
	case errors.Is(err, errUnanswered):
		status = http.StatusNotFound
	case errors.As(err, &late):
		status = http.StatusGatewayTimeout
	case errors.As(err, &body):
		a.w.Header().Set("Connection", "close") // the rest of the body is no request
		status, text = body.status, body.text
	}
	if text == "" {
		text = http.StatusText(status)
	}
	http.Error(a.w, text, status)
}

// send sends what the guest wrote, and gives back the memory of what was taken.
func (a *answer) send() {
	h := a.w.Header()
	for name, values := range a.headers {
		h[name] = values
	}
	if h.Get("X-Content-Type-Options") == "" {
		h.Set("X-Content-Type-Options", "nosniff")
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if !bodyless(a.status) {
		h.Set("Content-Length", strconv.Itoa(a.body.size))
	}
	began, sent := time.Now(), 0
	a.w.WriteHeader(a.status)
	for len(a.body.pieces) > 0 {
		for p := a.body.pieces[0]; len(p) > 0; {
			n := min(len(p), sendPiece)
			sent += n
			_ = a.out.SetWriteDeadline(pace(began, sent))
			if _, err := a.w.Write(p[:n]); err != nil {
				return // the server ends the connection: the answer is not as long as it said
			}
			p = p[n:]
		}
		a.body.forget()
	}
	_ = a.out.SetWriteDeadline(pace(began, sent))
	if a.out.Flush() == nil { // while there is a deadline
		_ = a.out.SetWriteDeadline(time.Time{})
	}
}
