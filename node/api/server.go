package api

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
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
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			reply(w, nil, errors.Join(ErrUsage, err))
			return
		}
		v, err := n.Change(r.Context(), c)
		reply(w, v, err)
	})
	mux.HandleFunc("GET /v1/watch", func(w http.ResponseWriter, r *http.Request) { watch(n, w, r) })
	if token == "" {
		return mux
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(given), []byte(token)) != 1 {
			http.Error(w, `{"error":"this API needs the token of api.json in the node's data directory"}`, http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func watch(n Node, w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	out := json.NewEncoder(w)
	began := false
	err := n.Watch(r.Context(), q.Get("dataset"), q.Get("family"), q.Get("key"), func(v Value) error {
		if !began {
			w.Header().Set("Content-Type", "application/x-ndjson")
			began = true
		}
		if err := out.Encode(v); err != nil {
			return err
		}
		return http.NewResponseController(w).Flush()
	})
	if !began && err != nil && !errors.Is(err, context.Canceled) {
		reply(w, nil, err)
	}
}

type failure struct {
	Error string `json:"error"`
}

func reply(w http.ResponseWriter, v any, err error) {
	w.Header().Set("Content-Type", "application/json")
	switch {
	case err == nil:
	case errors.Is(err, ErrUsage):
		w.WriteHeader(http.StatusBadRequest)
	case errors.Is(err, ErrNotFound):
		w.WriteHeader(http.StatusNotFound)
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if err != nil {
		v = failure{err.Error()}
	}
	_ = json.NewEncoder(w).Encode(v) // the client is gone if this fails
}
