package member

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Book keeps the membership of one device in one network: what others show it
// and what it says itself. It is on disk before a method answers, and all
// methods may be called at any time.
type Book struct {
	file string
	key  ed25519.PrivateKey
	self Key
	seal sealing
	now  func() time.Time
	view atomic.Pointer[view]

	// changing is held for a whole change, with its write to disk: changes queue
	// up, while who only reads takes the view.
	changing turns
	disk     journal // guarded by changing

	mu       sync.Mutex // guards the fields below
	watchers map[chan struct{}]struct{}
	pending  []PendingRequest // oldest first, at most MaxPending
	budgets  map[Key]*budget  // of peers that make this device work, at most maxBudgets
	sessions map[Key]int      // that go on, at most maxSessions with one peer
}

// view is what follows from one set of records.
type view struct {
	roster *Roster
	ring   *Ring
}

// Options of a Book.
type Options struct {
	File string             // where it is kept
	Key  ed25519.PrivateKey // of this device
	Now  func() time.Time   // nil: time.Now
}

// Found begins a network, with this device as its founder.
func Found(network, device string, o Options) (*Book, error) {
	b, err := newBook(o)
	if err == nil {
		err = errors.Join(CheckName(network), CheckName(device))
	}
	if err != nil {
		return nil, fmt.Errorf("member: found network: %w", err)
	}
	g := Genesis{Name: network, Founder: b.self, Created: millis(b.now())}
	_, _ = rand.Read(g.Nonce[:]) // never fails
	if err := b.mayBegin(); err != nil {
		return nil, fmt.Errorf("member: found network: %w", err)
	}
	b.show(evaluate(g, nil)) // on disk with the founder's own grant, or not at all
	err = b.act("found network", func(p *pen) error {
		return p.grant(Grant{Subject: b.self, Role: Admin, Name: device, Sealing: b.seal.public})
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Join keeps the genesis of a network that this device has a token of. It is a
// member once a Session with a Request got it in.
func Join(g Genesis, o Options) (*Book, error) {
	b, err := newBook(o)
	if err == nil {
		err = b.begin(g)
	}
	if err != nil {
		return nil, fmt.Errorf("member: join network: %w", err)
	}
	return b, nil
}

// Open reads the file. The error is fs.ErrNotExist if this device has no closed
// network, ErrDamaged if the file is not as it was written.
func Open(o Options) (*Book, error) {
	b, err := newBook(o)
	if err != nil {
		return nil, fmt.Errorf("member: open: %w", err)
	}
	data, err := readFile(o.File)
	if err != nil {
		return nil, fmt.Errorf("member: open: %w", err)
	}
	g, records, err := b.disk.decode(data)
	if err != nil {
		return nil, fmt.Errorf("member: open %s: %w", o.File, err)
	}
	b.show(evaluate(g, records))
	return b, nil
}

func newBook(o Options) (*Book, error) {
	if len(o.Key) != ed25519.PrivateKeySize || o.File == "" {
		return nil, errors.New("no key or no file")
	}
	seal, err := newSealing(o.Key)
	if err != nil {
		return nil, err
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Book{
		file: o.File, key: o.Key, self: publicKey(o.Key), seal: seal, now: o.Now,
		watchers: make(map[chan struct{}]struct{}), budgets: make(map[Key]*budget), sessions: make(map[Key]int),
		changing: newTurns(), disk: journal{name: o.File},
	}, nil
}

// mayBegin says why there can be no new file.
func (b *Book) mayBegin() error {
	_, err := os.Stat(b.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err == nil:
		err = fmt.Errorf("%s: this device is in a closed network already: use another data directory", b.file)
	}
	return err
}

// begin makes the file.
func (b *Book) begin(g Genesis) error {
	if err := b.mayBegin(); err != nil {
		return err
	}
	if err := b.disk.rewrite(&g, nil); err != nil {
		return err
	}
	b.show(evaluate(g, nil))
	return nil
}

// show lets everybody see a roster.
func (b *Book) show(r *Roster) {
	var before *Ring
	if v := b.view.Load(); v != nil {
		before = v.ring
	}
	b.view.Store(&view{r, r.ring(b.self, &b.seal, before)})
	b.mu.Lock()
	defer b.mu.Unlock()
	for w := range b.watchers {
		select {
		case w <- struct{}{}:
		default: // it has yet to look
		}
	}
}

// Self is the key of this device.
func (b *Book) Self() Key { return b.self }

// Roster is the roster as it is now.
func (b *Book) Roster() *Roster { return b.view.Load().roster }

// Ring are the network's keys as this device has them now.
func (b *Book) Ring() *Ring { return b.view.Load().ring }

// Check is Roster().Check by this machine's clock.
func (b *Book) Check(k Key) error { return b.Roster().Check(k, b.now()) }

// Watch returns a channel that holds a value whenever the roster may have
// changed since the last receive, and a function that ends this.
func (b *Book) Watch() (changed <-chan struct{}, stop func()) {
	w := make(chan struct{}, 1)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watchers[w] = struct{}{}
	return w, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.watchers, w)
	}
}

// act runs one act of this device and keeps what it wrote.
func (b *Book) act(name string, do func(*pen) error) error {
	b.changing.act()
	defer b.changing.done()
	if err := b.actLocked(do); err != nil {
		return fmt.Errorf("member: %s: %w", name, err)
	}
	return nil
}

// actLocked is act for who holds changing.
func (b *Book) actLocked(do func(*pen) error) error {
	v := b.view.Load()
	p := &pen{key: b.key, self: b.self, sealing: &b.seal, now: b.now(), roster: v.roster, ring: v.ring}
	if err := do(p); err != nil {
		return err
	}
	if p.roster.full() && !v.roster.full() {
		return ErrFull
	}
	_, err := b.commit(p.roster, p.wrote)
	return err
}

// Revoke ends a membership; this device's own, if the subject is itself. Logs is
// what this device has of the subject's entries: they stand so far; of a device that
// leaves it is not said. Of the records that the subject made, those stand that drop
// (which may be nil) does not choose, and those that an earlier revocation let stand.
// A key of entry bodies that the subject has is replaced. The subject may have left
// already: then its own word counts no more.
func (b *Book) Revoke(subject Key, logs []Limit, drop func(*Record) bool) error {
	return b.act("revoke", func(p *pen) error { return p.revoke(subject, logs, drop) })
}

// Change gives a member another role, or a new term (zero: for ever), or lets
// a revoked one in again. A lower role or a shorter term needs a revocation first.
func (b *Book) Change(subject Key, role Role, expires time.Time) error {
	return b.act("change member", func(p *pen) error {
		m, ok := p.roster.Member(subject)
		if !ok || m.Name == "" {
			return fmt.Errorf("device %v: %w", subject, ErrNotMember)
		}
		return p.grant(Grant{Subject: subject, Role: role, Name: m.Name, Sealing: m.Sealing, Expires: term(expires)})
	})
}

// Invite makes a token without addresses that lets uses devices (at least one)
// in as members of a role, until it expires (zero: never).
func (b *Book) Invite(role Role, uses uint32, expires time.Time) (*Token, error) {
	t := &Token{Genesis: b.Roster().genesis}
	err := b.act("invite", func(p *pen) error {
		s, err := p.invite(Invite{Role: role, Uses: uses, Expires: term(expires)})
		t.Secret = &s
		return err
	})
	if err != nil {
		return nil, err
	}
	return t, nil
}

// CloseInvite withdraws an invite. Who came by it stays.
func (b *Book) CloseInvite(id ID) error {
	return b.act("withdraw invite", func(p *pen) error { return p.closeInvite(id) })
}

// Reseal hands out what members lack of the keys of entry bodies, and makes a
// new key if one who is no member any more, or whose membership has expired, has the
// current one. It also ends the membership of admins that left, so that their keys
// cannot take it back. An admin's node calls it after changes that others made, and now
// and then, since memberships expire; it does nothing where nothing lacks.
func (b *Book) Reseal() error {
	if !b.Roster().Has(b.self, Admin) {
		return nil
	}
	return b.act("hand out keys", func(p *pen) error {
		if err := p.confirmLeft(); err != nil {
			return err
		}
		return p.reseal()
	})
}

func term(expires time.Time) uint64 {
	if expires.IsZero() {
		return 0
	}
	return max(millis(expires), 1)
}
