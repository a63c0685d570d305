package supervisor

import (
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"time"

	"github.com/numax-mesh/numax/node/module"
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
	mux := http.NewServeMux() // sends a browser from a/../b to b
	mux.HandleFunc("/", s.serveWeb)
	return http.NewCrossOriginProtection().Handler(mux)
}

// clean is a path without . and .. and empty parts, as a guest sees it: what was written as %2e%2e is .. here.
func clean(p string) string {
	c := path.Clean("/" + p)
	if c != "/" && strings.HasSuffix(p, "/") {
		c += "/"
	}
	return c
}

func (s *Supervisor) serveWeb(w http.ResponseWriter, r *http.Request) {
	at := clean(r.URL.Path)
	if name := ownHost(r.Host); s.cfg.Shelf.has(name) {
		if u := s.unit(name); u != nil {
			u.serveWeb(w, r, at)
		} else {
			s.absent(w, name)
		}
		return
	}
	if rest, ok := strings.CutPrefix(at, "/m/"); ok {
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
			if t.HTTP != "" && module.MatchRoute(t.HTTP, at) && len(t.HTTP) > longest {
				found, longest = u, len(t.HTTP)
			}
		}
	}
	if found == nil {
		s.absent(w, "")
		return
	}
	found.serveWeb(w, r, at)
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
	u.ask(w, r, below)
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
