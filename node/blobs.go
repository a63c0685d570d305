package node

import (
	"context"
	"io"
	"log/slog"

	"github.com/numax-mesh/numax/node/blob"
	"github.com/numax-mesh/numax/node/member"
	"github.com/numax-mesh/numax/p2p"
)

const (
	// blobsDir is where the blobs of modules are.
	blobsDir = "blobs"
	// protoBlob is the stream protocol by which they are fetched.
	protoBlob = "/numax/blob/1"
)

// openBlobs opens the blobs of a node, which has no network until it joins one. The store's lock guards them, too.
func openBlobs(cfg *Config, s *state, log *slog.Logger) (*blob.Exchange, *blobNet, error) {
	store, err := blob.Open(cfg.file(blobsDir))
	if err != nil {
		return nil, nil, err
	}
	net := new(blobNet)
	o := blob.Options{Store: store, Net: net, Log: log}
	if s.book != nil {
		o.MayRead = func(peer string) bool { return hasRole(s.book, peer, member.Reader) }
	}
	return blob.New(o), net, nil
}

// blobNet adapts a p2p host to what blobs need of the network.
type blobNet struct {
	host *p2p.Host // nil without a network; set before modules run
}

func (n *blobNet) join(x *blob.Exchange, host *p2p.Host) {
	n.host = host
	host.Handle(protoBlob, x.Serve, nil)
}

// Peers implements blob.Net.
func (n *blobNet) Peers() []string {
	if n.host == nil {
		return nil
	}
	return n.host.PeersOf(protoBlob)
}

// Open implements blob.Net.
func (n *blobNet) Open(ctx context.Context, peer string) (io.ReadWriteCloser, error) {
	return n.host.Open(ctx, peer, protoBlob)
}
