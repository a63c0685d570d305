package replica

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/zeebo/blake3"
)

func (s *session) sendDatasets() {
	var ids []byte
	for _, d := range s.r.Datasets() {
		ids = append(ids, d.id[:]...)
	}
	s.send(frame(frameDatasets, ids))
}

func (s *session) onDatasets(p []byte) error {
	ids, err := decodeDatasets(p)
	if err != nil {
		return err
	}
	s.mu.Lock()
	clear(s.theirs)
	for _, id := range ids {
		s.theirs[id] = true
	}
	s.mu.Unlock()
	s.sendRoot()
	return nil
}

// shared are the datasets that both sides replicate, by id.
func (s *session) shared() []*Dataset {
	all := s.r.Datasets()
	s.mu.Lock()
	defer s.mu.Unlock()
	all = slices.DeleteFunc(all, func(d *Dataset) bool { return !s.theirs[d.id] })
	slices.SortFunc(all, func(a, b *Dataset) int { return slices.Compare(a.id[:], b.id[:]) })
	return all
}

func root(shared []*Dataset) (digest [rootSize]byte) {
	h := blake3.NewDeriveKey(domainRoot)
	for _, d := range shared {
		sum := d.Digest()
		_, _ = h.Write(d.id[:])
		_, _ = h.Write(sum[:])
	}
	copy(digest[:], h.Sum(nil))
	return digest
}

func (s *session) sendRoot() {
	digest := root(s.shared())
	s.send(frame(frameRoot, digest[:]))
}

func (s *session) onRoot(p []byte) error {
	if len(p) != rootSize {
		return fmt.Errorf("%w: root of %d bytes", ErrMalformed, len(p))
	}
	shared := s.shared()
	if digest := root(shared); digest == [rootSize]byte(p) {
		s.mu.Lock()
		s.trickle.heard()
		news := s.heard != digest
		s.equal, s.heard, s.unequal = s.r.now(), digest, false
		clear(s.versions)
		s.mu.Unlock()
		if news {
			s.sendRoot() // once, so that the peer knows it too
		}
		for _, d := range shared {
			s.mend(d) // equal logs are not equal objects
		}
		return nil
	}
	s.mu.Lock()
	s.unequal = true
	s.mu.Unlock()
	if len(shared) == 1 {
		s.want(shared[0])
		return nil
	}
	var list []byte
	for _, d := range shared {
		sum := d.Digest()
		list = append(append(list, d.id[:]...), sum[:]...)
	}
	s.offer(frame(frameDigests, list))
	return nil
}

func (s *session) onDigests(p []byte) error {
	list, err := decodeDigests(p)
	if err != nil {
		return err
	}
	for _, x := range list {
		if d := s.r.dataset(x.id); d != nil && d.Digest() != x.digest {
			s.want(d)
		}
	}
	return nil
}

// untilBeacon is how long the stream may stay silent.
func (s *session) untilBeacon() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trickle.until(s.r.now())
}

func (s *session) beacon() {
	s.mu.Lock()
	due := s.trickle.fire(s.r.now())
	s.mu.Unlock()
	if due {
		s.sendRoot()
	}
}

// settled reports whether the peer has said that it holds what we hold.
func (s *session) settled() bool {
	digest := root(s.shared())
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard == digest
}

// moved makes the next beacon come soon.
func (s *session) moved() {
	s.mu.Lock()
	s.trickle.reset(s.r.now())
	s.mu.Unlock()
	signal(s.wake)
}

func (s *session) state() PeerState {
	lag := make(map[string]uint64)
	for _, d := range s.shared() {
		lag[d.name] = 0 // of one that is equal there are no versions
	}
	s.mu.Lock()
	versions := maps.Clone(s.versions)
	p := PeerState{Peer: s.peer, Lag: lag, Equal: s.equal}
	s.mu.Unlock()
	p.Settled = s.settled()
	for id, v := range versions {
		if d := s.r.dataset(id); d != nil {
			for a, seq := range d.Version() {
				if has := v[hashAuthor(a)]; seq > has {
					p.Lag[d.name] += seq - has
				}
			}
			p.Behind += p.Lag[d.name]
		}
	}
	return p
}
