package member

import "time"

// Whether an invite has expired is decided by one device: the admin that answers. Its clock may be behind, as after a
// start without a battery, and then an invite that has expired would be good for as long as that lasts. So the clock is
// not believed where signed records show that it is later:
//
//	clock of this device ──┐
//	this device has signed ├──► the latest ──► has the invite expired?
//	its maker has signed ──┤
//	two admins have signed ┘
//
// One admin whose clock was ahead once, or who lies, does not end the invites of others: it takes two.

// heard notes when a record was signed, by its issuer's clock.
func (r *Roster) heard(rec *Record) { r.signed[rec.Issuer] = max(r.signed[rec.Issuer], rec.Time) }

// agree computes the latest time that two admins in force have reached.
func (r *Roster) agree() {
	var first uint64
	for k, at := range r.signed {
		switch {
		case !r.Has(k, Admin):
		case at > first:
			first, r.agreed = at, first
		case at > r.agreed:
			r.agreed = at
		}
	}
}

// noEarlier is a time in ms since 1970 that has passed for sure, as far as invites of an admin are judged by a device
// whose clock shows now.
func (r *Roster) noEarlier(self, maker Key, now time.Time) uint64 {
	return max(millis(now), r.signed[self], r.signed[maker], r.agreed)
}
