package member

import (
	"cmp"
	"maps"
	"slices"

	"github.com/zeebo/blake3"
)

// The roster is computed from the top down. A seat is the right to act as an
// admin: the founder's, of rank 0, or that of a grant, one below its issuer (and
// below the issuer of its invite, if it has one). Ranks are taken in turn:
//
//	seats of rank n ──► 1. whom they revoke, in the order of their keys; each first itself
//	                    2. what else they said, if it stands: invites, grants, keys
//	                    3. who of those that came by an invite got one of its uses
//	                         │
//	                         ▼ admins among the granted
//	seats of rank n+1
//
// So nothing that is decided hangs on anything below it, and two admins of one
// rank that revoke each other come out the same everywhere: the lower key wins.
//
// A record stands unless a revocation of its issuer leaves it out, other than
// one that the issuer's grant was made in knowledge of. A record that does not
// stand, or whose issuer has no seat, has no effect and is not kept. What else is not
// kept, so that the set stays bounded, bounds.go says.
type evaluation struct {
	*Roster
	said    map[ID][]*Record // by the grant that they were made under
	waiting map[ID][]granted // grants by an invite, until that is known
	next    []seat
	leavers []*Record // grants to others than admins

	quotas map[Key]*quota // of admins that the founder let in, with all below them
	quota  map[ID]*quota  // by grant: that of the admin's branch
}

type seat struct {
	holder Key
	grant  *Record // nil: the founder's
	quota  *quota  // of revocations
}

// granted is a grant and the rank of who made it.
type granted struct {
	*Record
	rank int
}

// redeemable is an invite that stands.
type redeemable struct {
	*Record
	*Invite
	rank   int
	closed []*Record // revocations of it
	used   map[Key]bool
}

// evaluate computes the roster of a set of verified records of one network.
func evaluate(g Genesis, records []*Record) *Roster {
	e := &evaluation{
		Roster: newRoster(g, len(records)), said: make(map[ID][]*Record),
		waiting: make(map[ID][]granted), quotas: make(map[Key]*quota), quota: make(map[ID]*quota),
	}
	e.quotas[g.Founder] = &quota{foundersRevocations, foundersRevocationBytes}
	for _, r := range records {
		e.said[r.Under] = append(e.said[r.Under], r)
	}
	for under, list := range e.said {
		slices.SortFunc(list, func(a, b *Record) int {
			return cmp.Or(cmp.Compare(a.Body.kind(), b.Body.kind()), compareIDs(a.ID, b.ID))
		})
		e.said[under] = slices.CompactFunc(list, func(a, b *Record) bool { return a.ID == b.ID })
	}
	level := []seat{{holder: g.Founder, quota: e.quotas[g.Founder]}}
	for rank := 0; len(level) > 0; rank++ {
		slices.SortFunc(level, func(a, b seat) int {
			return cmp.Or(compareKeys(a.holder, b.holder), compareIDs(a.id(), b.id()))
		})
		e.endMembers(level, rank)
		e.takeRest(level, rank)
		for id, list := range e.waiting {
			if invite := e.invites[id]; invite != nil {
				e.allot(invite, list)
				delete(e.waiting, id)
			}
		}
		level, e.next = e.next, nil
	}
	e.leave()
	e.finish()
	return e.Roster
}

func (s seat) id() ID {
	if s.grant == nil {
		return ID{}
	}
	return s.grant.ID
}

// by are the records that the holder of a seat made under it.
func (e *evaluation) by(s seat) []*Record {
	return slices.DeleteFunc(slices.Clone(e.said[s.id()]), func(r *Record) bool { return r.Issuer != s.holder })
}

// endMembers decides the revocations of a rank. One that was decided stays, also
// when its issuer is revoked by a higher key: so there is no going round in
// circles. A holder that leaves has said so first: nothing else of it counts that
// it did not list.
func (e *evaluation) endMembers(level []seat, rank int) {
	for from := 0; from < len(level); {
		to := from
		var itself, others []*Record
		for ; to < len(level) && level[to].holder == level[from].holder; to++ {
			if r := e.leaving(level[to]); r != nil {
				itself = append(itself, r)
			}
		}
		for _, r := range itself {
			e.take(r)
			e.revoke(r)
		}
		for _, s := range level[from:to] {
			for _, r := range e.by(s) {
				if _, ok := r.Body.(*Revocation); ok && !r.leaves() && e.stands(r, s.grant) && s.quota.take(r) {
					others = append(others, r)
				}
			}
		}
		for _, r := range others {
			e.take(r)
			if !e.outranked(r, rank) {
				e.revoke(r)
			}
		}
		from = to
	}
}

// leaving is the revocation by which the holder of a seat leaves it: of several the
// one of the lowest id, and only that one is kept.
func (e *evaluation) leaving(s seat) *Record {
	for _, r := range e.by(s) { // by kind and id
		if r.leaves() && e.stands(r, s.grant) && s.quota.take(r) {
			return r
		}
	}
	return nil
}

// takeRest decides everything else that the seats of a rank say.
func (e *evaluation) takeRest(level []seat, rank int) {
	var rest []*Record
	orphans := make(map[Key][]*Record)
	for _, s := range level {
		for _, r := range e.by(s) {
			switch _, ended := r.Body.(*Revocation); {
			case ended:
			case e.stands(r, s.grant):
				rest = append(rest, r)
				e.rest++
				e.restBytes += len(r.raw)
			case r.Body.kind() == kindKeys:
				orphans[r.Issuer] = append(orphans[r.Issuer], r)
			}
		}
	}
	for k, list := range orphans {
		e.orphans[k] = keptOrphans(list)
		rest = append(rest, e.orphans[k]...)
	}
	slices.SortStableFunc(rest, func(a, b *Record) int { return cmp.Compare(a.Body.kind(), b.Body.kind()) })
	for _, r := range rest {
		e.take(r)
		switch b := r.Body.(type) {
		case *Invite:
			e.invites[r.ID] = &redeemable{
				Record: r, Invite: b, rank: rank, closed: slices.Clone(e.ended[b.Key]), used: make(map[Key]bool),
			}
		case *Grant:
			if b.Invite == (ID{}) {
				e.count(r, rank+1)
			} else {
				e.waiting[b.Invite] = append(e.waiting[b.Invite], granted{r, rank})
			}
		case *Keys:
			e.keys = append(e.keys, r)
		}
	}
}

// allot gives the uses of an invite to the first who came: by the rank of who
// let them in, then by time. So when two admins, each on their own, redeem the
// last use, one newcomer stays, and it is the same one everywhere.
func (e *evaluation) allot(i *redeemable, list []granted) {
	slices.SortFunc(list, func(a, b granted) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.Time, b.Time), compareIDs(a.ID, b.ID))
	})
	for _, r := range list {
		g := r.Body.(*Grant)
		switch {
		case g.Role != i.Role, i.Expires != 0 && r.Time > i.Expires, !i.spares(r.Record):
		case uint64(len(i.used)) >= uint64(i.Uses):
		default:
			i.used[g.Subject] = true
			e.count(r.Record, max(r.rank, i.rank)+1)
		}
	}
}

// spares reports whether a grant by the invite outlives its closing.
func (i *redeemable) spares(grant *Record) bool {
	return len(i.closed) == 0 || sparing(i.closed, grant.ID) != nil
}

// leave lets members that are no admins revoke themselves: once for each grant, since
// they have nothing else to say there.
func (e *evaluation) leave() {
	var decided []*Record
	for _, g := range e.leavers {
		for _, r := range e.by(seat{holder: g.Body.(*Grant).Subject, grant: g}) {
			if r.leaves() && len(r.Body.(*Revocation).Standing) == 0 && e.stands(r, g) {
				decided = append(decided, r)
			}
		}
	}
	for _, r := range decided {
		e.take(r)
		e.revoke(r)
	}
}

// stands reports whether a record made under a grant (nil: the founder's seat)
// outlives the revocations of its issuer. Those by the issuer itself count only
// where there are no others: the thief of a device could revoke it too.
func (r *Roster) stands(rec, under *Record) bool {
	return r.standsAgainst(rec, under, func(*Record) bool { return true })
}

// standsAgainst is stands by those revocations that decided chooses.
func (r *Roster) standsAgainst(rec, under *Record, decided func(*Record) bool) bool {
	var byOthers, byItself, spared, sparedItself bool
	for _, v := range r.ended[rec.Issuer] {
		switch {
		case under != nil && under.knows(v.ID), !decided(v):
		case !v.leaves():
			byOthers = true
			spared = spared || v.lists(rec.ID)
		default:
			byItself = true
			sparedItself = sparedItself || v.lists(rec.ID)
		}
	}
	if byOthers {
		return spared
	}
	return !byItself || sparedItself
}

// lists reports whether a revocation lets a record stand.
func (r *Record) lists(id ID) bool {
	_, ok := slices.BinarySearchFunc(r.Body.(*Revocation).Standing, id, compareIDs)
	return ok
}

// knows reports whether a grant was made in knowledge of a revocation.
func (r *Record) knows(revocation ID) bool {
	_, ok := slices.BinarySearchFunc(r.Body.(*Grant).After, revocation, compareIDs)
	return ok
}

// outranked reports whether the subject of a revocation is an admin above who
// made it.
func (e *evaluation) outranked(r *Record, rank int) bool {
	subject := r.Body.(*Revocation).Subject
	return subject != r.Issuer && e.rankOf(subject) < rank
}

// take keeps a record. Those that it hangs on were taken before.
func (e *evaluation) take(r *Record) {
	if e.byID[r.ID] == nil {
		e.byID[r.ID] = r
		e.at[r.ID] = len(e.records)
		e.records = append(e.records, r)
		e.bytes += len(r.raw)
		e.heard(r)
	}
}

func (e *evaluation) revoke(r *Record) {
	subject := r.Body.(*Revocation).Subject
	e.ended[subject] = append(e.ended[subject], r)
}

// count lets a grant take effect.
func (e *evaluation) count(r *Record, rank int) {
	g := r.Body.(*Grant)
	e.grants[g.Subject] = append(e.grants[g.Subject], granted{r, rank})
	e.counted[r.ID] = rank
	if g.Role == Admin {
		e.next = append(e.next, seat{g.Subject, r, e.quotaOf(r)})
	} else {
		e.leavers = append(e.leavers, r)
	}
}

// finish derives what the roster is asked for.
func (e *evaluation) finish() {
	e.ids = slices.SortedFunc(maps.Keys(e.byID), compareIDs)
	h := blake3.NewDeriveKey(domainSet)
	for _, id := range e.ids {
		_, _ = h.Write(id[:])
	}
	h.Sum(e.digest[:0])
	for id, i := range e.invites {
		if first, ok := e.inviteOf[i.Key]; !ok || compareIDs(id, first) < 0 {
			e.inviteOf[i.Key] = id
		}
	}
	subjects := slices.Collect(maps.Keys(e.grants))
	if e.grants[e.genesis.Founder] == nil {
		subjects = append(subjects, e.genesis.Founder)
	}
	for _, k := range subjects {
		slices.SortFunc(e.grants[k], func(a, b granted) int {
			return cmp.Or(cmp.Compare(a.Time, b.Time), compareIDs(a.ID, b.ID))
		})
		e.members[k] = e.describe(k)
	}
	e.agree()
}
