package sandbox

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// What a guest that lives on asks for: datasets, watches, timers, messages, web requests. A host that does not offer
// them answers -6.

// serve is for functions of one text that need the service.
func serve(f func(g *guest, text string) error) func(c call, arg args) code {
	return func(c call, arg args) code {
		text, bad := c.text(arg.u32(0), arg.u32(1))
		if bad != codeOK {
			return bad
		}
		if c.host.Service == nil {
			return codeDenied
		}
		return codeOfOurs(f(c.guest, text))
	}
}

func datasetUse(g *guest, name string) error {
	d, err := g.host.Service.UseDataset(name)
	if err == nil {
		g.host.CRDT = d
	}
	return err
}

func watch(g *guest, prefix string) error   { return g.host.Service.Watch(prefix) }
func unwatch(g *guest, prefix string) error { return g.host.Service.Unwatch(prefix) }

func timerSet(g *guest, arg args) code {
	delay, period := arg[1], arg[2]
	if delay > maxTimer || period > maxTimer || period > 0 && period < minPeriod {
		return codeInvalid
	}
	if g.host.Service == nil {
		return codeDenied
	}
	ms := func(n uint64) time.Duration { return time.Duration(n) * time.Millisecond }
	return codeOfOurs(g.host.Service.SetTimer(arg.u32(0), ms(delay), ms(period)))
}

func timerCancel(g *guest, arg args) code {
	if g.host.Service == nil {
		return codeDenied
	}
	if !g.host.Service.CancelTimer(arg.u32(0)) {
		return codeNotFound
	}
	return codeOK
}

// subject reads the subject of a message.
func (c call) subject(ptr, size uint32) (string, code) {
	b, bad := c.read(ptr, size, maxEventName)
	if bad != codeOK {
		return "", bad
	}
	if !eventNameValid(b) {
		return "", codeInvalid
	}
	return string(b), codeOK
}

// message reads the subject and the payload, which it copies, in four parameters from the first on.
func (c call) message(arg args, first int) (subject string, payload []byte, bad code) {
	if subject, bad = c.subject(arg.u32(first), arg.u32(first+1)); bad != codeOK {
		return "", nil, bad
	}
	b, bad := c.read(arg.u32(first+2), arg.u32(first+3), maxEventPayload)
	return subject, append([]byte{}, b...), bad
}

// subscription is of a subject, or of all below one when it ends in ".*".
func subscription(f func(m Messages, subject string) error) func(c call, arg args) code {
	return func(c call, arg args) code {
		b, bad := c.read(arg.u32(0), arg.u32(1), maxEventName)
		if bad != codeOK {
			return bad
		}
		subject := string(b)
		if !eventNameValid([]byte(strings.TrimSuffix(subject, ".*"))) {
			return codeInvalid
		}
		if c.host.Messages == nil {
			return codeDenied
		}
		return codeOfOurs(f(c.host.Messages, subject))
	}
}

func msgPublish(c call, arg args) code {
	subject, payload, bad := c.message(arg, 0)
	if bad != codeOK {
		return bad
	}
	if c.host.Messages == nil {
		return codeDenied
	}
	return c.waitFor(func() error { return c.host.Messages.Publish(c.ctx, subject, payload) })
}

func msgSend(c call, arg args) code {
	node, bad := c.text(arg.u32(0), arg.u32(1))
	if bad != codeOK {
		return bad
	}
	subject, payload, bad := c.message(arg, 2)
	if bad != codeOK {
		return bad
	}
	if c.host.Messages == nil {
		return codeDenied
	}
	return c.waitFor(func() error { return c.host.Messages.Send(c.ctx, node, subject, payload) })
}

// msgRequest wants room for any answer, as an answer that does not fit could not be asked for again.
func msgRequest(c call, arg args) code {
	subject, payload, bad := c.message(arg, 0)
	if bad != codeOK {
		return bad
	}
	op, oc := arg.u32(5), arg.u32(6)
	if bad := capacity(oc); bad != codeOK {
		return bad
	}
	if oc < maxEventPayload {
		return codeTooSmall
	}
	if _, bad := c.read(op, oc, oc); bad != codeOK {
		return bad
	}
	if c.host.Messages == nil {
		return codeDenied
	}
	ctx, cancel := context.WithTimeout(c.ctx, time.Duration(arg.u32(4))*time.Millisecond)
	defer cancel()
	var answer []byte
	if bad := c.waitFor(func() (err error) { answer, err = c.host.Messages.Request(ctx, subject, payload); return err }); bad != codeOK {
		return bad
	}
	return c.write(op, oc, answer)
}

// fetch makes a web request and answers its status. The guest reads the answer with fetch_header and fetch_read, until
// its next fetch or the end of the call.
func fetch(c call, arg args) code {
	method, bad := c.text(arg.u32(0), arg.u32(1))
	if bad != codeOK {
		return bad
	}
	url, bad := c.text(arg.u32(2), arg.u32(3))
	if bad != codeOK {
		return bad
	}
	lines, bad := c.read(arg.u32(4), arg.u32(5), maxFetchHeaders)
	if bad != codeOK {
		return bad
	}
	headers, ok := headerLines(lines)
	if !ok {
		return codeInvalid
	}
	body, bad := c.value(arg.u32(6), arg.u32(7))
	if bad != codeOK {
		return bad
	}
	if c.host.Fetch == nil {
		return codeDenied
	}
	c.endFetch()
	if bad := c.waitFor(func() (err error) { c.fetched, err = c.host.Fetch.Fetch(c.ctx, method, url, headers, body); return err }); bad != codeOK {
		return bad
	}
	return code(c.fetched.Status())
}

// headerLines are lines of "Name: value".
func headerLines(b []byte) (headers [][2]string, ok bool) {
	if !utf8.Valid(b) {
		return nil, false
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		name, value, found := strings.Cut(line, ":")
		if line == "" {
			continue
		}
		if !found {
			return nil, false
		}
		headers = append(headers, [2]string{name, strings.TrimSpace(value)})
	}
	return headers, true
}

func fetchHeader(c call, arg args) code {
	name, bad := c.text(arg.u32(0), arg.u32(1))
	if bad != codeOK {
		return bad
	}
	if bad := capacity(arg.u32(3)); bad != codeOK {
		return bad
	}
	if c.fetched == nil {
		return codeNotFound
	}
	value := c.fetched.Header(name)
	if value == "" {
		return codeNotFound
	}
	return c.write(arg.u32(2), arg.u32(3), []byte(value))
}

func fetchRead(c call, arg args) code {
	if c.fetched == nil {
		return codeNotFound
	}
	return c.readFrom(arg, c.fetched)
}

func (g *guest) endFetch() {
	if g.fetched != nil {
		_ = g.fetched.Close()
		g.fetched = nil
	}
}

// waitFor is wait for what may fail. Whatever ended with the call's context ends the guest, so that it cannot take a
// deadline for an answer.
func (g *guest) waitFor(f func() error) code {
	var err error
	g.wait(func() { err = f() })
	if err != nil && errors.Is(err, g.ctx.Err()) {
		g.stopIfEnded()
	}
	return codeOfOurs(err)
}
