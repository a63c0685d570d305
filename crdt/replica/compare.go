package replica

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/zeebo/blake3"

	"github.com/numax-mesh/numax/crdt"
)

// Comparing states. What a state holds of entries that are gone is its maker's word,
// so where other peers have the same version they are asked what they show there:
//
//	compare   id 16 ‖ version hash 32
//	compared  id 16 ‖ version hash 32 ‖ content hash 32     none: at another version, or busy
//
// The version hash is over authors, seqs and heads; the content hash over what every
// object shows (crdt.AppendContent), in the order of their keys. A state is taken if
// nobody shows something else; or if an administrator made it or shows the same; or
// if more peers show the same, with its maker, than show something else.
const (
	compareWait  = time.Second
	compareEvery = 10 * time.Second // between two content hashes that are computed for peers

	domainVersion = "numax 2026-11 state version"
	domainContent = "numax 2026-11 state content"
)

var errDisagree = errors.New("peers show something else at the same version: one of them is wrong. " +
	"numax-node dataset resync --from PEER takes over the state of the one you trust")

type stateSum [32]byte

// versionHash is of the logs that a state contains.
func versionHash(logs map[crdt.Author]logHead) (sum stateSum) {
	h := blake3.NewDeriveKey(domainVersion)
	for _, a := range slices.SortedFunc(maps.Keys(logs), crdt.Author.Compare) {
		l := logs[a]
		b := binary.BigEndian.AppendUint64(a.Append(nil), l.have)
		_, _ = h.Write(append(b, l.head[:]...))
	}
	copy(sum[:], h.Sum(nil))
	return sum
}

// contentHash runs over the objects of a state in the order of their keys.
type contentHash struct{ h *blake3.Hasher }

func newContentHash() contentHash { return contentHash{blake3.NewDeriveKey(domainContent)} }

// add takes the next object, as loaded from its rows.
func (c contentHash) add(key []byte, o crdt.Object) {
	if content := crdt.AppendContent(nil, o); len(content) > 0 {
		b := binary.AppendUvarint(nil, uint64(len(key)))
		_, _ = c.h.Write(append(b, key...))
		_, _ = c.h.Write(binary.AppendUvarint(nil, uint64(len(content))))
		_, _ = c.h.Write(content)
	}
}

func (c contentHash) sum() (sum stateSum) {
	copy(sum[:], c.h.Sum(nil))
	return sum
}

// shown is the content hash of a dataset at a version, computed last.
type shown struct {
	version, content stateSum
	at               time.Time
}

// showAt returns the content hash, if the dataset has exactly that version on disk.
func (d *Dataset) showAt(ctx context.Context, version stateSum) (stateSum, bool, error) {
	view, err := d.r.store.View()
	if err != nil {
		return stateSum{}, false, err
	}
	defer view.Close()
	all, err := readLogs(view, d.id)
	if err != nil {
		return stateSum{}, false, err
	}
	logs := make(map[crdt.Author]logHead, len(all))
	for a, l := range all {
		if l.applied == 0 {
			continue
		}
		head, err := l.appliedHead(view, d.id, a)
		if err != nil {
			return stateSum{}, false, err
		}
		logs[a] = logHead{have: l.applied, head: head}
	}
	if versionHash(logs) != version {
		return stateSum{}, false, nil
	}
	d.mu.Lock()
	last, now := d.shown, d.r.now()
	due := last.version == version || now.Sub(last.at) >= compareEvery || now.Before(last.at)
	if due && last.version != version {
		d.shown.at = now
	}
	broken := d.care.broken || d.parked.isLocked()
	d.mu.Unlock()
	if !due || broken {
		return stateSum{}, false, nil
	}
	if last.version == version {
		return last.content, true, nil
	}
	space, err := readSpace(view, d.id)
	if err != nil {
		return stateSum{}, false, err
	}
	h := newContentHash()
	var failed error
	for o := range ourObjects(view, space, &failed) {
		if ctx.Err() != nil {
			return stateSum{}, false, ctx.Err()
		}
		if f := crdt.Family(o.key[0]); f.Known() {
			x, err := loadObject(f, o.rows)
			if err != nil {
				return stateSum{}, false, err
			}
			h.add(o.key, x)
		}
	}
	if failed != nil {
		return stateSum{}, false, failed
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shown = shown{version, h.sum(), now}
	return d.shown.content, true, nil
}

// onCompare answers beside the frames that follow: it may read the whole state.
func (s *session) onCompare(ctx context.Context, p []byte) error {
	d, p, err := s.named(p)
	if err == nil {
		err = s.slow(ctx, d)
	}
	if err != nil || d == nil {
		return err
	}
	if len(p) != len(stateSum{}) {
		return fmt.Errorf("%w: compare frame of %d bytes", ErrMalformed, len(p))
	}
	version := stateSum(p)
	if !s.mayRead() || !s.comparing.TryLock() {
		s.offer(frame(frameCompared, d.id[:], version[:]))
		return nil
	}
	s.in.checks.Go(func() {
		defer s.comparing.Unlock()
		content, known, err := d.showAt(ctx, version)
		if err != nil {
			s.r.report("compare dataset "+d.name+" with a peer", err)
			return
		}
		if known {
			s.offer(frame(frameCompared, d.id[:], version[:], content[:]))
		} else {
			s.offer(frame(frameCompared, d.id[:], version[:]))
		}
	})
	return nil
}

func (s *session) onCompared(p []byte) error {
	d, p, err := s.named(p)
	if err != nil || d == nil {
		return err
	}
	if len(p) != 2*len(stateSum{}) && len(p) != len(stateSum{}) {
		return fmt.Errorf("%w: compared frame of %d bytes", ErrMalformed, len(p))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shown != nil && s.shownOf == stateSum(p[:len(stateSum{})]) {
		select {
		case s.shown <- p[len(stateSum{}):]:
		default:
		}
	}
	return nil
}

// agreed is agree where nobody is to be asked.
func agreed(context.Context, *join) error { return nil }

// agree asks the other peers about a state that a peer sent, and says whether it is
// to be taken.
func (s *session) agree(ctx context.Context, j *join) error {
	if s.r.administers != nil && s.r.administers(s.peer) {
		return nil
	}
	version, content := versionHash(j.state.manifest.logs), j.content.sum()
	type answer struct {
		from    *session
		content chan []byte // empty: it cannot tell
	}
	var asked []answer
	s.r.eachSession(func(x *session) {
		x.mu.Lock()
		defer x.mu.Unlock()
		if x == s || !x.theirs[j.d.id] || !x.mayRead() || x.shown != nil {
			return
		}
		x.shown, x.shownOf = make(chan []byte, 1), version
		asked = append(asked, answer{x, x.shown})
	})
	defer func() {
		for _, a := range asked {
			a.from.mu.Lock()
			a.from.shown = nil
			a.from.mu.Unlock()
		}
	}()
	for _, a := range asked {
		a.from.offer(frame(frameCompare, j.d.id[:], version[:]))
	}
	wait := time.NewTimer(compareWait)
	defer wait.Stop()
	same, other := 1, 0 // its maker
	over := false
	for _, a := range asked {
		var x []byte
		select {
		case x = <-a.content:
		default:
			if over {
				continue
			}
			select {
			case x = <-a.content:
			case <-wait.C: // what has come counts, nobody else is waited for
				over = true
				continue
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		trusted := s.r.administers != nil && s.r.administers(a.from.peer)
		switch equal := bytes.Equal(x, content[:]); {
		case len(x) == 0:
		case equal && trusted:
			return nil
		case equal:
			same++
		case trusted:
			return errDisagree
		default:
			other++
		}
	}
	if other > 0 && same <= other {
		return errDisagree
	}
	return nil
}
