package bus

import (
	"context"
	"crypto/cipher"
	"errors"
	"time"

	"github.com/numax-mesh/numax/sandbox"
)

// Verdict is what Validate says of a frame.
type Verdict int

// The verdicts: pass it on; drop it; drop it and hold it against the peer.
const (
	Ignore Verdict = iota
	Accept
	Reject
)

// Publish tells every subscriber on every node, here first, at most once. The error is sandbox.ErrBusy when this node
// says more than ownRate, sandbox.ErrDenied when the network does not let it say anything.
func (b *Bus) Publish(_ context.Context, subject string, payload []byte) error {
	return b.say(kindPublish, subject, payload, nil, nil)
}

// say tells subscribers everywhere. begun, if not nil, is told the frame's stamp before anybody hears of it.
func (b *Bus) say(kind byte, subject string, payload []byte, begun func(stamp uint64), reply func() func([]byte) error) error {
	if err := checkMessage(subject, payload); err != nil {
		return err
	}
	var raw []byte
	if b.o.Net != nil {
		f := &frame{kind: kind}
		var err error
		if raw, err = b.frame(f, subject, payload, begun); err != nil {
			return err
		}
	}
	b.tell(subject, b.self, payload, reply)
	if raw != nil {
		b.gossip(raw)
	}
	return nil
}

func (b *Bus) gossip(raw []byte) {
	if err := b.o.Net.Publish(raw); err != nil {
		b.o.Log.Debug("gossip", "err", err) // at most once
	}
}

// frame makes a frame of ours, if we may say so much.
func (b *Bus) frame(f *frame, subject string, payload []byte, begun func(stamp uint64)) ([]byte, error) {
	if !b.o.MaySpeak(b.self) {
		return nil, sandbox.ErrDenied
	}
	var seal cipher.AEAD
	if b.o.Keys != nil {
		if f.key, seal = b.o.Keys.Current(); seal == nil {
			return nil, ErrNoKey
		}
	}
	now := time.Now()
	b.mu.Lock()
	ok := b.own.allow(MaxFrame-MaxPayload-MaxSubject+len(subject)+len(payload), now)
	b.mu.Unlock()
	if !ok {
		return nil, sandbox.ErrBusy
	}
	f.from = b.self
	var err error
	if f.stamp, err = b.stamps.next(now); err != nil {
		return nil, err
	}
	if begun != nil {
		begun(f.stamp)
	}
	return f.write(b.o.Network, b.o.Key, seal, appendContent(nil, subject, payload)), nil
}

// heard is a frame that was found good, and could be read here.
type heard struct {
	frame   *frame
	subject string
	payload []byte
}

// Validate says whether a frame is to be passed on. Its token, if not nil, is for Receive. It may be called
// concurrently.
func (b *Bus) Validate(from string, raw []byte) (Verdict, any) {
	now := time.Now()
	if !b.allowPeer(from, len(raw), now) {
		b.lost.Add(1)
		return Ignore, nil
	}
	f, err := parseFrame(raw)
	switch {
	case errors.Is(err, errNewer):
		return Ignore, nil
	case err != nil, (b.o.Keys == nil) != (f.key == KeyID{}):
		return Reject, nil
	case f.from == b.self, b.known(f), !b.o.MaySpeak(f.from):
		return Ignore, nil // rosters differ for a while, so nobody is to blame
	case !f.verify(b.o.Network):
		return Reject, nil
	case !b.admit(f, len(raw), now):
		return Ignore, nil
	}
	var seal cipher.AEAD
	if b.o.Keys != nil {
		if seal = b.o.Keys.Find(f.key); seal == nil {
			return Accept, nil // a relay passes on what it cannot read
		}
	}
	content, err := f.open(b.o.Network, seal)
	if err != nil {
		return Ignore, nil // who has not the key cannot see that, and is not to blame
	}
	h := &heard{frame: f}
	h.subject, h.payload, err = parseContent(content)
	if err == nil && (h.subject == "") == (f.kind == kindAnswer) {
		return Accept, h
	}
	if seal == nil {
		return Reject, nil
	}
	return Ignore, nil
}

func (b *Bus) allowPeer(from string, n int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.peer(from, now).budget.allow(n, now)
}

// peer finds a peer's share. b.mu is held.
func (b *Bus) peer(id string, now time.Time) *peer {
	return touch(b.peers, maxPeers, id, func(p *peer) *time.Time { return &p.last }, now, func() *peer {
		return &peer{budget: newBudget(peerRate, now)}
	})
}

// known reports whether a frame has been heard before.
func (b *Bus) known(f *frame) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.authors[f.from]
	return a != nil && a.heard.has(f.stamp)
}

// admit notes a frame whose signature is good, unless it has been heard before, or its author says too much.
func (b *Bus) admit(f *frame, n int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	a := touch(b.authors, maxAuthors, f.from, func(a *author) *time.Time { return &a.last }, now, func() *author {
		return &author{budget: newBudget(authorRate, now)}
	})
	if !a.heard.add(f.stamp) {
		return false
	}
	if !a.budget.allow(n, now) {
		b.lost.Add(1)
		return false
	}
	return true
}

// Receive tells of what Validate accepted.
func (b *Bus) Receive(_ context.Context, _ string, token any) {
	h, ok := token.(*heard)
	if !ok {
		return
	}
	f := h.frame
	switch f.kind {
	case kindPublish:
		b.tell(h.subject, f.from, h.payload, nil)
	case kindRequest:
		b.tell(h.subject, f.from, h.payload, func() func([]byte) error { return b.replier(f.from, f.stamp) })
	case kindAnswer:
		if f.to == b.self {
			b.answered(f.about, h.payload)
		}
	}
}
