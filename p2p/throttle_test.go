package p2p

import (
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// endless is a stream that has always more to read.
type endless struct{ network.Stream }

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// Over any time no more is read than the burst and the rate allow, by however
// many streams of a peer at once; and who was quiet has the burst again.
func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := &share{left: gossipBurst, last: time.Now()}
		read := make(chan int)
		const long, buffer, streams = 10 * time.Second, 64 << 10, 3
		for range streams {
			go func() {
				total := 0
				for end := time.Now().Add(long); time.Now().Before(end); total += buffer {
					_, _ = io.ReadFull(slowed{endless{}, x}, make([]byte, buffer))
				}
				read <- total
			}()
		}
		total := 0
		for range streams {
			total += <-read
		}
		most := gossipBurst + gossipRate*int(long/time.Second)
		if total > most+streams*buffer || total < most-streams*buffer {
			t.Errorf("%d bytes were read in %v, want %d", total, long, most)
		}
		time.Sleep(time.Minute)
		if wait := x.take(gossipBurst, time.Now()); wait != 0 {
			t.Errorf("after a minute: %v to wait for a burst", wait)
		}
		if wait := x.take(gossipRate, time.Now()); wait != time.Second {
			t.Errorf("%v to wait for what comes in a second", wait)
		}
	})
}
