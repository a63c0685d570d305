package api

import (
	"context"
	"net/http"
	"net/url"
)

// Swarm is the part of a Node that sees and changes whom it is connected to.
// Peers are named by their peer id.
type Swarm interface {
	// Connect connects to a peer by its full address; Disconnect closes the
	// connections to one, which may connect again.
	Connect(ctx context.Context, addr string) error
	Disconnect(peer string) error
	Ping(ctx context.Context, peer string) (Ping, error)
	// Block closes the connections to a peer and lets none be opened, now and
	// after a restart.
	Block(peer string) error
	Unblock(peer string) error
	Blocked() ([]string, error)
	// Bootstrap is where the node begins; what is added is kept.
	Bootstrap() ([]Bootstrap, error)
	AddBootstrap(addr string) error
	RemoveBootstrap(addr string) error
	// Doctor looks for what keeps the node from its peers and from its disk.
	Doctor(ctx context.Context) []Finding
}

// Ping is an answer of a peer.
type Ping struct {
	Peer string  `json:"peer_id"`
	RTT  float64 `json:"rtt_ms"`
}

// Bootstrap is an address, name or file that says where to begin.
type Bootstrap struct {
	Addr  string `json:"addr"`
	Given bool   `json:"given"` // by flag, environment or config file; else kept in the data directory
}

// Level is how bad a Finding is.
type Level string

// The levels: nothing to do; it works, but not well; it does not work.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Bad  Level = "bad"
)

// Finding is what the doctor found out about one thing.
type Finding struct {
	Check   string `json:"check"`
	Level   Level  `json:"level"`
	Finding string `json:"finding"`
	Advice  string `json:"advice,omitempty"` // what to do
}

// swarmRoutes serves
//
//	POST /v1/swarm/connect?addr=      POST /v1/swarm/disconnect?peer=
//	POST /v1/swarm/block?peer=        POST /v1/swarm/unblock?peer=
//	GET  /v1/swarm/blocked            POST /v1/swarm/ping?peer=      → Ping
//	GET  /v1/bootstrap                → [Bootstrap]
//	POST /v1/bootstrap/add?addr=      POST /v1/bootstrap/rm?addr=
//	GET  /v1/doctor                   → [Finding]
func swarmRoutes(mux *http.ServeMux, n Swarm) {
	act := func(path, parameter string, do func(context.Context, string) error) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			reply(w, struct{}{}, do(r.Context(), r.URL.Query().Get(parameter)))
		})
	}
	plain := func(do func(string) error) func(context.Context, string) error {
		return func(_ context.Context, s string) error { return do(s) }
	}
	act("/v1/swarm/connect", "addr", n.Connect)
	act("/v1/swarm/disconnect", "peer", plain(n.Disconnect))
	act("/v1/swarm/block", "peer", plain(n.Block))
	act("/v1/swarm/unblock", "peer", plain(n.Unblock))
	act("/v1/bootstrap/add", "addr", plain(n.AddBootstrap))
	act("/v1/bootstrap/rm", "addr", plain(n.RemoveBootstrap))
	mux.HandleFunc("POST /v1/swarm/ping", func(w http.ResponseWriter, r *http.Request) {
		got, err := n.Ping(r.Context(), r.URL.Query().Get("peer"))
		reply(w, got, err)
	})
	mux.HandleFunc("GET /v1/swarm/blocked", func(w http.ResponseWriter, _ *http.Request) {
		all, err := n.Blocked()
		reply(w, all, err)
	})
	mux.HandleFunc("GET /v1/bootstrap", func(w http.ResponseWriter, _ *http.Request) {
		all, err := n.Bootstrap()
		reply(w, all, err)
	})
	mux.HandleFunc("GET /v1/doctor", func(w http.ResponseWriter, r *http.Request) {
		reply(w, n.Doctor(r.Context()), nil)
	})
}

func (c *Client) act(ctx context.Context, path, parameter, value string) error {
	_, err := fetch[struct{}](ctx, c, "POST", path, url.Values{parameter: {value}}, nil)
	return err
}

// Connect connects the node to a peer by its full address.
func (c *Client) Connect(ctx context.Context, addr string) error {
	return c.act(ctx, "/v1/swarm/connect", "addr", addr)
}

// Disconnect closes the node's connections to a peer.
func (c *Client) Disconnect(ctx context.Context, peer string) error {
	return c.act(ctx, "/v1/swarm/disconnect", "peer", peer)
}

// Ping has the node ping a peer.
func (c *Client) Ping(ctx context.Context, peer string) (Ping, error) {
	return fetch[Ping](ctx, c, "POST", "/v1/swarm/ping", url.Values{"peer": {peer}}, nil)
}

// Block blocks a peer.
func (c *Client) Block(ctx context.Context, peer string) error {
	return c.act(ctx, "/v1/swarm/block", "peer", peer)
}

// Unblock undoes Block.
func (c *Client) Unblock(ctx context.Context, peer string) error {
	return c.act(ctx, "/v1/swarm/unblock", "peer", peer)
}

// Blocked lists the blocked peers.
func (c *Client) Blocked(ctx context.Context) ([]string, error) {
	return fetch[[]string](ctx, c, "GET", "/v1/swarm/blocked", nil, nil)
}

// Bootstrap lists where the node begins.
func (c *Client) Bootstrap(ctx context.Context) ([]Bootstrap, error) {
	return fetch[[]Bootstrap](ctx, c, "GET", "/v1/bootstrap", nil, nil)
}

// AddBootstrap keeps one more place to begin.
func (c *Client) AddBootstrap(ctx context.Context, addr string) error {
	return c.act(ctx, "/v1/bootstrap/add", "addr", addr)
}

// RemoveBootstrap forgets one that was added.
func (c *Client) RemoveBootstrap(ctx context.Context, addr string) error {
	return c.act(ctx, "/v1/bootstrap/rm", "addr", addr)
}

// Doctor asks for the node's findings.
func (c *Client) Doctor(ctx context.Context) ([]Finding, error) {
	return fetch[[]Finding](ctx, c, "GET", "/v1/doctor", nil, nil)
}
