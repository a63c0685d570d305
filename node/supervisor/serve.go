package supervisor

import (
	"context"
	"errors"
	"time"

	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
)

// How the versions of a unit run: a service hears of events, a job has one call for all its life, and a function is in
// function.go.

// entryTime is how long run or _start may take before the module counts as running: one that fails at once never did.
const entryTime = 100 * time.Millisecond

// callEntry calls run or _start. The module is starting until it returns, or has taken its time.
func (u *unit) callEntry(ctx context.Context, v *version) error {
	begun := func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.state == Starting {
			u.state, u.since, u.failure = Running, time.Now(), ""
		}
	}
	t := time.AfterFunc(entryTime, begun)
	defer t.Stop()
	err := u.call(ctx, v, &sandbox.Event{Name: v.code.Entry()})
	if err == nil {
		begun()
	}
	return err
}

// serve has versions run, one after the other, until one fails, is done, or ctx ends. It returns the last.
func (u *unit) serve(ctx context.Context, v *version) (*version, error) {
	for {
		var next *version
		var err error
		switch {
		case v.pkg.Manifest.Kind == module.Function:
			return u.answer(ctx, v)
		case v.code.Reacts():
			next, err = u.events(ctx, v)
		default:
			next, err = u.job(ctx, v)
		}
		if next == nil {
			return v, err
		}
		v = next
	}
}

// events tells a service what happens. It returns the version that comes in its place, if one does.
func (u *unit) events(ctx context.Context, v *version) (*version, error) {
	if v.code.Entry() != "" && !v.entered {
		if err := u.callEntry(u.calling, v); err != nil {
			return nil, err
		}
	}
	u.setAbsent(nil)
	for {
		select {
		case r := <-u.reloads:
			if next := u.replace(v, r); next != v {
				return next, nil
			}
			continue
		default:
		}
		if ctx.Err() != nil {
			return nil, nil
		}
		if i := u.box.next(); i != nil {
			if err := u.handle(v, i); err != nil {
				return nil, err
			}
			continue
		}
		select {
		case <-u.box.wake:
		case r := <-u.reloads:
			if next := u.replace(v, r); next != v {
				return next, nil
			}
		case <-ctx.Done():
		}
	}
}

// job calls run or _start of a guest that does nothing else: it takes the time it needs, and is ended with the unit or
// when a new version has started.
func (u *unit) job(ctx context.Context, v *version) (*version, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- u.callEntry(ctx, v) }()
	for {
		select {
		case err := <-ended:
			if errors.Is(err, sandbox.ErrEnded) || ctx.Err() != nil {
				err = nil
			}
			return nil, err
		case r := <-u.reloads:
			next, err := u.start(r.pkg, r.code)
			if err != nil {
				r.done <- err
				continue
			}
			cancel()
			<-ended
			u.follows(v, next)
			r.done <- nil
			return next, nil
		}
	}
}
