package supervisor

import (
	"context"
	"fmt"
	"sync"

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

// answerItem answers an event, or each change of a batch.
func (u *unit) answerItem(v *version, i *item) {
	if i.changes == nil {
		i.finish(u.answerOne(v, i.event))
		return
	}
	b := i.changes
	if !v.session.watches(b.at) {
		b.drop()
		return
	}
	for more := true; more && u.calling.Err() == nil; more = b.advance() {
		_ = u.answerOne(v, b.event(sandbox.OnChange))
	}
}

func (u *unit) answerOne(v *version, e *sandbox.Event) error {
	s, call := v.open()
	defer u.forget(s)
	if a, ok := e.Response.(*answer); ok && !a.begin(s.guest.Settle) {
		return nil // the client has gone
	}
	err := v.code.Answer(u.calling, call, e)
	if err == nil {
		err = s.guest.Settle(u.calling)
	}
	u.count(e.Name, err)
	if err != nil && u.calling.Err() == nil {
		u.say(fmt.Sprintf("%s failed: %v", e.Name, err))
	}
	return err
}
