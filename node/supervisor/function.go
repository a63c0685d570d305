package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/numax-mesh/numax/sandbox"
)

// answer runs a function: each event has a fresh instance, of which so many run at once as the limits say. It returns
// when ctx ends; a call that failed is counted and logged.
func (u *unit) answer(ctx context.Context, v *version) (*version, error) {
	var calls sync.WaitGroup
	defer calls.Wait()
	slots := make(chan struct{}, v.pkg.Manifest.Limits.Instances)
	for {
		select {
		case r := <-u.reloads:
			calls.Wait() // what runs ends as it began
			v = u.replace(v, r)
			slots = make(chan struct{}, v.pkg.Manifest.Limits.Instances)
			continue
		case slots <- struct{}{}:
		case <-ctx.Done():
			return v, nil
		}
		i := u.box.next()
		if i == nil {
			<-slots
			select {
			case <-u.box.wake:
			case r := <-u.reloads:
				calls.Wait()
				v = u.replace(v, r)
				slots = make(chan struct{}, v.pkg.Manifest.Limits.Instances)
			case <-ctx.Done():
				return v, nil
			}
			continue
		}
		free, now := slots, v
		calls.Go(func() {
			defer func() { <-free }()
			u.answerItem(now, i)
		})
	}
}

// answerItem answers an event, or the first of the changes of a batch; one that failed is tried again, as often and as
// late as a service would be started again.
func (u *unit) answerItem(v *version, i *item) {
	if i.due != nil && !i.due() {
		return
	}
	if i.changes == nil {
		if v.hears(i.event) {
			i.finish(u.answerOne(v, i.event))
		} else {
			i.finish(nil)
		}
		return
	}
	b := i.changes
	if !b.wanted(v.session) {
		b.drop()
		return
	}
	var err error
	for _, name := range b.calls(v) {
		if err = u.answerOne(v, b.event(name)); err != nil {
			break
		}
	}
	r := v.pkg.Manifest.Restart
	if err != nil && !errors.Is(err, errUnanswered) && i.tries < r.Tries {
		time.AfterFunc(backoff(r, i.tries), func() { u.box.pushFree(i) })
		i.tries++
		return
	}
	if err != nil && i.tries >= r.Tries {
		u.say(fmt.Sprintf("gave up a change of %q: %v", b.left[0].Key, err))
	}
	i.tries = 0
	if b.advance() {
		u.box.pushFree(i)
	}
}

func (u *unit) answerOne(v *version, e *sandbox.Event) error {
	if !v.code.Handles(e.Name) && v.code.Entry() == "" {
		return errUnanswered
	}
	s, call := v.open()
	s.once = true
	defer u.forget(s)
	if a, ok := e.Response.(*answer); ok && !a.begin() {
		return nil // the client has gone
	}
	settled(e, s.guest.SettleCall)
	err := v.code.Answer(u.calling, call, e)
	failed := err
	if err == nil {
		err = u.settle(v, s)
	}
	u.count(e.Name, failed)
	if err != nil && u.calling.Err() == nil {
		u.say(fmt.Sprintf("%s failed: %v", e.Name, err))
	}
	return err
}
