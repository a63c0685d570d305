package p2p

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/zeebo/blake3"
)

// Queues of GossipSub. With its defaults of 32 a burst of 2,000 messages
// reaches a third of ten nodes; with these all of it. What is dropped all the
// same is counted, and repaired over streams.
const (
	outboundQueue   = 4096
	validationQueue = 4096
	deliveryQueue   = 4096
	maxMessage      = 72 << 10 // a module's message of 64 KiB with what goes around it

	// seenTTL is how long a message is known as seen. What comes later than
	// that is known to whoever takes it; and what is remembered of each message,
	// for each peer, is most of what gossip keeps in memory.
	seenTTL = 15 * time.Second
)

// Verdict is what Validate says of a message.
type Verdict = pubsub.ValidationResult

// The verdicts: forward it; drop it; drop it and hold it against the sender.
const (
	Accept = pubsub.ValidationAccept
	Ignore = pubsub.ValidationIgnore
	Reject = pubsub.ValidationReject
)

// Topic is a joined gossip topic.
type Topic struct {
	h     *Host
	name  string
	topic *pubsub.Topic
	sub   *pubsub.Subscription
	wg    sync.WaitGroup
	stop  context.CancelFunc
}

func newPubSub(ctx context.Context, h *Host) (*pubsub.PubSub, error) {
	params := pubsub.DefaultGossipSubParams()
	// A small mesh degree: in meshes of up to ten nodes the default sends
	// every message nearly to everybody, several times over.
	params.D, params.Dlo, params.Dhi, params.Dout, params.Dscore = 4, 3, 5, 1, 1
	return pubsub.NewGossipSub(ctx, view{h.host, h, h.greeted, newThrottle()},
		pubsub.WithGossipSubParams(params),
		// Entries carry their author's signature; signing again costs a
		// factor of five to eight.
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithPeerOutboundQueueSize(outboundQueue),
		pubsub.WithValidateQueueSize(validationQueue),
		pubsub.WithMaxMessageSize(maxMessage),
		pubsub.WithSeenMessagesTTL(seenTTL),
		pubsub.WithFloodPublish(false),
		// A peer that speaks only floodsub would be sent everything.
		pubsub.WithGossipSubProtocols(
			[]protocol.ID{pubsub.GossipSubID_v12, pubsub.GossipSubID_v11}, pubsub.GossipSubDefaultFeatures),
		pubsub.WithPeerScore(scoreParams(), scoreThresholds()),
		pubsub.WithRawTracer(h.drops),
	)
}

// greeted has gossip open its own stream to a member that opened one to us: it
// may have refused ours until now, and gossip tries four times.
func (h *Host) greeted(id peer.ID) {
	if h.closed() {
		h.retell(id)
	}
}

// messageID is what a message is known by: its topic and its bytes. Without the
// topic, who sends an entry on a wrong one first keeps it from the right one:
// a message counts as seen before it is validated.
func messageID(m *pb.Message) string {
	h := blake3.New()
	_, _ = h.WriteString(m.GetTopic() + "\x00")
	_, _ = h.Write(m.Data)
	return string(h.Sum(nil)[:20])
}

// scoreParams punish invalid messages and broken promises, and nothing that an
// honest node behind the same address, or with a slow link, would do.
func scoreParams() *pubsub.PeerScoreParams {
	return &pubsub.PeerScoreParams{
		Topics:                    map[string]*pubsub.TopicScoreParams{},
		AppSpecificScore:          func(peer.ID) float64 { return 0 },
		BehaviourPenaltyWeight:    -1,
		BehaviourPenaltyDecay:     0.9,
		BehaviourPenaltyThreshold: 6,
		DecayInterval:             time.Second,
		DecayToZero:               0.01,
		RetainScore:               10 * time.Minute,
		// Records of who delivered what: by default of two minutes, most of what
		// there was in memory, and of what the garbage collector went through.
		SeenMsgTTL: seenTTL,
	}
}

func scoreThresholds() *pubsub.PeerScoreThresholds {
	return &pubsub.PeerScoreThresholds{GossipThreshold: -40, PublishThreshold: -60, GraylistThreshold: -80}
}

func topicScore() *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		TopicWeight:                    1,
		TimeInMeshQuantum:              time.Second,
		InvalidMessageDeliveriesWeight: -10,
		InvalidMessageDeliveriesDecay:  0.9,
	}
}

// Join follows a topic. validate runs concurrently, before a message is
// forwarded; its token goes to receive with the message's sender. receive is
// called for one message at a time, and never for our own.
func (h *Host) Join(name string, validate func(from string, data []byte) (Verdict, any),
	receive func(ctx context.Context, from string, token any),
) (*Topic, error) {
	self := h.host.ID()
	err := h.pubsub.RegisterTopicValidator(name, func(_ context.Context, from peer.ID, m *pubsub.Message) Verdict {
		if from == self {
			return Accept
		}
		v, token := validate(from.String(), m.Data)
		m.ValidatorData = token
		return v
	})
	if err != nil {
		return nil, err
	}
	t := &Topic{h: h, name: name}
	if t.topic, err = h.pubsub.Join(name); err != nil {
		return nil, errors.Join(err, h.pubsub.UnregisterTopicValidator(name))
	}
	if err = t.topic.SetScoreParams(topicScore()); err == nil {
		t.sub, err = t.topic.Subscribe(pubsub.WithBufferSize(deliveryQueue))
	}
	if err != nil {
		return nil, errors.Join(err, t.topic.Close(), h.pubsub.UnregisterTopicValidator(name))
	}
	ctx, cancel := context.WithCancel(h.ctx)
	t.stop = cancel
	t.wg.Go(func() {
		for {
			m, err := t.sub.Next(ctx)
			if err != nil {
				return
			}
			if m.ReceivedFrom != self {
				receive(ctx, m.ReceivedFrom.String(), m.ValidatorData)
			}
		}
	})
	return t, nil
}

// Publish sends data to the topic's mesh. It may be lost on the way.
func (t *Topic) Publish(data []byte) error { return t.topic.Publish(t.h.ctx, data) }

// Close leaves the topic and waits for receive to return.
func (t *Topic) Close() error {
	t.stop()
	t.sub.Cancel()
	t.wg.Wait()
	return errors.Join(t.topic.Close(), t.h.pubsub.UnregisterTopicValidator(t.name))
}

// Dropped is the number of gossip messages lost in this node's own queues.
func (h *Host) Dropped() uint64 { return h.drops.n.Load() }

// dropCounter counts the three ways in which GossipSub drops without a word.
type dropCounter struct{ n atomic.Uint64 }

func (d *dropCounter) DropRPC(rpc *pubsub.RPC, _ peer.ID)   { d.n.Add(uint64(len(rpc.GetPublish()))) }
func (d *dropCounter) UndeliverableMessage(*pubsub.Message) { d.n.Add(1) }
func (d *dropCounter) RejectMessage(_ *pubsub.Message, reason string) {
	if reason == pubsub.RejectValidationQueueFull || reason == pubsub.RejectValidationThrottled {
		d.n.Add(1)
	}
}
func (*dropCounter) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (*dropCounter) OnClosedOutboundStream(peer.ID)           {}
func (*dropCounter) AddPeer(peer.ID, protocol.ID)             {}
func (*dropCounter) RemovePeer(peer.ID)                       {}
func (*dropCounter) Join(string)                              {}
func (*dropCounter) Leave(string)                             {}
func (*dropCounter) Graft(peer.ID, string)                    {}
func (*dropCounter) Prune(peer.ID, string)                    {}
func (*dropCounter) ValidateMessage(*pubsub.Message)          {}
func (*dropCounter) DeliverMessage(*pubsub.Message)           {}
func (*dropCounter) DuplicateMessage(*pubsub.Message)         {}
func (*dropCounter) ThrottlePeer(peer.ID)                     {}
func (*dropCounter) RecvRPC(*pubsub.RPC)                      {}
func (*dropCounter) SendRPC(*pubsub.RPC, peer.ID)             {}
