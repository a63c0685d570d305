package bench

import (
	"io"
	"net"
	"strconv"
	"sync"
)

// proxy is a link that can be cut: a TCP port on loopback that leads to
// another, or nowhere.
type proxy struct {
	l  net.Listener
	wg sync.WaitGroup

	mu    sync.Mutex // guards the fields below
	to    string     // "" = cut
	conns map[net.Conn]bool
}

func startProxy() (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{l: l, conns: make(map[net.Conn]bool)}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *proxy) port() string { return strconv.Itoa(p.l.Addr().(*net.TCPAddr).Port) }

// up makes the link lead to an address.
func (p *proxy) up(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

// down cuts the link and every connection over it.
func (p *proxy) down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = ""
	for c := range p.conns {
		_ = c.Close()
	}
	clear(p.conns)
}

func (p *proxy) close() {
	_ = p.l.Close()
	p.down()
	p.wg.Wait()
}

func (p *proxy) accept() {
	for {
		in, err := p.l.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		to := p.to
		p.mu.Unlock()
		if to == "" {
			_ = in.Close()
			continue
		}
		out, err := net.Dial("tcp", to)
		if err != nil {
			_ = in.Close()
			continue
		}
		p.carry(in, out, to)
	}
}

func (p *proxy) carry(in, out net.Conn, to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to != to { // cut since
		_ = in.Close()
		_ = out.Close()
		return
	}
	p.conns[in], p.conns[out] = true, true
	forward := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src)
		_ = in.Close()
		_ = out.Close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, in)
		delete(p.conns, out)
	}
	p.wg.Go(func() { forward(in, out) })
	p.wg.Go(func() { forward(out, in) })
}
