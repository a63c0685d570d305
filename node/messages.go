package node

import (
	"context"
	"crypto/cipher"
	"fmt"
	"io"
	"log/slog"

	"github.com/numax-mesh/numax/node/bus"
	"github.com/numax-mesh/numax/node/member"
	"github.com/numax-mesh/numax/p2p"
)

// protoRPC is the stream protocol of messages between modules.
const protoRPC = "/numax/rpc/1"

// messagesTopic is what stands for a dataset's name in the topic of messages. No dataset has such a name.
const messagesTopic = "\x00messages"

// openBus opens the bus of a node, which has no network until it joins one.
func openBus(s *state, networked bool, log *slog.Logger) (*bus.Bus, *wire, error) {
	o := bus.Options{Store: s.store, Key: s.key, Network: s.network, Name: busName, Find: busKey, Log: log}
	w := new(wire)
	if networked {
		o.Net = w
	}
	if s.book != nil {
		o.Keys = busRing{s.book}
		o.MaySpeak = func(k bus.Key) bool {
			return s.book.Check(member.Key(k)) == nil && s.book.Roster().Has(member.Key(k), member.Writer)
		}
	}
	b, err := bus.Open(o)
	return b, w, err
}

// busName is the peer id of a key that is one already.
func busName(k bus.Key) string {
	name, _ := p2p.PublicPeerID(k[:])
	return name
}

func busKey(peer string) (bus.Key, error) {
	k, err := p2p.PeerKey(peer)
	return bus.Key(k), err
}

// busRing gives the bus the keys of a closed network.
type busRing struct{ book *member.Book }

// Current implements bus.Keyring.
func (k busRing) Current() (bus.KeyID, cipher.AEAD) {
	id, aead := keyring(k).Current()
	return bus.KeyID(id), aead
}

// Find implements bus.Keyring.
func (k busRing) Find(id bus.KeyID) cipher.AEAD { return k.book.Ring().Cipher(member.KeyID(id)) }

// wire adapts a p2p host to what a bus needs of the network.
type wire struct {
	host  *p2p.Host
	topic *p2p.Topic
}

// join connects a host to the bus, before the bus runs.
func (w *wire) join(b *bus.Bus, s *state, host *p2p.Host) (err error) {
	w.host = host
	w.topic, err = host.Join(topicName(s.network, messagesTopic), func(from string, data []byte) (p2p.Verdict, any) {
		switch v, token := b.Validate(from, data); v {
		case bus.Accept:
			return p2p.Accept, token
		case bus.Ignore:
			return p2p.Ignore, nil
		default:
			return p2p.Reject, nil
		}
	}, b.Receive)
	if err != nil {
		return fmt.Errorf("join the topic of messages: %w", err)
	}
	host.Handle(protoRPC, b.Serve, b.PeersChanged)
	return nil
}

// Peers implements bus.Net.
func (w *wire) Peers() []string { return w.host.PeersOf(protoRPC) }

// Open implements bus.Net.
func (w *wire) Open(ctx context.Context, peer string) (io.ReadWriteCloser, error) {
	return w.host.Open(ctx, peer, protoRPC)
}

// Publish implements bus.Net.
func (w *wire) Publish(frame []byte) error { return w.topic.Publish(frame) }
