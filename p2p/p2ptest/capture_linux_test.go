package p2ptest

import (
	wire "encoding/binary"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// capture hears every packet that passes the switches of a lab, twice: as it
// comes in at one port and goes out at another.
type capture struct {
	t      *testing.T
	socket int
	ended  atomic.Bool
	wg     sync.WaitGroup

	// Of read alone, until it ended.
	heard  []byte // all packets
	missed int
}

const (
	// captureBuffer is what the kernel keeps of packets not read yet.
	captureBuffer = 32 << 20
	// maxHeard is more than a test that captures should send.
	maxHeard = 256 << 20
)

// listen captures until the test ends or stop.
func (l *lab) listen() *capture {
	l.t.Helper()
	c := &capture{t: l.t}
	opened := make(chan error)
	go func() {
		// The thread that went to the namespace is locked, so that it ends with
		// this goroutine and runs no other.
		runtime.LockOSThread()
		opened <- c.open(filepath.Join("/run/netns", l.prefix+"switch"))
	}()
	if err := <-opened; err != nil {
		l.t.Fatalf("capture: %v", err)
	}
	c.wg.Go(c.read)
	l.t.Cleanup(func() { c.stop() })
	return c
}

func (c *capture) open(namespace string) error {
	ns, err := unix.Open(namespace, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(ns)
	if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
		return err
	}
	all := wire.NativeEndian.Uint16(wire.BigEndian.AppendUint16(nil, unix.ETH_P_ALL))
	if c.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all)); err != nil {
		return err
	}
	// read looks now and then whether it is to end.
	if err := unix.SetsockoptTimeval(c.socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 100_000}); err != nil {
		return err
	}
	return unix.SetsockoptInt(c.socket, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, captureBuffer)
}

func (c *capture) read() {
	packet := make([]byte, 1<<16)
	for !c.ended.Load() {
		n, _, err := unix.Recvfrom(c.socket, packet, 0)
		if err == nil && len(c.heard)+n < maxHeard {
			c.heard = append(append(c.heard, packet[:n]...), 0) // no string spans two packets
		} else if err == nil {
			c.missed++
		}
	}
	stats, err := unix.GetsockoptTpacketStats(c.socket, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		c.t.Error(err)
		return
	}
	c.missed += int(stats.Drops)
}

// stop ends the capture and returns every packet of it.
func (c *capture) stop() []byte {
	if c.ended.CompareAndSwap(false, true) {
		c.wg.Wait()
		_ = unix.Close(c.socket)
		if c.missed > 0 {
			c.t.Errorf("the capture missed %d packets", c.missed)
		}
	}
	return c.heard
}
