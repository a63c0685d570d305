package supervisor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
)

// Limits of web requests to modules.
const (
	maxRequestBody = 16 << 20        // bytes; reading on is an error
	maxAnswer      = 64 << 20        // bytes; writing on is an error
	maxHeaders     = 64 << 10        // bytes of the headers of an answer, given or fetched
	maxUnread      = 64 << 10        // bytes of a request that are read though the guest did not; above, the connection ends
	unreadTime     = 5 * time.Second // for that
)

// Web is the part of the node that web browsers see:
//
//	/m/NAME/PATH      the module's files, and for what is none of them its on_request, which sees /PATH
//	/m/NAME/.live     changes as they happen: see live
//	NAME.localhost/…  the same without /m/NAME: a module's pages by themselves
//	PATH              the same of the module with the longest http trigger above PATH, which sees PATH as it is
//
// Pages of other sites can send nothing here but what a link or an image can. Pages under /m/ are of one site, and can
// send each other's modules what a person could: modules that do not trust each other are for NAME.localhost.
func (s *Supervisor) Web() http.Handler {
	clean := http.NewServeMux() // sends a browser from a/../b to b
	clean.HandleFunc("/", s.serveWeb)
	return http.NewCrossOriginProtection().Handler(clean)
}

func (s *Supervisor) serveWeb(w http.ResponseWriter, r *http.Request) {
	if name := ownHost(r.Host); s.cfg.Shelf.has(name) {
		if u := s.unit(name); u != nil {
			u.serveWeb(w, r, r.URL.Path)
		} else {
			s.absent(w, name)
		}
		return
	}
	if rest, ok := strings.CutPrefix(r.URL.Path, "/m/"); ok {
		name, below, slash := strings.Cut(rest, "/")
		u := s.unit(name)
		switch {
		case u == nil:
			s.absent(w, name)
		case !slash:
			http.Redirect(w, r, "/m/"+name+"/", http.StatusMovedPermanently)
		default:
			u.serveWeb(w, r, "/"+below)
		}
		return
	}
	var found *unit
	longest := -1
	for _, u := range s.running() {
		for _, t := range u.wanted().Manifest.Triggers {
			if t.HTTP != "" && module.MatchRoute(t.HTTP, r.URL.Path) && len(t.HTTP) > longest {
				found, longest = u, len(t.HTTP)
			}
		}
	}
	if found == nil {
		s.absent(w, "")
		return
	}
	found.serveWeb(w, r, r.URL.Path)
}

// absent answers for a module that does not run, by name, or for an address that none serves. Who asks a node that has
// just begun is to ask again: to a page with edits to send, an address that is not there would mean never.
func (s *Supervisor) absent(w http.ResponseWriter, name string) {
	begun := false
	select {
	case <-s.ready:
		begun = true
	default:
	}
	switch {
	case !begun || name != "" && s.cfg.Shelf.has(name):
		w.Header().Set("Retry-After", "1")
		http.Error(w, "the module does not run just now", http.StatusServiceUnavailable)
	case name == "":
		http.Error(w, "no module serves this address: modules are under /m/NAME/", http.StatusNotFound)
	default:
		http.Error(w, "there is no module "+name+" here", http.StatusNotFound)
	}
}

// ownHost is the NAME of NAME.localhost:port, or "".
func ownHost(host string) string {
	host, _, _ = strings.Cut(host, ":")
	name, ok := strings.CutSuffix(host, ".localhost")
	if !ok {
		return ""
	}
	return name
}

// LocalOnly lets through what was addressed to this machine by name: a page elsewhere can have its own name lead to a
// loopback address, and would read what it gets.
func LocalOnly(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
			host = host[:i]
		}
		addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if host != "localhost" && !strings.HasSuffix(host, ".localhost") && (err != nil || !addr.IsLoopback()) {
			http.Error(w, "this address serves localhost only", http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

func (u *unit) serveWeb(w http.ResponseWriter, r *http.Request, below string) {
	if path.Base(below) == liveName {
		u.live(w, r)
		return
	}
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && u.serveFile(w, r, below) {
		return
	}
	if state := u.status().State; state == string(GaveUp) || state == string(Finished) {
		http.Error(w, "the module does not run: it has "+strings.ReplaceAll(state, "gave-up", "failed"), http.StatusServiceUnavailable)
		return
	}
	// A guest may answer before it has read all that was sent.
	a := &answer{w: w, out: http.NewResponseController(w)}
	_ = a.out.EnableFullDuplex()
	fields := map[string]string{
		"method": r.Method, "path": below, "query": r.URL.RawQuery, "host": r.Host, "remote": r.RemoteAddr,
	}
	for name, values := range r.Header {
		fields["header."+strings.ToLower(name)] = strings.Join(values, ", ")
	}
	done := make(chan error, 1)
	err := u.box.push(&item{
		event: &sandbox.Event{
			Name: sandbox.OnRequest, Fields: fields, Body: http.MaxBytesReader(w, r.Body, maxRequestBody), Response: a,
		},
		done: func(err error) { done <- err },
	})
	if err == nil {
		select {
		case err = <-done:
		case <-r.Context().Done():
			if a.abandon() {
				return // nobody has begun with it
			}
			err = <-done
		}
	}
	a.finish(err)
	// What it left unread, or the connection would end under the client's next request.
	_ = a.out.SetReadDeadline(time.Now().Add(unreadTime))
	_, _ = io.CopyN(io.Discard, r.Body, maxUnread)
}

// serveFile serves a file of the module's bundle, if there is one of that path.
func (u *unit) serveFile(w http.ResponseWriter, r *http.Request, below string) bool {
	files := u.wanted().Files
	name := strings.TrimPrefix(path.Clean(below), "/")
	if name == "" {
		name = "."
	}
	info, err := fs.Stat(files, name)
	if err == nil && info.IsDir() {
		name = path.Join(name, "index.html")
		info, err = fs.Stat(files, name)
	}
	if err != nil || info.IsDir() {
		return false
	}
	f, err := files.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	content, ok := f.(io.ReadSeeker)
	if !ok {
		return false
	}
	// A file changes with its module's version alone.
	hash := u.wanted().Hash
	w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%x", hash[:8])))
	w.Header().Set("Cache-Control", "no-cache")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	http.ServeContent(w, r, path.Base(name), time.Time{}, content)
	return true
}

// answer is sandbox.Response over a web request. What the guest wrote to the store is on disk before anything is sent.
type answer struct {
	w      http.ResponseWriter
	out    *http.ResponseController
	settle func() error // set before the guest is told
	undo   func()       // what begin has set

	mu    sync.Mutex // guards begun and gone
	begun bool
	gone  bool

	// Of the guest's goroutine, then of finish.
	status  int
	sent    bool
	size    int
	headers int
}

var errSent = errors.New("supervisor: the answer was begun already")

// begin is called when a guest is about to see the request; false if nobody waits any more. From then on the client has
// as long as the guest to send and to take what belongs to it: neither may hold up the other events of the module.
func (a *answer) begin(v *version, s *session) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.begun, a.settle = true, s.guest.SettleCall
	if a.gone {
		return false
	}
	within := func(d time.Duration) {
		at := time.Now().Add(d)
		_ = a.out.SetReadDeadline(at)
		_ = a.out.SetWriteDeadline(at)
	}
	within(v.pkg.Manifest.Limits.Deadline)
	stop := context.AfterFunc(v.unit.feeding, func() { within(shutdownTime) })
	a.undo = func() {
		if stop() { // else the node is stopping
			_ = a.out.SetReadDeadline(time.Time{})
			_ = a.out.SetWriteDeadline(time.Time{})
		}
	}
	return true
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
	if a.sent {
		return errSent
	}
	a.status = code
	return nil
}

// Header implements sandbox.Response.
func (a *answer) Header(name, value string) error {
	if a.sent {
		return errSent
	}
	if a.headers += len(name) + len(value) + 32; a.headers > maxHeaders {
		return sandbox.ErrQuota
	}
	switch http.CanonicalHeaderKey(name) {
	case "Service-Worker-Allowed", "Clear-Site-Data":
		return sandbox.ErrDenied // they reach over to the pages of other modules
	}
	if name == "" || strings.ContainsAny(name+value, "\r\n\x00") || strings.ContainsAny(name, " :") {
		return errors.New("supervisor: not a header")
	}
	a.w.Header().Add(name, value)
	return nil
}

// Write implements sandbox.Response.
func (a *answer) Write(p []byte) (int, error) {
	if a.size += len(p); a.size > maxAnswer {
		return 0, sandbox.ErrQuota
	}
	if err := a.send(); err != nil {
		return 0, err
	}
	n, err := a.w.Write(p)
	if f, ok := a.w.(http.Flusher); ok && err == nil {
		f.Flush()
	}
	return n, err
}

func (a *answer) send() error {
	if a.sent {
		return nil
	}
	if a.settle != nil {
		if err := a.settle(); err != nil {
			return err
		}
	}
	a.sent = true
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.w.Header().Get("X-Content-Type-Options") == "" {
		a.w.Header().Set("X-Content-Type-Options", "nosniff")
	}
	a.w.WriteHeader(a.status)
	return nil
}

// finish ends the answer as the guest's call ended.
func (a *answer) finish(err error) {
	if a.undo != nil {
		defer a.undo()
	}
	if err == nil {
		return
	}
	if a.sent {
		panic(http.ErrAbortHandler) // the client must not take half an answer for a whole one
	}
	// The client's time may have run out too, and a connection on which it has serves nothing more.
	a.w.Header().Set("Connection", "close")
	status := http.StatusInternalServerError
	late := new(sandbox.DeadlineError)
	switch {
	case errors.Is(err, ErrFull):
		a.w.Header().Set("Retry-After", "1")
		status = http.StatusServiceUnavailable
	case errors.Is(err, errGone):
		status = http.StatusServiceUnavailable
	case errors.Is(err, errUnanswered):
		status = http.StatusNotFound
	case errors.As(err, &late):
		status = http.StatusGatewayTimeout
	}
	http.Error(a.w, http.StatusText(status), status)
}
