package member

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// MaxPending is how many requests wait for an admin; the oldest gives way.
const MaxPending = 64

// PendingRequest waits for an admin to approve it.
type PendingRequest struct {
	Subject Key
	Name    string
	Asked   time.Time // last
	Revoked bool      // it was a member once
	sealing [32]byte
}

// Redeem decides on a request of a device that the transport authenticated as
// peer: 0 means that it is a member now.
func (b *Book) Redeem(q *Request, peer Key) (Reason, error) {
	if reason, done := b.consider(q, peer); done {
		return reason, nil // without a turn
	}
	b.changing.merge()
	defer b.changing.done()
	if reason, done := b.consider(q, peer); done {
		return reason, nil
	}
	r := b.Roster()
	err := b.actLocked(func(p *pen) error {
		id := r.inviteOf[*q.Invite]
		return p.grant(Grant{Subject: peer, Role: r.invites[id].Role, Name: q.Name, Sealing: q.Sealing, Invite: id})
	})
	switch {
	case errors.Is(err, ErrFull):
		return Full, nil
	case err != nil:
		return NotAdmitted, fmt.Errorf("member: redeem invite: %w", err)
	case b.Check(peer) != nil:
		return UsedUp, nil
	}
	return 0, nil
}

// consider decides on a request where that takes no change: done. What costs nothing to
// see comes before the signature.
func (b *Book) consider(q *Request, peer Key) (reason Reason, done bool) {
	r, now := b.Roster(), b.now()
	switch {
	case q.Network != r.network:
		return OtherNetwork, true
	case q.Subject != peer:
		return BadSignature, true
	case r.Check(peer, now) == nil:
		return 0, true
	case !r.Has(b.self, Admin):
		return NotAdmin, true
	case q.Invite == nil:
		_, was := r.Member(peer)
		b.ask(PendingRequest{Subject: peer, Name: q.Name, Asked: now, Revoked: was || len(r.ended[peer]) > 0, sealing: q.Sealing})
		return Pending, true
	}
	if reason := r.redeemable(q, b.self, now); reason != 0 {
		return reason, true
	}
	if !q.authentic() {
		return BadSignature, true
	}
	return 0, false
}

// redeemable says why the invite of a request lets nobody in, by a device whose clock shows now; 0 if it does.
func (r *Roster) redeemable(q *Request, self Key, now time.Time) Reason {
	i := r.invites[r.inviteOf[*q.Invite]]
	switch {
	case i == nil, len(i.closed) > 0:
		return UnknownInvite
	case len(r.ended[q.Subject]) > 0:
		return Revoked
	case i.Expires != 0 && r.noEarlier(self, i.Issuer, now) > i.Expires:
		return InviteExpired
	case uint64(len(i.used)) >= uint64(i.Uses):
		return UsedUp
	}
	return 0
}

// ask puts a request on the list, in place of an older one of the same device.
func (b *Book) ask(q PendingRequest) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = slices.DeleteFunc(b.pending, func(p PendingRequest) bool { return p.Subject == q.Subject })
	if len(b.pending) == MaxPending {
		b.pending = slices.Delete(b.pending, 0, 1)
	}
	b.pending = append(b.pending, q)
}

// Pending are the devices that wait to be approved, oldest first. They are not
// kept on disk: a device that is still there asks again.
func (b *Book) Pending() []PendingRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.pending)
}

// Approve lets a device in that waits, until a time (zero: for ever).
func (b *Book) Approve(subject Key, role Role, expires time.Time) error {
	return b.act("approve", func(p *pen) error {
		for _, q := range b.Pending() {
			if q.Subject == subject {
				err := p.grant(Grant{Subject: subject, Role: role, Name: q.Name, Sealing: q.sealing, Expires: term(expires)})
				if err == nil {
					b.Deny(subject)
				}
				return err
			}
		}
		return fmt.Errorf("device %v does not wait to be approved: let it ask again (join TOKEN)", subject)
	})
}

// Deny takes a device off the list of those that wait.
func (b *Book) Deny(subject Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pending = slices.DeleteFunc(b.pending, func(p PendingRequest) bool { return p.Subject == subject })
}
