package p2p

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Nodes of one user on one machine meet in a directory, so that they find each
// other where multicast does not work (a container with loopback alone, a
// listener on loopback). Each keeps one small file there:
//
//	<tmp>/numax-<uid>/<tag>-<peer id>   {"addrs": ["/ip4/127.0.0.1/tcp/…", …]}
//
// Nothing listens for it, so it opens no port. The directory is 0700 and must
// belong to the user, so that nobody else can read or add a file; and a file
// only ever says where to dial: who answers is checked by its peer ID.
const (
	nearbyEvery = 300 * time.Millisecond
	nearbyTouch = 5 * time.Second
	nearbyStale = 20 * time.Second // a file not touched for so long is of a dead node
	maxNearby   = 256              // files looked at
	nearbySize  = 8 << 10
)

type nearbyFile struct {
	Addrs []string `json:"addrs"`
}

// NearbyDir is the default meeting place.
func NearbyDir() string {
	return filepath.Join(os.TempDir(), "numax-"+strconv.Itoa(os.Getuid()))
}

func (h *Host) runNearby(ctx context.Context) {
	dir := h.cfg.Nearby
	if dir == "" {
		dir = NearbyDir()
	}
	if err := privateDir(dir); err != nil {
		h.log.Warn("nodes on this machine are not looked for", "err", err)
		return
	}
	mine := filepath.Join(dir, h.cfg.Tag+"-"+h.ID())
	defer os.Remove(mine)
	var touched time.Time
	for {
		if time.Since(touched) > nearbyTouch {
			if err := h.postNearby(mine); err != nil {
				h.log.Warn("cannot show this node to others on this machine", "err", err)
			}
			touched = time.Now()
		}
		h.meetNearby(ctx, dir)
		select {
		case <-ctx.Done():
			return
		case <-time.After(nearbyEvery):
		}
	}
}

// privateDir makes dir, or checks that it is ours alone.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() || !ownedByUs(info) {
		return fmt.Errorf("%s is not a directory of this user's own with mode 0700", dir)
	}
	return nil
}

func (h *Host) postNearby(file string) error {
	addrs, err := h.host.Network().InterfaceListenAddresses()
	if err != nil {
		return err
	}
	var f, all nearbyFile
	for _, a := range addrs {
		all.Addrs = append(all.Addrs, a.String())
		if manet.IsIPLoopback(a) {
			f.Addrs = append(f.Addrs, a.String())
		}
	}
	if len(f.Addrs) == 0 {
		f = all
	}
	b, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return writeFile(file, b)
}

// meetNearby dials the nodes with our tag that are not connected.
func (h *Host) meetNearby(ctx context.Context, dir string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for i, f := range files {
		name, ok := strings.CutPrefix(f.Name(), h.cfg.Tag+"-")
		id, err := peer.Decode(name)
		if i >= maxNearby || !ok || err != nil || id == h.host.ID() ||
			h.host.Network().Connectedness(id) == network.Connected {
			continue
		}
		path := filepath.Join(dir, f.Name())
		info, err := f.Info()
		if err != nil || !info.Mode().IsRegular() || info.Size() > nearbySize {
			continue
		}
		if time.Since(info.ModTime()) > nearbyStale {
			_ = os.Remove(path)
			continue
		}
		b, err := os.ReadFile(path)
		var found nearbyFile
		if err != nil || json.Unmarshal(b, &found) != nil {
			continue
		}
		target := peer.AddrInfo{ID: id}
		for _, s := range found.Addrs {
			if a, err := ma.NewMultiaddr(s); err == nil {
				target.Addrs = append(target.Addrs, a)
			}
		}
		if err := h.connect(ctx, target); err != nil {
			h.log.Debug("cannot reach a node on this machine", "peer", id, "err", err)
		}
	}
}
