package supervisor

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/numax-mesh/numax/sandbox"
	"github.com/numax-mesh/numax/sandbox/sandboxtest"
)

// A server that takes a connection and then says nothing, or says it for ever, holds a module for the deadline of its
// call and no longer. Its connection is closed, and other modules go on meanwhile.
func TestFetchHangs(t *testing.T) {
	servers := map[string]func(c net.Conn) error{ // what one says, again and again
		"silent":  func(net.Conn) error { time.Sleep(time.Millisecond); return nil },
		"headers": func(c net.Conn) error { return drip(c, "x") },
		"body":    func(c net.Conn) error { return drip(c, "1\r\nx\r\n") },
	}
	w := newWorld(t)
	other := newProgram()
	other.On(sandbox.OnTick, other.count("other")...)
	w.add(w.pack("other", "1.0.0", all+"[[triggers]]\nevery = \"10ms\"\n", other.Bytes()))
	var ended sync.WaitGroup
	for name, says := range servers {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		first := make(chan struct{})
		ended.Go(func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			close(first)
			defer c.Close()
			if _, err := c.Read(make([]byte, 1)); err != nil { // an answer before the question is none
				return
			}
			if name == "body" {
				_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
			} else if name == "headers" {
				_, _ = c.Write([]byte("HTTP/1.1 200 OK\r\nX-Long: "))
			}
			gone := make(chan struct{})
			go func() { // what the client sends, until it goes
				defer close(gone)
				for b := make([]byte, 1024); ; {
					if _, err := c.Read(b); err != nil {
						return
					}
				}
			}()
			for says(c) == nil {
				select {
				case <-gone:
					return
				default:
				}
			}
		})
		p := newProgram()
		fetch := p.Import("nx", "fetch", slices.Repeat(types{i32}, 8), types{i32})
		read := p.Import("nx", "fetch_read", types{i32, i32}, types{i32})
		method, methodArgs := at(64, "GET")
		url, urlArgs := at(96, "http://"+l.Addr().String()+"/")
		none := slices.Repeat(sandboxtest.Const32(0), 4)
		p.On(sandbox.OnTick, slices.Concat(p.say("asks", ""), method, url, methodArgs, urlArgs, none, sandboxtest.CallFunc(fetch), sandboxtest.Drop(),
			[]byte{0x03, 0x40}, sandboxtest.Const32(2048), sandboxtest.Const32(64), sandboxtest.CallFunc(read), // as long as something comes
			sandboxtest.Const32(0), []byte{0x4a, 0x0d, 0, 0x0b}, p.say("went on", ""))...)
		w.add(w.pack(name, "1.0.0", fmt.Sprintf("[limits]\ndeadline = \"300ms\"\n[restart]\npolicy = \"never\"\n[grants]\nhosts = [%q]\n[[triggers]]\nevery = \"10ms\"\n",
			l.Addr()), p.Bytes()))
		w.wait(name+" to be asked", func() bool {
			select {
			case <-first:
				return true
			default:
				return false
			}
		})
		before := w.counted("other")
		w.wait(name+" to be given up", func() bool { return w.super.status(name).State == string(GaveUp) })
		if n := w.counted("other") - before; n < 3 {
			t.Errorf("%s: another module was told of %d ticks in 300 ms, want some 30", name, n)
		}
		said := strings.Join(w.said(name), "\n")
		if !strings.Contains(said, "deadline of 300ms") || strings.Contains(said, "went on") {
			t.Errorf("%s: %s", name, said)
		}
		_ = l.Close()
	}
	ended.Wait() // the servers see that their client has gone
}

func drip(c net.Conn, text string) error {
	time.Sleep(time.Millisecond) // its pace
	_, err := c.Write([]byte(text))
	return err
}
