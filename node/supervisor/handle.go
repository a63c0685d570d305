package supervisor

import (
	"context"
	"errors"

	"github.com/numax-mesh/numax/sandbox"
)

// errUnanswered is for events that the module has no handler for.
var errUnanswered = errors.New("supervisor: the module does not answer this")

// handle tells the instance of an item. An error is that of the instance, which is over then.
func (u *unit) handle(v *version, i *item) error {
	switch {
	case i.session != nil && i.session != v.session:
		i.finish(nil) // of an instance that was
		return nil
	case i.due != nil && !i.due():
		return nil
	case i.changes != nil:
		return u.handleChange(v, i)
	case !v.hears(i.event):
		i.finish(nil)
		return nil
	case !v.code.Handles(i.event.Name):
		i.finish(errUnanswered)
		return nil
	}
	if a, ok := i.event.Response.(*answer); ok && !a.begin() {
		return nil // the client has gone
	}
	settled(i.event, v.session.guest.SettleCall)
	err := u.call(u.calling, v, i.event)
	failed := err
	if err == nil && i.done != nil {
		err = u.settle(v, v.session)
	}
	i.finish(err)
	return failed
}

// hears reports whether a version is to be told of an event. What waits in the mailbox may have been for the version
// before, which was granted more.
func (v *version) hears(e *sandbox.Event) bool {
	switch e.Name {
	case sandbox.OnMessage:
		return v.session.hears(e.Fields["subject"])
	case sandbox.OnPeerConnected, sandbox.OnPeerDisconnected:
		return v.pkg.Manifest.Grants.Peers
	}
	return true
}

// settle waits until what a guest wrote in a call that has ended is on disk, for as long as such a call may take: a
// disk that stalls holds up no module for longer.
func (u *unit) settle(v *version, s *session) error {
	limit := v.pkg.Manifest.Limits.Deadline
	ctx, cancel := context.WithTimeout(u.calling, limit)
	defer cancel()
	err := s.guest.Settle(ctx)
	if err != nil && ctx.Err() == context.DeadlineExceeded {
		return &sandbox.DeadlineError{Limit: limit}
	}
	return err
}

// settled has a reply wait for what the guest wrote.
func settled(e *sandbox.Event, settle func() error) {
	reply := e.Reply
	if reply == nil {
		return
	}
	e.Reply = func(payload []byte) error {
		if err := settle(); err != nil {
			return err
		}
		return reply(payload)
	}
}

// handleChange tells the first change of a batch. If the guest fails, another instance is told again.
func (u *unit) handleChange(v *version, i *item) error {
	b := i.changes
	if !b.wanted(v.session) {
		b.drop()
		return nil
	}
	for _, name := range b.calls(v) {
		if err := u.call(u.calling, v, b.event(name)); err != nil {
			u.box.pushFree(i)
			return err
		}
	}
	if b.advance() {
		u.box.pushFree(i)
	}
	return nil
}

func (u *unit) call(ctx context.Context, v *version, e *sandbox.Event) error {
	err := v.instance.Handle(ctx, e)
	u.count(e.Name, err)
	return err
}

func (u *unit) count(event string, err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls[event]++
	if err != nil && !errors.Is(err, sandbox.ErrEnded) {
		u.failed++
	}
}
