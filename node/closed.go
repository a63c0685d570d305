package node

import (
	"crypto/cipher"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node/member"
	"github.com/numax-mesh/numax/p2p"
)

// membersFile has the membership of a closed network. A data directory without
// one is of an open network.
const membersFile = "members"

// openBook opens the membership of a data directory; nil if its network is open.
func openBook(cfg *Config, key ed25519.PrivateKey) (*member.Book, error) {
	book, err := member.Open(member.Options{File: cfg.file(membersFile), Key: key})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	name := book.Roster().Genesis().Name
	if cfg.Network != "" && cfg.Network != name {
		return nil, fmt.Errorf("data directory %s is of the closed network %q, not of %q: leave --network out, or use another --data", cfg.Data, name, cfg.Network)
	}
	return book, nil
}

// networkOf is the id of a directory's network.
func networkOf(cfg *Config, book *member.Book) replica.NetworkID {
	if book == nil {
		return replica.OpenNetwork(cfg.Network)
	}
	return replica.NetworkID(book.Roster().Network())
}

// closeNetwork has a replica go by the roster of a closed network.
func closeNetwork(o *replica.Options, book *member.Book) {
	if book == nil {
		return
	}
	o.Authorize = func(d replica.DatasetID, a crdt.Author) uint64 { return book.Roster().Standing(d, a.Bytes()) }
	o.Keys = keyring{book}
	o.MayRead = func(peer string) bool { return hasRole(book, peer, member.Reader) }
	o.Administers = func(peer string) bool { return hasRole(book, peer, member.Admin) }
}

// admitted says who may take part, to the host; nil in an open network.
func admitted(book *member.Book) func(string) bool {
	if book == nil {
		return nil
	}
	return func(peer string) bool {
		k, err := p2p.PeerKey(peer)
		return err == nil && book.Check(member.Key(k)) == nil
	}
}

func hasRole(book *member.Book, peer string, role member.Role) bool {
	k, err := p2p.PeerKey(peer)
	return err == nil && book.Roster().Has(member.Key(k), role)
}

// keyring gives a replica the keys of a closed network.
type keyring struct{ book *member.Book }

// Current implements replica.Keyring.
func (k keyring) Current() (replica.KeyID, cipher.AEAD) {
	ring := k.book.Ring()
	id, _, _ := ring.Current()
	return replica.KeyID(id), ring.Cipher(id)
}

// Find implements replica.Keyring.
func (k keyring) Find(id replica.KeyID) cipher.AEAD { return k.book.Ring().Cipher(member.KeyID(id)) }
