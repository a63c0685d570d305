package member

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// pen writes the records of one act of a device. What it wrote is evaluated
// with all the rest, and handed over together or not at all.
type pen struct {
	key     ed25519.PrivateKey
	self    Key
	sealing *sealing
	now     time.Time
	roster  *Roster // with what was written
	ring    *Ring   // from before
	wrote   []*Record
}

// ErrNotAdmin says that this device cannot do what only admins do.
var ErrNotAdmin = errors.New("this device is no admin of the network")

// under is the grant to act by: the best admin's grant in force, else, for a
// device that leaves, any.
func (p *pen) under(role Role) (ID, error) {
	if p.roster.founding(p.self) {
		return ID{}, nil
	}
	var best *granted
	for _, g := range p.roster.grants[p.self] {
		if g.Body.(*Grant).Role >= role && p.roster.inForce(g.Record) && (best == nil || g.rank < best.rank) {
			best = &g
		}
	}
	switch {
	case best != nil:
		return best.ID, nil
	case role == Admin:
		return ID{}, ErrNotAdmin
	}
	return ID{}, ErrNotMember
}

// write signs records and takes them into account.
func (p *pen) write(role Role, bodies ...Body) error {
	under, err := p.under(role)
	if err != nil {
		return err
	}
	for _, b := range bodies {
		r, err := sign(p.key, Record{Network: p.roster.network, Under: under, Time: millis(p.now), Body: b})
		if err != nil {
			return err
		}
		p.wrote = append(p.wrote, r)
	}
	p.roster = evaluate(p.roster.genesis, slices.Concat(p.roster.records, p.wrote))
	return nil
}

// kept says whether what was written has its place in the set.
func (p *pen) kept() error {
	for _, r := range p.wrote {
		if p.roster.byID[r.ID] == nil {
			return ErrFull
		}
	}
	return nil
}

// reserve is room in the set that only the keys may take which revocations make
// necessary. Revocations have quotas of their own.
const reserve = 1024

func (p *pen) room() error {
	if p.roster.rest >= MaxRecords-reserve || p.roster.restBytes >= MaxBytes-reserve<<10 {
		return ErrFull
	}
	return nil
}

// grant lets a device in, whatever was said of it before.
func (p *pen) grant(g Grant) error {
	if err := p.room(); err != nil {
		return err
	}
	g.After = nil
	for _, v := range p.roster.ended[g.Subject] {
		g.After = append(g.After, v.ID)
	}
	slices.SortFunc(g.After, compareIDs)
	if g.Expires != 0 && g.Expires <= millis(p.now) {
		return fmt.Errorf("it would expire at once: %s is past", date(g.Expires))
	}
	if err := p.write(Admin, &g); err != nil {
		return err
	}
	return p.reseal()
}

// revoke ends a membership. Of the subject's records those stand that are known
// and not dropped; of its logs, what logs says.
func (p *pen) revoke(subject Key, logs []Limit, drop func(*Record) bool) error {
	if subject == p.self {
		return p.leave(drop)
	}
	if _, err := p.under(Admin); err != nil {
		return err
	}
	m, known := p.roster.Member(subject)
	if !known {
		return fmt.Errorf("device %v: %w", subject, ErrNotMember)
	}
	if mine := p.roster.rankOf(p.self); m.Rank < mine {
		return fmt.Errorf("device %v (%s) is an admin above this one: only the founder, or an admin as near to it, can revoke it", subject, m.Name)
	}
	if err := p.end(subject, logs, p.recordsOf(func(r *Record) bool { return r.Issuer == subject && (drop == nil || !drop(r)) })); err != nil {
		return err
	}
	roster, wrote := p.roster, p.wrote
	if err := p.reseal(); err != nil {
		return err
	}
	if p.roster.full() { // it is out all the same; the key changes when there is room
		p.roster, p.wrote = roster, wrote
	}
	return nil
}

// end writes the revocations that say of a subject what stands.
func (p *pen) end(subject Key, logs []Limit, standing []ID) error {
	slices.SortFunc(logs, compareLimits)
	logs = slices.Compact(logs)
	var bodies []Body
	for first := true; first || len(standing) > 0 || len(logs) > 0; first = false {
		n, l := min(len(standing), maxStanding), min(len(logs), maxLogs)
		bodies = append(bodies, &Revocation{Subject: subject, Standing: standing[:n], Logs: logs[:l]})
		standing, logs = standing[n:], logs[l:]
	}
	if err := p.write(Admin, bodies...); err != nil {
		return err
	}
	return p.kept()
}

// leave ends the membership of this device. Those who stay make a new key.
func (p *pen) leave(drop func(*Record) bool) error {
	if p.roster.onlyAdmin(p.self) {
		return errors.New("this device is the only admin, and nobody could let anyone in or out any more: let another admin in first")
	}
	v := &Revocation{Subject: p.self}
	if p.roster.Has(p.self, Admin) {
		v.Standing = p.recordsOf(func(r *Record) bool { return r.Issuer == p.self && (drop == nil || !drop(r)) })
		if len(v.Standing) > maxOwn {
			return fmt.Errorf("this device said more as an admin (%d records) than it can list when it leaves, at most %d: let another admin revoke it", len(v.Standing), maxOwn)
		}
	}
	if err := p.write(Relay, v); err != nil {
		return err
	}
	return p.kept()
}

// confirmLeft has this admin say too what those say that were admins and left. Their own
// word could be replaced by whoever has their keys; with this, it counts no more. The
// founder's seat nobody else can end.
func (p *pen) confirmLeft() error {
	mine := p.roster.rankOf(p.self)
	for k, ended := range p.roster.ended {
		if k == p.roster.genesis.Founder || k == p.self || slices.ContainsFunc(ended, func(v *Record) bool { return !v.leaves() }) {
			continue
		}
		rank := math.MaxInt
		for _, g := range p.roster.grants[k] {
			if g.Body.(*Grant).Role == Admin {
				rank = min(rank, g.rank)
			}
		}
		if rank == math.MaxInt || rank < mine {
			continue
		}
		standing := p.recordsOf(func(r *Record) bool { return r.Issuer == k })
		for _, v := range ended { // also what is still on its way here
			standing = append(standing, v.Body.(*Revocation).Standing...)
		}
		slices.SortFunc(standing, compareIDs)
		if err := p.end(k, nil, slices.Compact(standing)); err != nil {
			return err
		}
	}
	return nil
}

// onlyAdmin reports whether a device is an admin, and nobody else is.
func (r *Roster) onlyAdmin(k Key) bool {
	return r.Has(k, Admin) && !slices.ContainsFunc(r.Members(), func(m Member) bool { return m.Key != k && r.Has(m.Key, Admin) })
}

// recordsOf are the ids of records that a predicate chooses, sorted.
func (p *pen) recordsOf(chosen func(*Record) bool) (ids []ID) {
	for _, r := range p.roster.records {
		if chosen(r) {
			ids = append(ids, r.ID)
		}
	}
	slices.SortFunc(ids, compareIDs)
	return ids
}

func compareLimits(a, b Limit) int {
	x := (&Revocation{Logs: []Limit{a}}).append(nil)
	y := (&Revocation{Logs: []Limit{b}}).append(nil)
	return slices.Compare(x, y)
}

// invite makes an invite and the secret of its token.
func (p *pen) invite(i Invite) (s InviteSecret, err error) {
	if err := p.room(); err != nil {
		return s, err
	}
	_, _ = rand.Read(s[:]) // never fails
	switch at := p.roster.noEarlier(p.self, p.self, p.now); {
	case i.Expires == 0 || i.Expires > at:
	case i.Expires > millis(p.now):
		return s, fmt.Errorf("it would expire at once: admins have signed records at %s, and this machine's clock shows %s: "+
			"set the clock; if it was ahead and is right now, let another admin invite, or make an invite that does not expire",
			date(at), date(millis(p.now)))
	default:
		return s, fmt.Errorf("it would expire at once: %s is past", date(i.Expires))
	}
	i.Key, i.Uses = publicKey(s.key()), max(i.Uses, 1)
	return s, p.write(Admin, &i)
}

// closeInvite ends an invite; who came by it stays.
func (p *pen) closeInvite(id ID) error {
	i := p.roster.invites[id]
	if i == nil {
		return fmt.Errorf("no invite has the id %v", id)
	}
	if i.rank < p.roster.rankOf(p.self) {
		return fmt.Errorf("the invite is by an admin above this one: only the founder, or an admin as near to it, can withdraw it")
	}
	standing := p.recordsOf(func(r *Record) bool {
		g, ok := r.Body.(*Grant)
		return ok && g.Invite == id
	})
	var bodies []Body
	for part := range slices.Chunk(standing, maxStanding) {
		bodies = append(bodies, &Revocation{Subject: i.Key, Standing: part})
	}
	if bodies == nil {
		bodies = []Body{&Revocation{Subject: i.Key}}
	}
	if err := p.write(Admin, bodies...); err != nil {
		return err
	}
	return p.kept()
}

// reseal hands out what members lack of the network's keys.
func (p *pen) reseal() error {
	ring := p.roster.ring(p.self, p.sealing, p.ring)
	key, epoch, members, older := p.roster.missing(ring, millis(p.now))
	var bodies []Body
	for len(members) > 0 || len(older) > 0 {
		k := &Keys{Key: key.ID(), Epoch: epoch}
		n, o := min(len(members), maxSeals), min(len(older), maxOlder)
		for _, m := range members[:n] {
			s, err := key.sealTo(m)
			if err != nil {
				return err
			}
			k.Seals = append(k.Seals, s)
		}
		for _, id := range older[:o] {
			k.Older = append(k.Older, key.wrap(ring.keys[id], ring.epochs[id]))
		}
		slices.SortFunc(k.Seals, func(a, b Seal) int { return compareKeys(a.Recipient, b.Recipient) })
		bodies = append(bodies, k) // older is sorted
		members, older = members[n:], older[o:]
	}
	if bodies == nil {
		return nil
	}
	return p.write(Admin, bodies...)
}
