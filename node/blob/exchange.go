package blob

import (
	"context"
	"io"
	"log/slog"
	"sync"
)

// Net is what an exchange needs of the network. Nodes are named by their peer ids. Its methods are called concurrently.
type Net interface {
	// Peers are the connected nodes that can be opened a stream to.
	Peers() []string
	// Open opens a stream to a connected node, which gets it by Serve. ctx is of the opening alone. Closing the stream
	// ends both directions at once and unblocks reads and writes.
	Open(ctx context.Context, peer string) (io.ReadWriteCloser, error)
}

// Options of an exchange. Store is required.
type Options struct {
	Store *Store
	Net   Net // nil = this node alone
	// MayRead says which peers get blobs; nil = all.
	MayRead func(peer string) bool
	Log     *slog.Logger
}

// Exchange fetches blobs from other nodes and serves them. Its methods may be called concurrently.
type Exchange struct {
	o Options

	mu       sync.Mutex    // guards the rest
	freed    chan struct{} // closed, and made anew, when a slot or a flight ends
	flights  map[Hash]bool // fetched just now
	fetches  slots         // by module
	asked    slots         // streams to peers
	askedFor slots         // the same, by peer and module
	streams  slots         // of peers, here
	answers  slots         // of them, those that a blob is sent over
	shunned  map[string]shun
	paces    map[string]*pace // by module
}

// New makes an exchange.
func New(o Options) *Exchange {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Exchange{
		o: o, freed: make(chan struct{}), flights: make(map[Hash]bool), shunned: make(map[string]shun), paces: make(map[string]*pace),
	}
}

// Store is what the exchange keeps blobs in.
func (x *Exchange) Store() *Store { return x.o.Store }
