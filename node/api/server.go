package api

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// maxRequest is the largest request body.
const maxRequest = 4 << 20

// Handler serves the API of n. With a token, requests must carry it as
// "Authorization: Bearer …": a socket is guarded by its directory, a TCP port
// by nothing else, and a web page in a browser cannot know it.
//
//	GET  /v1/status
//	GET  /v1/peers
//	GET  /v1/data?dataset=&family=&key=
//	POST /v1/data            Change → Value
//	GET  /v1/watch?dataset=&family=&key=   a Value a line, as it changes
//	GET  /v1/snapshot?dataset=             a file
//	GET  /v1/export?dataset=               an object a line
//	POST /v1/import?dataset=               the same back → Imported
//	GET  /v1/members?dataset=
//	POST /v1/forget?dataset=&name=         → Member
//	POST /v1/resync?dataset=&peer=
//	GET  /v1/network
//	GET  /v1/invites
//	POST /v1/invites               Invite → Invite
//	POST /v1/withdraw?id=          → Invite
//	POST /v1/approve?name=&role=   → Member
//	POST /v1/revoke?name=          → Member
//
// and the routes of swarmRoutes and moduleRoutes.
func Handler(n Node, token string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { reply(w, n.Status(), nil) })
	mux.HandleFunc("GET /v1/peers", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, append([]Peer{}, n.Peers()...), nil)
	})
	mux.HandleFunc("GET /v1/data", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		v, err := n.Get(q.Get("dataset"), q.Get("family"), q.Get("key"))
		reply(w, v, err)
	})
	mux.HandleFunc("POST /v1/data", func(w http.ResponseWriter, r *http.Request) {
		var c Change
		if err := decode(http.MaxBytesReader(w, r.Body, maxRequest), &c); err != nil {
			reply(w, nil, fmt.Errorf("%w: request body: %w", ErrUsage, err))
			return
		}
		c, err := c.decoded()
		if err != nil {
			reply(w, nil, fmt.Errorf("%w: request body: %w", ErrUsage, err))
			return
		}
		v, err := n.Change(r.Context(), c)
		reply(w, v, err)
	})
	mux.HandleFunc("GET /v1/watch", func(w http.ResponseWriter, r *http.Request) { watch(n, w, r) })
	mux.HandleFunc("GET /v1/snapshot", func(w http.ResponseWriter, r *http.Request) {
		stream(w, r, "application/octet-stream", n.Snapshot)
	})
	mux.HandleFunc("GET /v1/export", func(w http.ResponseWriter, r *http.Request) {
		stream(w, r, "application/x-ndjson", n.Export)
	})
	mux.HandleFunc("POST /v1/import", func(w http.ResponseWriter, r *http.Request) {
		done, err := n.Import(r.Context(), r.URL.Query().Get("dataset"), r.Body)
		reply(w, done, err)
	})
	mux.HandleFunc("GET /v1/network", func(w http.ResponseWriter, _ *http.Request) { reply(w, n.Network(), nil) })
	mux.HandleFunc("GET /v1/invites", func(w http.ResponseWriter, _ *http.Request) {
		all, err := n.Invites()
		reply(w, all, err)
	})
	mux.HandleFunc("POST /v1/invites", func(w http.ResponseWriter, r *http.Request) {
		var i Invite
		if err := decode(http.MaxBytesReader(w, r.Body, maxRequest), &i); err != nil {
			reply(w, nil, fmt.Errorf("%w: request body: %w", ErrUsage, err))
			return
		}
		i, err := n.Invite(i)
		reply(w, i, err)
	})
	mux.HandleFunc("POST /v1/withdraw", func(w http.ResponseWriter, r *http.Request) {
		i, err := n.Withdraw(r.URL.Query().Get("id"))
		reply(w, i, err)
	})
	mux.HandleFunc("POST /v1/approve", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		m, err := n.Approve(q.Get("name"), q.Get("role"))
		reply(w, m, err)
	})
	mux.HandleFunc("POST /v1/revoke", func(w http.ResponseWriter, r *http.Request) {
		m, err := n.Revoke(r.Context(), r.URL.Query().Get("name"))
		reply(w, m, err)
	})
	mux.HandleFunc("GET /v1/members", func(w http.ResponseWriter, r *http.Request) {
		all, err := n.Members(r.URL.Query().Get("dataset"))
		reply(w, all, err)
	})
	mux.HandleFunc("POST /v1/forget", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		m, err := n.Forget(r.Context(), q.Get("dataset"), q.Get("name"))
		reply(w, m, err)
	})
	mux.HandleFunc("POST /v1/resync", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		reply(w, struct{}{}, n.Resync(r.Context(), q.Get("dataset"), q.Get("peer")))
	})
	swarmRoutes(mux, n)
	moduleRoutes(mux, n)
	if token == "" {
		return mux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
			send(w, http.StatusUnauthorized, failure{"this API needs the token of api.json in the node's data directory"})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// decode reads one JSON object and nothing else.
func decode(r io.Reader, v any) error {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more than one JSON object")
	}
	return nil
}

func watch(n Node, w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	out := json.NewEncoder(w)
	began := false
	err := n.Watch(r.Context(), q.Get("dataset"), q.Get("family"), q.Get("key"), func(v Value) error {
		if !began {
			w.Header().Set("Content-Type", "application/x-ndjson")
		}
		if err := out.Encode(v); err != nil {
			return err
		}
		began = true
		return http.NewResponseController(w).Flush()
	})
	if !began && err != nil && !errors.Is(err, context.Canceled) {
		reply(w, nil, err)
	}
}

// stream answers with what write writes. What fails in the middle breaks the
// connection off, so that nobody takes a part for the whole.
func stream(w http.ResponseWriter, r *http.Request, kind string, write func(context.Context, string, io.Writer) error) {
	out := &begun{w: w, kind: kind}
	switch err := write(r.Context(), r.URL.Query().Get("dataset"), out); {
	case err != nil && out.any:
		panic(http.ErrAbortHandler)
	case err != nil:
		reply(w, nil, err)
	default:
		_, _ = out.Write(nil) // an empty answer has a type too
	}
}

// begun is a response that is known to have begun.
type begun struct {
	w    http.ResponseWriter
	kind string
	any  bool
}

func (b *begun) Write(p []byte) (int, error) {
	if !b.any {
		b.any = true
		b.w.Header().Set("Content-Type", b.kind)
	}
	return b.w.Write(p)
}

type failure struct {
	Error string `json:"error"`
}

func reply(w http.ResponseWriter, v any, err error) {
	switch {
	case err == nil:
		send(w, http.StatusOK, v)
	case errors.Is(err, ErrUsage):
		send(w, http.StatusBadRequest, failure{err.Error()})
	case errors.Is(err, ErrNotFound):
		send(w, http.StatusNotFound, failure{err.Error()})
	default:
		send(w, http.StatusServiceUnavailable, failure{err.Error()})
	}
}

func send(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		status = http.StatusInternalServerError
		b, _ = json.Marshal(failure{err.Error()}) // a string always works
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n')) // the client is gone if this fails
}
