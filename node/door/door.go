package door

import (
	"container/list"
	"net"
	"sync"
	"time"
)

// door is a listener with limits.
type door struct {
	net.Listener
	limits  Limits
	telling chan struct{} // a place for each refusal that is being told
	tellers sync.WaitGroup

	mu      sync.Mutex // guards the rest, and the marks of connections
	open    int
	from    map[string]int // connections by client
	waiting *list.List     // of *conn, the longest first
}

func newDoor(l net.Listener, limits Limits) *door {
	return &door{
		Listener: l, limits: limits, telling: make(chan struct{}, maxRefusals),
		from: make(map[string]int), waiting: list.New(),
	}
}

// Accept returns the next connection that has room.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if in := d.admit(c); in != nil {
			return in, nil
		}
		d.refuse(c)
	}
}

// admit takes a connection in, in place of one that waits if need be; nil if there is no room.
func (d *door) admit(c net.Conn) *conn {
	client := Client(c.RemoteAddr().String())
	d.mu.Lock()
	var out *conn
	switch {
	case d.limits.PerAddress > 0 && d.from[client] >= d.limits.PerAddress:
		out = d.longest(func(x *conn) bool { return x.client == client })
	case d.open >= d.limits.Connections:
		out = d.longest(func(*conn) bool { return true })
	default:
		in := d.take(c, client)
		d.mu.Unlock()
		return in
	}
	if out == nil {
		d.mu.Unlock()
		return nil
	}
	d.leave(out)
	in := d.take(c, client)
	d.mu.Unlock()
	_ = out.Conn.Close()
	return in
}

func (d *door) take(c net.Conn, client string) *conn {
	in := &conn{Conn: c, door: d, client: client}
	d.open++
	d.from[client]++
	in.waits = d.waiting.PushBack(in)
	return in
}

// longest is the connection of a kind that has waited longest, nil if none of them waits.
func (d *door) longest(of func(*conn) bool) *conn {
	for e := d.waiting.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*conn); of(c) {
			return c
		}
	}
	return nil
}

// leave counts a connection no more.
func (d *door) leave(c *conn) {
	if c.left {
		return
	}
	c.left = true
	d.open--
	if d.from[c.client]--; d.from[c.client] == 0 {
		delete(d.from, c.client)
	}
	if c.waits != nil {
		d.waiting.Remove(c.waits)
		c.waits = nil
	}
}

const refusal = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\nRetry-After: 1\r\n" +
	"Connection: close\r\nContent-Length: 43\r\n\r\ntoo many connections: try again in a moment"

// refuse says why to who finds no room. Its words would be lost if the connection were closed while the request comes
// in, so that is read for a moment; when too many are being told, it is closed without a word.
func (d *door) refuse(c net.Conn) {
	select {
	case d.telling <- struct{}{}:
	default:
		_ = c.Close()
		return
	}
	d.tellers.Go(func() {
		defer func() { <-d.telling }()
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(refusalTime))
		if _, err := c.Write([]byte(refusal)); err != nil {
			return
		}
		if half, ok := c.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		buf := make([]byte, 4<<10)
		for {
			if _, err := c.Read(buf); err != nil {
				return
			}
		}
	})
}

// conn is a connection of a door. Whoever is at the other end takes what is written to it at a pace, or loses it.
type conn struct {
	net.Conn
	door   *door
	client string

	// Of the door's lock.
	waits *list.Element // nil while a request is answered
	left  bool

	mu       sync.Mutex // guards deadline
	deadline time.Time  // for writes, as a handler set it; zero = none
}

// busy is called when a request has come, waiting when it is answered.
func (c *conn) busy() {
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	if c.waits != nil {
		c.door.waiting.Remove(c.waits)
		c.waits = nil
	}
}

func (c *conn) waiting() {
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	if c.waits == nil && !c.left {
		c.waits = c.door.waiting.PushBack(c)
	}
}

// Close closes the connection; there is room for another then.
func (c *conn) Close() error {
	err := c.Conn.Close()
	c.door.mu.Lock()
	defer c.door.mu.Unlock()
	c.door.leave(c)
	return err
}

// CloseWrite ends what is written, so that a client reads the last answer before the connection ends.
func (c *conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

// Write writes within writeTime and what the bytes may take, or sooner if a handler said so.
func (c *conn) Write(p []byte) (int, error) {
	at := time.Now().Add(writeTime + time.Duration(len(p))*time.Second/writeRate)
	c.mu.Lock()
	if !c.deadline.IsZero() && c.deadline.Before(at) {
		at = c.deadline
	}
	err := c.Conn.SetWriteDeadline(at)
	c.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// SetWriteDeadline sets one for the writes that follow and one under way.
func (c *conn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	if t.IsZero() {
		t = time.Now().Add(writeTime)
	}
	return c.Conn.SetWriteDeadline(t)
}

// SetDeadline sets both.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.Conn.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}
