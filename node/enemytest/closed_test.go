package enemytest

import (
	"context"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/member"
	"github.com/numax-mesh/numax/p2p"
)

// TestEnemyClosed: three nodes of a closed network, and a peer that may not write there: a stranger
// that knows the network's id, a member that relays, a member that reads. Nothing of it is taken.
func TestEnemyClosed(t *testing.T) {
	roles := []string{"stranger", "relay", "reader"}
	if testing.Short() {
		roles = roles[2:]
	}
	for _, role := range roles {
		for _, seed := range seeds(1) {
			t.Run(fmt.Sprint(role, " seed ", seed), func(t *testing.T) {
				replay(t, seed)
				m := closedMesh(t)
				e := newEnemy(t, seed, m.network(), m.nodes)
				e.closed = true
				if role != "stranger" {
					m.admit(e, role)
				}
				m.withstand(e, *siegeTime/2)
				if e.lore.count("member frame shaped") == 0 {
					t.Error("the enemy never spoke the member protocol")
				}
				// It has no time for all of it in a siege of a second or two.
				if role != "stranger" && *siegeTime >= 10*time.Second && (e.lore.count("sync entry") == 0 || e.lore.count("times it left") == 0 || e.lore.count("introductions") == 0) {
					t.Error("a member's sync, introductions or leaving are missing")
				}
			})
		}
	}
}

// closedMesh starts three nodes of a closed network: its founder and two that write.
func closedMesh(t *testing.T) *mesh {
	t.Helper()
	m := newMesh(t)
	cfg := m.config(names[0])
	if _, err := node.FoundNetwork(cfg, "enemytest", names[0]); err != nil {
		t.Fatal(err)
	}
	m.add(names[0], cfg)
	for _, name := range names[1:] {
		cfg := m.config(name)
		m.join(cfg, name, "writer")
		m.add(name, cfg)
	}
	m.meet()
	return m
}

// join makes a directory that of a member.
func (m *mesh) join(cfg node.Config, name, role string) {
	m.t.Helper()
	invite, err := m.nodes[0].Invite(api.Invite{Role: role, Uses: 1})
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if _, err := node.JoinNetwork(ctx, cfg, invite.Token, name, func() {}, slog.New(slog.DiscardHandler)); err != nil {
		m.t.Fatal(err)
	}
}

// network is the id of the closed network.
func (m *mesh) network() replica.NetworkID {
	return replica.NetworkID(m.book(m.nodes[0].cfg.Data, m.copied(m.nodes[0].cfg.Data)).Roster().Network())
}

// copied is a copy of the records of a directory.
func (m *mesh) copied(data string) string {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(data, "members"))
	if err != nil {
		m.t.Fatal(err)
	}
	f, err := os.CreateTemp(m.dir, "members")
	if err != nil {
		m.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(b); err != nil {
		m.t.Fatal(err)
	}
	return f.Name()
}

// book opens records with the key of a directory.
func (m *mesh) book(data, file string) *member.Book {
	m.t.Helper()
	key, err := p2p.LoadIdentity(filepath.Join(data, "identity.pem"))
	if err != nil {
		m.t.Fatal(err)
	}
	b, err := member.Open(member.Options{File: file, Key: key})
	if err != nil {
		m.t.Fatal(err)
	}
	return b
}

// timesLeft is how often a member says, each time anew, that it leaves.
const timesLeft = 12

// admit makes the enemy a member.
func (m *mesh) admit(e *enemy, role string) {
	m.t.Helper()
	cfg := m.config("enemy")
	m.join(cfg, "enemy", role)
	var err error
	if e.key, err = p2p.LoadIdentity(filepath.Join(cfg.Data, "identity.pem")); err != nil {
		m.t.Fatal(err)
	}
	e.book = m.book(cfg.Data, filepath.Join(cfg.Data, "members"))
	for range timesLeft {
		b := m.book(cfg.Data, m.copied(cfg.Data))
		if err := b.Revoke(b.Self(), nil, nil); err != nil {
			m.t.Fatal(err)
		}
		e.left = append(e.left, b)
		time.Sleep(2 * time.Millisecond) // records are of a millisecond
	}
}

// show runs a session of the member protocol: with what the enemy knows, or, when it is time to
// leave, with one of its leavings.
func (l *life) show(rng *rand.Rand, x *honest, s io.ReadWriteCloser) {
	k, err := p2p.PeerKey(x.ID())
	if err != nil {
		l.t.Error(err)
		return
	}
	book := l.book
	if l.leaving.Load() {
		book = l.left[rng.IntN(len(l.left))]
		l.lore.said("times it left")
	}
	ctx, cancel := context.WithTimeout(l.ctx, time.Duration(rng.IntN(400))*time.Millisecond)
	defer cancel()
	_ = (&member.Session{
		Book: book, Stream: s, Peer: member.Key(k), Opener: true,
		Admitted: func(member.Admission) { l.lore.said("introductions") },
	}).Run(ctx)
}

// lock seals a body, as far as the enemy has the key: one that may only relay makes one up.
func (s *scribe) lock(h *replica.Header, body []byte) []byte {
	if !s.closed || s.rng.IntN(20) == 0 {
		return body
	}
	h.KeyID = randomBytes(s.rng, 16)
	if e := s.lore.entry(s.rng); e != nil && len(e.KeyID) > 0 {
		h.KeyID = e.KeyID
	}
	var aead cipher.AEAD
	if s.book != nil {
		ring := s.book.Ring()
		if id, _, ok := ring.Current(); ok {
			h.KeyID, aead = id[:], ring.Cipher(id)
		}
	}
	if aead == nil || s.rng.IntN(10) == 0 {
		return randomBytes(s.rng, 24+16+len(body))
	}
	a := h.Author.Bytes()
	place := append(append([]byte(nil), h.Network[:]...), h.Dataset[:]...)
	place = binary.BigEndian.AppendUint64(append(place, a[:]...), h.First)
	nonce := randomBytes(s.rng, 24)
	return aead.Seal(nonce, nonce, body, place)
}
