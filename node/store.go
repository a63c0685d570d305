package node

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/datastore"
	"github.com/numax-mesh/numax/node/member"
	"github.com/numax-mesh/numax/p2p"
)

// state is a data directory, opened: the identity, the store and the replica
// over it.
type state struct {
	key     ed25519.PrivateKey
	store   *datastore.Store
	replica *replica.Replica
	book    *member.Book // nil in an open network
	network replica.NetworkID
}

// purpose is what a directory is opened for.
type purpose int

const (
	toServe  purpose = iota // a node: it takes on the network and the datasets it was told
	toChange                // a command that writes: it may begin a dataset
	toRead
)

func openState(cfg *Config, why purpose, mesh replica.Mesh, key ed25519.PrivateKey, log *slog.Logger) (*state, error) {
	store, err := openStore(cfg.file(storeDir))
	if err != nil {
		return nil, err
	}
	book, err := openBook(cfg, key) // the store's lock guards it, too
	if err == nil {
		err = ownNetwork(cfg, store, book, why)
	}
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	if !store.WasClean() {
		log.Info("the last stop was not clean; checking the logs")
	}
	o := replica.Options{
		Store: store, Key: key, Network: networkOf(cfg, book), Mesh: mesh, Log: log,
		Place: place(cfg.file(storeDir)), Retention: replica.Retention{Age: cfg.HistoryAge, Bytes: int64(cfg.HistorySize)},
	}
	closeNetwork(&o, book)
	r, err := replica.Open(o)
	if err == nil && !cfg.NoSync && why != toRead {
		for _, name := range cfg.Datasets {
			if _, err = r.Dataset(name); err != nil {
				break
			}
		}
	}
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	return &state{key, store, r, book, o.Network}, nil
}

// ErrInUse means that another process has the data directory open.
var ErrInUse = datastore.ErrLocked

// A command such as `data get` holds the store for a moment, and so does a
// node that is just stopping: wait that long before giving up.
const (
	lockWait  = 2 * time.Second
	lockRetry = 20 * time.Millisecond
)

func openStore(dir string) (*datastore.Store, error) {
	for giveUp := time.Now().Add(lockWait); ; time.Sleep(lockRetry) {
		store, err := datastore.Open(dir, datastore.Options{})
		if err == nil || !errors.Is(err, ErrInUse) || time.Now().After(giveUp) {
			return store, err
		}
	}
}

// makeData makes the data directory and reads the identity in it.
func makeData(cfg *Config) (ed25519.PrivateKey, error) {
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, explainData(cfg.Data, err)
	}
	key, err := p2p.LoadIdentity(cfg.file(identityFile))
	if err != nil {
		return nil, explainData(cfg.Data, err)
	}
	return key, nil
}

func explainData(dir string, err error) error {
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("data directory %s: %w: make it writable for this user, or use another --data", dir, err)
	case errors.Is(err, fs.ErrExist), notDir(dir):
		return fmt.Errorf("data directory %s: it is a file: use another --data", dir)
	}
	return err
}

func notDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}

// DefaultNetwork is the network of those who name none.
const DefaultNetwork = "numax"

var infoNetwork = datastore.InfoKey("network")

// ownNetwork settles which network the directory is opened for: the one that
// was named, else the one it was last used for, so that `data get` without a
// running node reads what the node wrote.
func ownNetwork(cfg *Config, store *datastore.Store, book *member.Book, why purpose) error {
	if book != nil {
		cfg.Network = book.Roster().Genesis().Name
		return nil
	}
	last, err := store.Get(infoNetwork)
	if err != nil && !errors.Is(err, datastore.ErrNotFound) {
		return err
	}
	if cfg.Network == "" {
		cfg.Network = DefaultNetwork
		if len(last) > 0 {
			cfg.Network = string(last)
		}
	}
	if string(last) == cfg.Network || why == toRead && len(last) == 0 {
		return nil
	}
	if why != toServe && len(last) > 0 {
		return fmt.Errorf("data directory %s is of network %q, not %q: leave --network out, or start a node with it to change over", cfg.Data, last, cfg.Network)
	}
	var b datastore.Batch
	b.Put(infoNetwork, []byte(cfg.Network))
	return store.Write(&b)
}
