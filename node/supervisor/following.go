package supervisor

import (
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
)

// shared is a feed with the number of sessions that want it.
type shared struct {
	feed  *feed
	users int
}

// retain begins to follow a place, unless a session does already.
func (u *unit) retain(at place, may *module.Grants) error {
	cursors := 0
	err := u.s.cfg.World.Replica.Keys(u.name).Scan([]byte(cursorPrefix), nil, func(_, _ []byte) bool {
		cursors++
		return cursors < maxCursors
	})
	if err != nil {
		return err
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if f := u.feeds[at]; f != nil {
		f.users++
		return nil
	}
	if cursors >= maxCursors {
		return sandbox.ErrQuota
	}
	for _, d := range u.s.cfg.World.Replica.Datasets() {
		if d.Name() == at.dataset {
			u.feeds[at] = &shared{u.follow(u.feeding, at, d, may), 1}
			return nil
		}
	}
	return sandbox.ErrNotFound
}

// release ends the following of a place when no session wants it any more; for good, or until it is wanted again.
func (u *unit) release(at place, forGood bool) {
	u.mu.Lock()
	f := u.feeds[at]
	if f.users--; f.users > 0 {
		f = nil
	} else {
		delete(u.feeds, at)
	}
	u.mu.Unlock()
	if f != nil {
		f.feed.end()
		if forGood {
			f.feed.forget()
		}
	}
}
