package bus

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/numax-mesh/numax/datastore"
)

// Net is what a bus needs of the network. Nodes are named by their peer ids. Its methods are called concurrently.
type Net interface {
	// Peers are the connected nodes that can be opened a stream to.
	Peers() []string
	// Open opens a stream to a connected node, which gets it by Serve. Closing it ends both directions at once and
	// unblocks reads and writes.
	Open(ctx context.Context, peer string) (io.ReadWriteCloser, error)
	// Publish gossips a frame to all other nodes. It may be lost, and never blocks for long.
	Publish(frame []byte) error
}

// Options of a bus. Store, Key, Network, Name and Find are required.
type Options struct {
	Store   *datastore.Store
	Key     ed25519.PrivateKey
	Network [32]byte
	Name    func(Key) string          // the peer id of a node
	Find    func(string) (Key, error) // the other way
	Net     Net                       // nil = this node alone
	// MaySpeak says who may say anything, this node included; nil = everybody. It is asked often, and must be fast.
	MaySpeak func(Key) bool
	Keys     Keyring // nil = an open network
	Log      *slog.Logger
}

// Bus carries messages. Its methods may be called concurrently; what goes over streams needs Run to run.
type Bus struct {
	o       Options
	self    Key
	stamps  *stamps
	outbox  *outbox
	inbox   *inbox
	answers *answers
	wake    chan struct{} // capacity 1: the postman is to look
	moved   atomic.Bool   // peers came or went
	lost    atomic.Uint64
	subs    atomic.Pointer[[]*subscriber]

	mu      sync.Mutex // guards the rest, and changes of subs
	own     budget
	authors map[Key]*author
	peers   map[string]*peer
	waiting map[uint64]chan []byte // questions, by stamp
}

// peer is what one peer takes of this node.
type peer struct {
	budget  budget
	last    time.Time
	streams int
	flying  int // messages that wait for its subscribers here
}

// Open reads what waits to be sent.
func Open(o Options) (*Bus, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaySpeak == nil {
		o.MaySpeak = func(Key) bool { return true }
	}
	b := &Bus{
		o: o, self: Key(o.Key.Public().(ed25519.PublicKey)), wake: make(chan struct{}, 1), answers: newAnswers(),
		own: newBudget(ownRate, time.Now()), authors: make(map[Key]*author), peers: make(map[string]*peer),
		waiting: make(map[uint64]chan []byte),
	}
	b.subs.Store(new([]*subscriber))
	b.inbox = newInbox(b)
	var err error
	if b.stamps, err = openStamps(o.Store); err == nil {
		b.outbox, err = openOutbox(o.Store)
	}
	if err != nil {
		return nil, fmt.Errorf("bus: open: %w", err)
	}
	return b, nil
}

// Run brings what was sent to where it is for, and answers to who asked, until ctx ends.
func (b *Bus) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { b.runAnswers(ctx) })
	b.runPostman(ctx)
	return nil
}

// PeersChanged is to be called when Net.Peers may have changed. It does not block.
func (b *Bus) PeersChanged() {
	b.moved.Store(true)
	signal(b.wake)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// subscriber is what was attached.
type subscriber struct {
	wants   func(subject string) bool
	deliver func(Message) error

	mu   sync.RWMutex // shared by deliveries, held whole by the detachment
	gone bool
}

var errGone = errors.New("bus: the subscriber is gone")

func (s *subscriber) tell(m Message) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.gone {
		return errGone
	}
	return s.deliver(m)
}

// Attach has deliver told of messages of the subjects that wants names. Both are called concurrently and must not
// block or detach; an error of deliver means that the message was not taken. When detach returns, deliver is not called
// any more.
func (b *Bus) Attach(wants func(subject string) bool, deliver func(Message) error) (detach func()) {
	s := &subscriber{wants: wants, deliver: deliver}
	b.change(func(all []*subscriber) []*subscriber { return append(all, s) })
	b.outbox.hurry(b.self) // it may be whom messages here wait for
	signal(b.wake)
	return func() {
		b.change(func(all []*subscriber) []*subscriber {
			return slices.DeleteFunc(all, func(x *subscriber) bool { return x == s })
		})
		s.mu.Lock()
		s.gone = true
		s.mu.Unlock()
		b.inbox.leave(s)
	}
}

func (b *Bus) change(f func([]*subscriber) []*subscriber) {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := f(slices.Clone(*b.subs.Load()))
	b.subs.Store(&all)
}

// wanting are the subscribers of a subject.
func (b *Bus) wanting(subject string) []*subscriber {
	var list []*subscriber
	for _, s := range *b.subs.Load() {
		if s.wants(subject) {
			list = append(list, s)
		}
	}
	return list
}

// tell tells the subscribers here, each once.
func (b *Bus) tell(subject string, from Key, payload []byte, reply func() func([]byte) error) {
	for _, s := range b.wanting(subject) {
		m := Message{Subject: subject, From: b.o.Name(from), Payload: bytes.Clone(payload)}
		if reply != nil {
			m.Reply = reply()
		}
		if err := s.tell(m); err != nil {
			b.lost.Add(1)
		}
	}
}

// Stats are figures of a bus.
type Stats struct {
	Waiting      int    // messages in the outbox
	WaitingBytes int    // of them
	Lost         uint64 // messages that a full mailbox or a rate here kept from a subscriber, since Open
}

// Stats returns them as they are now.
func (b *Bus) Stats() Stats {
	n, bytes := b.outbox.size()
	return Stats{Waiting: n, WaitingBytes: bytes, Lost: b.lost.Load()}
}
