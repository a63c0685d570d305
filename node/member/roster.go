package member

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
)

// What Check says of a device that may not connect.
var (
	ErrNotMember = errors.New("not a member of this network")
	ErrRevoked   = errors.New("its membership was revoked")
	ErrExpired   = errors.New("its membership has expired")
)

// Roster says who is a member and what stands: a function of the genesis and a
// set of records. It never changes and may be used by many at once.
type Roster struct {
	genesis Genesis
	network NetworkID
	records []*Record // that have effect or may come to have it; each after what it hangs on
	byID    map[ID]*Record
	at      map[ID]int // where in records
	ids     []ID       // sorted
	bytes   int
	digest  [32]byte // of the set of records

	rest, restBytes int // grants, invites and keys that stand

	grants  map[Key][]granted  // that count, oldest first
	ended   map[Key][]*Record  // revocations in force, by subject
	invites map[ID]*redeemable // that stand
	keys    []*Record          // Keys that count
	counted map[ID]int         // grants that count or did, with their rank
	orphans map[Key][]*Record  // of revoked admins, see keptOrphans

	inviteOf map[Key]ID          // invites by their key
	signed   map[Key]uint64      // the latest time of an issuer's records
	agreed   uint64              // see agree
	members  map[Key]*membership // all who ever were
}

// membership is a member with what of it the roster is asked for most.
type membership struct {
	Member
	writes   bool // may write now
	wrote    bool // could, at some time
	replicas map[[8]byte]bool
	logs     map[logName]uint64
}

type logName struct {
	dataset [16]byte
	replica [8]byte
}

// Member is what the roster says of a device.
type Member struct {
	Key     Key
	Name    string
	Role    Role
	Rank    int // of an admin: 0 for the founder, else one below who granted it; MaxInt of others
	Since   time.Time
	Expires time.Time // zero: never
	Revoked bool      // no grant of it is in force
	Sealing [32]byte
}

func newRoster(g Genesis, size int) *Roster {
	return &Roster{
		genesis: g, network: g.Network(), byID: make(map[ID]*Record, size), grants: make(map[Key][]granted, size),
		ended: make(map[Key][]*Record), invites: make(map[ID]*redeemable), members: make(map[Key]*membership, size),
		at: make(map[ID]int, size), counted: make(map[ID]int, size), orphans: make(map[Key][]*Record), inviteOf: make(map[Key]ID), signed: make(map[Key]uint64),
	}
}

// inForce reports whether no revocation beats a grant.
func (r *Roster) inForce(g *Record) bool {
	for _, v := range r.ended[g.Body.(*Grant).Subject] {
		if !g.knows(v.ID) {
			return false
		}
	}
	return true
}

// founding reports whether a key still has the founder's seat.
func (r *Roster) founding(k Key) bool { return k == r.genesis.Founder && len(r.ended[k]) == 0 }

// rankOf is the best rank that a key has as an admin; MaxInt if it is none.
func (r *Roster) rankOf(k Key) int {
	if r.founding(k) {
		return 0
	}
	rank := math.MaxInt
	for _, g := range r.grants[k] {
		if g.Body.(*Grant).Role == Admin && g.rank < rank && r.inForce(g.Record) {
			rank = g.rank
		}
	}
	return rank
}

// describe sums up the grants of a key: of those in force, the highest role and
// the longest term count; of what says more about the device, the newest.
func (r *Roster) describe(k Key) *membership {
	m := &membership{Member: Member{Key: k}, wrote: k == r.genesis.Founder}
	all := r.grants[k]
	count := slices.DeleteFunc(slices.Clone(all), func(g granted) bool { return !r.inForce(g.Record) })
	if m.Revoked = len(count) == 0; m.Revoked { // then the last one says who it was
		count = all[max(0, len(all)-1):]
	}
	forever := false
	for i, g := range count {
		b := g.Body.(*Grant)
		if i == 0 {
			m.Since = fromMillis(g.Time)
		}
		m.Name, m.Sealing, m.Role = b.Name, b.Sealing, max(m.Role, b.Role)
		forever = forever || b.Expires == 0
		if t := fromMillis(b.Expires); t.After(m.Expires) {
			m.Expires = t
		}
	}
	if r.founding(k) {
		m.Role, m.Revoked, m.Since, forever = Admin, false, fromMillis(r.genesis.Created), true
	}
	if forever {
		m.Expires = time.Time{}
	}
	for _, g := range all {
		m.wrote = m.wrote || g.Body.(*Grant).Role >= Writer
	}
	m.Rank = r.rankOf(k)
	m.writes = !m.Revoked && m.Role >= Writer
	m.limit(r.ended[k])
	return m
}

// Network is the id of the network.
func (r *Roster) Network() NetworkID { return r.network }

// Genesis is what the network began with.
func (r *Roster) Genesis() Genesis { return r.genesis }

// Len is the number of records.
func (r *Roster) Len() int { return len(r.records) }

// Member is what is known of a device that is or was a member.
func (r *Roster) Member(k Key) (Member, bool) {
	m := r.members[k]
	if m == nil {
		return Member{}, false
	}
	return m.Member, true
}

// Members are all who are or were members: those in force first, by rank, name
// and key.
func (r *Roster) Members() []Member {
	list := make([]Member, 0, len(r.members))
	for m := range maps.Values(r.members) {
		list = append(list, m.Member)
	}
	slices.SortFunc(list, func(a, b Member) int {
		return cmp.Or(compareBools(a.Revoked, b.Revoked), cmp.Compare(a.Rank, b.Rank), strings.Compare(a.Name, b.Name), compareKeys(a.Key, b.Key))
	})
	return list
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// Check says why a device may not connect: ErrNotMember, ErrRevoked or
// ErrExpired. A clock that is wrong the other way shuts nobody out: what a
// device that starts in 1970 needs is others that tell it the time.
func (r *Roster) Check(k Key, now time.Time) error {
	m := r.members[k]
	switch {
	case m == nil && len(r.ended[k]) > 0:
		return fmt.Errorf("member: device %v: %w", k, ErrRevoked)
	case m == nil:
		return fmt.Errorf("member: device %v: %w: it needs an invite, or an admin's approval", k, ErrNotMember)
	case m.Revoked:
		return fmt.Errorf("member: device %v (%s): %w: only an admin can let it in again", k, m.Name, ErrRevoked)
	case !m.Expires.IsZero() && now.After(m.Expires):
		return fmt.Errorf("member: device %v (%s): %w on %s (this machine's clock says %s): an admin can renew it",
			k, m.Name, ErrExpired, date(millis(m.Expires)), date(millis(now)))
	}
	return nil
}

// PutOut reports whether a device is no member because an admin revoked it: not one that only
// left by itself.
func (r *Roster) PutOut(k Key) bool {
	for _, g := range r.grants[k] {
		if !slices.ContainsFunc(r.ended[k], func(v *Record) bool { return !v.leaves() && !g.knows(v.ID) }) {
			return false
		}
	}
	return len(r.grants[k]) > 0
}

// Has reports whether a device is a member in force of at least a role,
// whatever a clock says.
func (r *Roster) Has(k Key, role Role) bool {
	m := r.members[k]
	return m != nil && !m.Revoked && m.Role >= role
}

// Invites are those that stand, by time, with how often each was used.
func (r *Roster) Invites() []InviteState {
	list := make([]InviteState, 0, len(r.invites))
	for id, i := range r.invites {
		list = append(list, InviteState{ID: id, Invite: *i.Invite, Issuer: i.Issuer, Used: len(i.used), Closed: len(i.closed) > 0})
	}
	slices.SortFunc(list, func(a, b InviteState) int {
		return cmp.Or(cmp.Compare(r.byID[a.ID].Time, r.byID[b.ID].Time), compareIDs(a.ID, b.ID))
	})
	return list
}

// InviteState is an invite and what became of it.
type InviteState struct {
	Invite
	ID     ID
	Issuer Key
	Used   int
	Closed bool
}
