package api

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Modules is the part of a Node that runs modules. A module is named as in its manifest.
type Modules interface {
	Modules() ([]Module, error)
	// AddModule keeps a bundle and runs it, in place of an earlier version of its name, which goes on if the new one does
	// not start. source is where it came from, for ReloadModule.
	AddModule(ctx context.Context, bundle io.Reader, source string) (Module, error)
	// RemoveModule ends a module for good and drops what it sent. Its keys and blobs stay, unless they are purged, which
	// works also when the module was removed before. It answers what is left.
	RemoveModule(ctx context.Context, name string, purge bool) (Leftover, error)
	// StartModule and RestartModule return when the module has begun, or with why it has not.
	StartModule(ctx context.Context, name string) error
	RestartModule(ctx context.Context, name string) error
	StopModule(ctx context.Context, name string) error
	// ReloadModule takes the module anew from where it was added from.
	ReloadModule(ctx context.Context, name string) (Module, error)
	// Web is what modules serve under /m/NAME/.
	Web() http.Handler
}

// Module is what a module is, does and took since the node runs it.
type Module struct {
	Name      string            `json:"name"`
	Version   string            `json:"version"`
	Kind      string            `json:"kind"`
	State     string            `json:"state"`
	Since     time.Time         `json:"since,omitzero"` // it is in that state
	Restarts  int               `json:"restarts"`
	Failure   string            `json:"failure,omitempty"`
	Calls     map[string]uint64 `json:"calls,omitempty"`  // by export
	Failed    uint64            `json:"failed"`           // of them
	Denied    map[string]uint64 `json:"denied,omitempty"` // nx calls that answered -6
	Waiting   int               `json:"waiting"`          // events in the mailbox
	Dropped   uint64            `json:"dropped"`          // events that found it full
	CPU       float64           `json:"cpu_seconds"`
	Throttled float64           `json:"throttled_seconds"` // waited for its share of CPU
	Ops       uint64            `json:"ops"`               // writes, of objects and keys
	Bytes     uint64            `json:"bytes"`
	Refused   uint64            `json:"refused"` // writes over a quota
	Storage   int64             `json:"storage"` // bytes of its keys and values, and its blobs
	Grants    []string          `json:"grants"`  // what it may do, in words
	Limits    string            `json:"limits"`
}

// Leftover is what is kept of a module that is not on the node any more. A module that is added under its name has it.
type Leftover struct {
	Module    string `json:"module"`
	Keys      int    `json:"keys"` // private ones, counted up to 10,000
	Blobs     int    `json:"blobs"`
	BlobBytes int64  `json:"blob_bytes"`
	Messages  int    `json:"messages"` // that wait to be sent
}

// Empty reports whether nothing is left.
func (l Leftover) Empty() bool { return l == Leftover{Module: l.Module} }

// moduleRoutes serves
//
//	GET  /v1/modules                      → [Module]
//	POST /v1/modules?source=              a bundle → Module
//	POST /v1/modules/VERB?name=           VERB is start, stop, restart
//	POST /v1/modules/remove?name=&purge=  purge is true or false → Leftover
//	POST /v1/modules/reload?name=         → Module
//	     /m/NAME/…                        what the module serves
func moduleRoutes(mux *http.ServeMux, n Modules) {
	mux.HandleFunc("GET /v1/modules", func(w http.ResponseWriter, _ *http.Request) {
		all, err := n.Modules()
		reply(w, append([]Module{}, all...), err)
	})
	mux.HandleFunc("POST /v1/modules", func(w http.ResponseWriter, r *http.Request) {
		m, err := n.AddModule(r.Context(), r.Body, r.URL.Query().Get("source"))
		reply(w, m, err)
	})
	mux.Handle("/m/", withoutToken(n.Web()))
	mux.HandleFunc("POST /v1/modules/reload", func(w http.ResponseWriter, r *http.Request) {
		m, err := n.ReloadModule(r.Context(), r.URL.Query().Get("name"))
		reply(w, m, err)
	})
	mux.HandleFunc("POST /v1/modules/remove", func(w http.ResponseWriter, r *http.Request) {
		purge, err := strconv.ParseBool(cmp.Or(r.URL.Query().Get("purge"), "false"))
		if err != nil {
			reply(w, nil, fmt.Errorf("%w: purge: want true or false", ErrUsage))
			return
		}
		left, err := n.RemoveModule(r.Context(), r.URL.Query().Get("name"), purge)
		reply(w, left, err)
	})
	for verb, do := range map[string]func(context.Context, string) error{
		"start": n.StartModule, "stop": n.StopModule, "restart": n.RestartModule,
	} {
		mux.HandleFunc("POST /v1/modules/"+verb, func(w http.ResponseWriter, r *http.Request) {
			reply(w, struct{}{}, do(r.Context(), r.URL.Query().Get("name")))
		})
	}
}

// withoutToken keeps the credentials for this API to it: whoever has them can do all that its user can, and a module
// is to see none of them, whoever asks it through the API.
func withoutToken(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner := *r
		inner.Header = r.Header.Clone()
		inner.Header.Del("Authorization")
		h.ServeHTTP(w, &inner)
	})
}

// Modules lists the node's modules.
func (c *Client) Modules(ctx context.Context) ([]Module, error) {
	return fetch[[]Module](ctx, c, "GET", "/v1/modules", nil, nil)
}

// AddModule has the node keep and run a bundle.
func (c *Client) AddModule(ctx context.Context, bundle io.Reader, source string) (Module, error) {
	return fetch[Module](ctx, c, "POST", "/v1/modules", url.Values{"source": {source}}, bundle)
}

// ReloadModule has the node take a module anew from its source.
func (c *Client) ReloadModule(ctx context.Context, name string) (Module, error) {
	return fetch[Module](ctx, c, "POST", "/v1/modules/reload", url.Values{"name": {name}}, nil)
}

// RemoveModule ends a module for good, and answers what is left of it.
func (c *Client) RemoveModule(ctx context.Context, name string, purge bool) (Leftover, error) {
	return fetch[Leftover](ctx, c, "POST", "/v1/modules/remove", url.Values{"name": {name}, "purge": {strconv.FormatBool(purge)}}, nil)
}

// StartModule runs a module that was stopped.
func (c *Client) StartModule(ctx context.Context, name string) error {
	return c.act(ctx, "/v1/modules/start", "name", name)
}

// StopModule ends a module, until it is started again.
func (c *Client) StopModule(ctx context.Context, name string) error {
	return c.act(ctx, "/v1/modules/stop", "name", name)
}

// RestartModule ends a module's instance and begins another.
func (c *Client) RestartModule(ctx context.Context, name string) error {
	return c.act(ctx, "/v1/modules/restart", "name", name)
}
