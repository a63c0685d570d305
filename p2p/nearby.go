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
	maxNearby   = 256              // files of our tag looked at
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
	var f, all nearbyFile
	for _, a := range h.ownAddrs() {
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

// meetNearby dials the nodes with our tag that are not connected, and removes
// what nodes of any tag left that died without a word.
func (h *Host) meetNearby(ctx context.Context, dir string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	ours := 0
	for _, f := range files {
		tag, id, whole := parseNearbyName(f.Name())
		info, err := f.Info()
		if id == "" || err != nil || !info.Mode().IsRegular() {
			continue
		}
		path := filepath.Join(dir, f.Name())
		if time.Since(info.ModTime()) > nearbyStale {
			_ = os.Remove(path)
			continue
		}
		if tag != h.cfg.Tag || !whole || id == h.host.ID() || info.Size() > nearbySize {
			continue
		}
		if ours++; ours > maxNearby {
			return
		}
		if h.direct(id) || h.full() {
			continue
		}
		b, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		addrs := parseNearby(b)
		if len(addrs) == 0 {
			continue
		}
		if err := h.connect(ctx, peer.AddrInfo{ID: id, Addrs: addrs}); err != nil {
			h.log.Debug("cannot reach a node on this machine", "peer", id, "err", err)
		}
	}
}

// parseNearbyName is whose a file is, or no id if it is none of ours. It is
// whole under its own name, and not yet under the one of writeFile.
func parseNearbyName(name string) (tag string, id peer.ID, whole bool) {
	name, unfinished := strings.CutPrefix(name, ".")
	tag, name, _ = strings.Cut(name, "-")
	name, _, more := strings.Cut(name, "-")
	id, err := peer.Decode(name)
	if err != nil || unfinished != more {
		return "", "", false
	}
	return tag, id, !unfinished
}

// parseNearby is where the node of a file listens; nowhere, if the file is
// damaged.
func parseNearby(b []byte) []ma.Multiaddr {
	var f nearbyFile
	if json.Unmarshal(b, &f) != nil {
		return nil
	}
	return multiaddrs(f.Addrs)
}
