package member

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Merge takes in records that others show, and says how many were news. Records
// without effect are dropped; one that is malformed, forged or of another
// network is an error, and none of the list is taken. Of more than fits the
// revocations are taken, and the error is ErrFull.
//
// What is cheap to see is looked at first: whether a record is known, comes down from
// the founder by grants that are known, is of a kind that its issuer may make, and stands.
// Only then are signatures checked, and the roster is evaluated anew.
func (b *Book) Merge(records []*Record) (news int, err error) {
	news, _, err = b.mergeOf(records)
	return news, err
}

// mergeOf is Merge, and says how many records it had to evaluate for it.
func (b *Book) mergeOf(records []*Record) (news, work int, err error) {
	if err := b.foreign(records); err != nil {
		return 0, 0, fmt.Errorf("member: take in records: %w", err)
	}
	if !b.Roster().anyNews(records) {
		return 0, 0, nil // without a turn: handshakes do not wait for changes
	}
	b.changing.merge()
	defer b.changing.done()
	news, work, err = b.merge(records)
	if err != nil {
		err = fmt.Errorf("member: take in records: %w", err)
	}
	return news, work, err
}

func (b *Book) foreign(records []*Record) error {
	network := b.Roster().network
	for _, r := range records {
		if r.Network != network {
			return fmt.Errorf("certificate %v: %w (%v, not %v)", r.ID, ErrForeign, r.Network, network)
		}
	}
	return nil
}

// anyNews reports whether one of some records, none of which is verified, would change
// the set.
func (r *Roster) anyNews(records []*Record) bool {
	unknown := func(rec *Record) bool { return r.byID[rec.ID] == nil }
	if !slices.ContainsFunc(records, unknown) {
		return false
	}
	// A record that stands on others of the list comes after one of them that is taken.
	return slices.ContainsFunc(records, func(rec *Record) bool { return unknown(rec) && r.takes(rec) })
}

func (b *Book) merge(records []*Record) (news, work int, err error) {
	old := b.Roster()
	if !old.anyNews(records) {
		return 0, 0, nil
	}
	fresh := make(map[ID]bool)
	var batch []*Record
	for _, r := range old.comeDown(records) {
		if old.byID[r.ID] != nil || fresh[r.ID] {
			continue
		}
		if err := r.verify(); err != nil {
			return 0, 0, err
		}
		fresh[r.ID] = true
		batch = append(batch, r)
	}
	next := evaluate(old.genesis, slices.Concat(old.records, batch))
	work = len(old.records) + len(batch)
	var full error
	if next.full() {
		full = ErrFull
		batch = slices.DeleteFunc(batch, func(r *Record) bool { return r.Body.kind() != kindRevocation })
		next = evaluate(old.genesis, slices.Concat(old.records, batch))
		if next.full() && !old.full() { // more revocations than quotas of so many admins have room for
			return 0, work, ErrFull
		}
	}
	if news, err = b.commit(next, batch); err != nil {
		return 0, work, err
	}
	return news, work, full
}

// commit makes a roster that of this device, with some records that may be news in it, and
// says how many are.
func (b *Book) commit(next *Roster, batch []*Record) (news int, err error) {
	if next.digest == b.Roster().digest {
		return 0, nil
	}
	var kept []*Record
	for _, r := range batch {
		if next.byID[r.ID] != nil {
			kept = append(kept, r)
		}
	}
	if err := b.disk.add(next, kept); err != nil {
		return 0, err
	}
	b.show(next)
	return len(kept), nil
}

// full reports whether there are more records than a set may have.
func (r *Roster) full() bool {
	return r.rest > MaxRecords || r.restBytes > MaxBytes || len(r.records) > maxSet || r.bytes > maxSetBytes
}

// turns lets changes in one at a time, what this device does itself before what others
// show it: whoever is at the keyboard does not wait behind a queue of strangers.
type turns struct {
	mu   *sync.Mutex // guards the fields below
	free *sync.Cond
	busy bool
	acts int // that wait
}

func newTurns() turns {
	mu := new(sync.Mutex)
	return turns{mu: mu, free: sync.NewCond(mu)}
}

func (t *turns) act() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.acts++; t.busy; {
		t.free.Wait()
	}
	t.acts--
	t.busy = true
}

func (t *turns) merge() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.busy || t.acts > 0 {
		t.free.Wait()
	}
	t.busy = true
}

func (t *turns) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy = false
	t.free.Broadcast()
}

// maxSessions is how many sessions with one peer go on at a time: one, and some that have
// not noticed yet that they are over. There are no more.
const maxSessions = 8

func (b *Book) enter(peer Key) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sessions[peer] >= maxSessions {
		return false
	}
	b.sessions[peer]++
	return true
}

func (b *Book) exit(peer Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sessions[peer]--; b.sessions[peer] == 0 {
		delete(b.sessions, peer)
	}
}

// A budget is what one peer may still make this device do: records that are evaluated
// for it, listed to it or sent to it. An evaluation of a small set counts as one of
// workFloor, since it is also a write to disk. A peer over its budget waits.
type budget struct {
	left float64
	at   time.Time
}

const (
	workFloor   = 1024
	workBurst   = 8 * MaxRecords
	workRate    = 2 * MaxRecords // a second
	maxBudgets  = 4096
	maxOverdraw = 10 * time.Second
)

// charge takes work off a peer's budget and says how long the peer is to wait.
func (b *Book) charge(peer Key, work int) time.Duration {
	now := time.Now() // elapsed time, whatever the calendar says
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.budgets[peer]
	if p == nil {
		if work == 0 {
			return 0
		}
		if len(b.budgets) >= maxBudgets {
			b.forgetIdle(now)
		}
		p = &budget{left: workBurst, at: now}
		b.budgets[peer] = p
	}
	p.left = min(workBurst, p.left+now.Sub(p.at).Seconds()*workRate) - float64(work)
	p.at = now
	if p.left >= 0 {
		return 0
	}
	return min(time.Duration(-p.left/workRate*float64(time.Second)), maxOverdraw)
}

// forgetIdle drops the budgets that are whole again; if none is, all of them.
func (b *Book) forgetIdle(now time.Time) {
	before := len(b.budgets)
	for k, p := range b.budgets {
		if p.left+now.Sub(p.at).Seconds()*workRate >= workBurst {
			delete(b.budgets, k)
		}
	}
	if len(b.budgets) == before {
		clear(b.budgets)
	}
}

// mergeFor is Merge for a peer, which pays for it. A peer that has used up its budget
// waits before it, until stop is closed.
func (b *Book) mergeFor(peer Key, records []*Record, stop <-chan struct{}) (news int, err error) {
	if wait := b.charge(peer, 0); wait > 0 {
		select {
		case <-time.After(wait):
		case <-stop:
			return 0, errStopped
		}
	}
	news, work, err := b.mergeOf(records)
	if work > 0 {
		b.charge(peer, max(work, workFloor))
	}
	return news, err
}

// errStopped ends what waits in a session that has ended.
var errStopped = errors.New("the session has ended")
