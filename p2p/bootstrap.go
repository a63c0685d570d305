package p2p

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
)

// Where to begin is given as
//
//	/ip4/203.0.113.7/tcp/4001/p2p/12D3KooW…   an address
//	/dnsaddr/example.org/p2p/12D3KooW…        the same, by name
//	/dnsaddr/example.org  or  example.org     the TXT records of _dnsaddr.example.org
//	./peers.txt  or  /etc/numax/peers         a file with any of these but files, one a line, # comments
//
// Files and names are read anew every minute; while one cannot be read, what it
// said last holds.
const (
	bootstrapEvery = time.Minute
	bootstrapTime  = 10 * time.Second // for one name
	maxBootstrap   = 64               // peers of all sources
	maxFile        = 64 << 10
)

// CheckBootstrap reports what is wrong with a --bootstrap value, as far as can
// be told without the network.
func CheckBootstrap(s string) error {
	_, err := parseSource(s, true)
	return err
}

// source is one --bootstrap value; one of file, name and info is set.
type source struct {
	text string
	file string
	name string // of the TXT records
	info peer.AddrInfo
}

const bootstrapExample = "want an address as another node prints it (/ip4/203.0.113.7/tcp/4001/p2p/12D3KooW…), a DNS name with dnsaddr records, or a file of those"

func parseSource(s string, files bool) (source, error) {
	fail := func(why string) (source, error) {
		return source{}, fmt.Errorf("bootstrap %q: %s: %s", s, why, bootstrapExample)
	}
	text := strings.TrimSpace(s)
	switch {
	case text == "":
		return fail("it is empty")
	case startsMultiaddr(text):
		if name, ok := strings.CutPrefix(text, "/dnsaddr/"); ok && !strings.Contains(strings.TrimSuffix(name, "/"), "/") {
			text = strings.TrimSuffix(name, "/")
			break
		}
		info, err := ParsePeer(text)
		if err != nil {
			return source{}, fmt.Errorf("bootstrap: %w", err)
		}
		return source{text: text, info: info}, nil
	case looksLikeFile(text):
		if !files {
			return fail("a file of addresses cannot name another file")
		}
		return source{text: text, file: text}, nil
	}
	if _, _, err := net.SplitHostPort(text); err == nil {
		return fail("it does not say which node is expected there: append its peer id, as in /dns4/HOST/tcp/PORT/p2p/12D3KooW…")
	}
	if net.ParseIP(text) != nil {
		return fail("an IP address alone does not say which port and which node")
	}
	if strings.HasPrefix(text, "12D3KooW") {
		return fail("a peer id says who, not where")
	}
	if !validName(text) {
		return fail("it is neither an address, nor a DNS name, nor a file that is there")
	}
	return source{text: text, name: text}, nil
}

// startsMultiaddr tells /ip4/… from the path of a file.
func startsMultiaddr(s string) bool {
	if !strings.HasPrefix(s, "/") {
		return false
	}
	first, _, _ := strings.Cut(s[1:], "/")
	return ma.ProtocolWithName(first).Code != 0 && first != "unix"
}

func looksLikeFile(s string) bool {
	if filepath.IsAbs(s) || strings.HasPrefix(s, ".") || strings.ContainsAny(s, `/\`) {
		return true
	}
	info, err := os.Stat(s)
	return err == nil && info.Mode().IsRegular()
}

// validName reports whether s can be the name of a host with a dot in it.
func validName(s string) bool {
	s = strings.TrimSuffix(s, ".")
	if len(s) > 253 || !strings.Contains(s, ".") {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") ||
			strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

// readSources reads a file of addresses.
func readSources(file string) ([]source, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("bootstrap: %w", err)
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("bootstrap: %s is larger than %d bytes: is it a file of addresses?", file, maxFile)
	}
	return parseSources(file, b)
}

func parseSources(file string, b []byte) ([]source, error) {
	var all []source
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, maxFile+1)
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		s, err := parseSource(text, false)
		if err != nil {
			return nil, fmt.Errorf("%s:%d: %w", file, n, err)
		}
		if len(all) == maxBootstrap {
			return nil, fmt.Errorf("%s:%d: more than %d addresses", file, n, maxBootstrap)
		}
		all = append(all, s)
	}
	return all, lines.Err()
}

// bootstrap is what the sources say.
type bootstrap struct {
	mu      sync.Mutex // guards the fields below
	sources []source
	said    map[string][]peer.AddrInfo
	changed chan struct{} // closed and replaced when there are other sources
}

func parseBootstrap(values []string) (*bootstrap, error) {
	b := &bootstrap{changed: make(chan struct{})}
	return b, b.set(values)
}

// set takes other sources, and reads everything but DNS names: a node must start
// offline.
func (b *bootstrap) set(values []string) error {
	var sources []source
	said := make(map[string][]peer.AddrInfo)
	for _, v := range values {
		s, err := parseSource(v, true)
		if err != nil {
			return err
		}
		sources = append(sources, s)
		switch {
		case s.file != "":
			if said[s.text], err = readFixed(s.file); err != nil {
				return err
			}
		case s.name == "":
			said[s.text] = []peer.AddrInfo{s.info}
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for text, infos := range b.said {
		if said[text] == nil && slices.ContainsFunc(sources, func(s source) bool { return s.text == text }) {
			said[text] = infos // a name; what it said last holds
		}
	}
	b.sources, b.said = sources, said
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

// now are the sources, and a channel that closes when there are others.
func (b *bootstrap) now() ([]source, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sources, b.changed
}

// SetBootstrap says anew where to begin, as Config.Bootstrap did. On an error all
// is as it was.
func (h *Host) SetBootstrap(values []string) error {
	if err := h.bootstrap.set(values); err != nil {
		return err
	}
	h.known.setBootstrap(h.bootstrap.peers())
	return nil
}

// readFixed are the addresses in a file, without its names.
func readFixed(file string) ([]peer.AddrInfo, error) {
	all, err := readSources(file)
	var infos []peer.AddrInfo
	for _, s := range all {
		if s.name == "" {
			infos = append(infos, s.info)
		}
	}
	return infos, err
}

// peers are the peers of all sources, by id.
func (b *bootstrap) peers() map[peer.ID][]ma.Multiaddr {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make(map[peer.ID][]ma.Multiaddr)
	for _, s := range b.sources {
		for _, info := range b.said[s.text] {
			if _, ok := all[info.ID]; !ok && len(all) >= maxBootstrap {
				continue
			}
			all[info.ID] = append(all[info.ID], info.Addrs...)
		}
	}
	return all
}

func (b *bootstrap) ids() []peer.ID { return slices.Collect(maps.Keys(b.peers())) }

// names reports whether the user named the peer.
func (b *bootstrap) names(id peer.ID) bool {
	_, ok := b.peers()[id]
	return ok
}

// read reads one source anew.
func (b *bootstrap) read(ctx context.Context, s source) error {
	names, infos := []source{s}, []peer.AddrInfo(nil)
	if s.file != "" {
		all, err := readSources(s.file)
		if err != nil {
			return err
		}
		names = names[:0]
		for _, x := range all {
			if x.name != "" {
				names = append(names, x)
			} else {
				infos = append(infos, x.info)
			}
		}
	}
	var errs []error
	for _, x := range names {
		found, err := lookUp(ctx, x.name)
		infos = append(infos, found...)
		errs = append(errs, err)
	}
	if len(infos) > 0 || errors.Join(errs...) == nil {
		b.mu.Lock()
		if slices.ContainsFunc(b.sources, func(x source) bool { return x.text == s.text }) { // still
			b.said[s.text] = infos
		}
		b.mu.Unlock()
	}
	return errors.Join(errs...)
}

// lookUp asks for the TXT records dnsaddr=/… of _dnsaddr.NAME.
func lookUp(ctx context.Context, name string) ([]peer.AddrInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, bootstrapTime)
	defer cancel()
	addrs, err := madns.DefaultResolver.Resolve(ctx, ma.StringCast("/dnsaddr/"+name))
	if err != nil {
		return nil, fmt.Errorf("bootstrap: look up _dnsaddr.%s: %w", name, err)
	}
	infos, err := peer.AddrInfosFromP2pAddrs(slices.DeleteFunc(addrs, func(a ma.Multiaddr) bool {
		_, err := a.ValueForProtocol(ma.P_P2P)
		return err != nil
	})...)
	if err != nil {
		return nil, fmt.Errorf("bootstrap: records of _dnsaddr.%s: %w", name, err)
	}
	if len(infos) == 0 {
		return nil, fmt.Errorf("bootstrap: %s has no record such as _dnsaddr.%s TXT \"dnsaddr=/ip4/…/tcp/…/p2p/…\"", name, name)
	}
	return infos, nil
}

// runBootstrap reads the sources that can change, at once and every minute.
func (h *Host) runBootstrap(ctx context.Context) {
	failed := make(map[string]bool)
	for {
		sources, changed := h.bootstrap.now()
		for _, s := range sources {
			if s.file == "" && s.name == "" {
				continue
			}
			err := h.bootstrap.read(ctx, s)
			if err != nil && !failed[s.text] && ctx.Err() == nil {
				h.log.Warn("cannot read where to begin; trying on", "bootstrap", s.text, "err", err)
			}
			failed[s.text] = err != nil
		}
		h.known.setBootstrap(h.bootstrap.peers())
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-time.After(bootstrapEvery):
		}
	}
}
