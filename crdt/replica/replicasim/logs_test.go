package replicasim

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"fmt"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/datastore"
)

// head is what names an entry: the signed header, of which the first fields are
// read here (entry.go has them all).
type head struct {
	raw         string
	dataset     replica.DatasetID
	author      crdt.Author
	first, last uint64
}

// headOf reads the header at the beginning of an entry or an announcement.
func headOf(raw []byte) (h head, err error) {
	n, size := binary.Uvarint(raw)
	const fixed = 1 + 32 + 16 + crdt.AuthorSize
	if size <= 0 || n < fixed || uint64(len(raw)-size) < n {
		return h, fmt.Errorf("entry of %d bytes has no header", len(raw))
	}
	b := raw[size : size+int(n)]
	h.raw = string(b)
	copy(h.dataset[:], b[33:])
	h.author, err = crdt.AuthorFromBytes(b[49:fixed])
	first, k := binary.Uvarint(b[fixed:])
	count, _ := binary.Uvarint(b[fixed+k:])
	h.first, h.last = first, first+count-1
	return h, err
}

// logOf is an author's log as a node has it: the entries behind cut, up to have.
type logOf struct {
	have, cut uint64
	entries   map[uint64][]byte // by last seq
}

// readLogs reads all logs of a dataset, and checks that they have no hole.
func (w *world) readLogs(i *incarnation, k int) map[crdt.Author]*logOf {
	logs := make(map[crdt.Author]*logOf)
	id := i.sets[k].ID()
	prefix := datastore.VersionKey(id, nil)
	err := datastore.ScanPrefix(i.store, prefix, func(key, v []byte) bool {
		a, err := crdt.AuthorFromBytes(key[len(prefix):])
		if err != nil {
			w.failf("%s: version row: %v", i.node.name, err)
			return false
		}
		l := &logOf{entries: make(map[uint64][]byte)}
		have, n := binary.Uvarint(v) // ‖ head 32 ‖ uvarint applied ‖ uvarint cut ‖ …
		_, m := binary.Uvarint(v[n+32:])
		l.have = have
		l.cut, _ = binary.Uvarint(v[n+32+m:])
		logs[a] = l
		return true
	})
	for a, l := range logs {
		raw := a.Bytes()
		prefix := datastore.EntryPrefix(id, raw[:])
		end := l.cut
		scanErr := i.store.Scan(datastore.EntryKey(id, raw[:], l.cut+1), datastore.After(prefix), func(_, v []byte) bool {
			h, err := headOf(v)
			if err != nil || h.first != end+1 && !w.copied(a) {
				w.failf("%s of %s: behind seq %d follows %d (%v)", i.sets[k].Name(), i.node.name, end, h.first, err)
			}
			end = h.last
			l.entries[h.last] = bytes.Clone(v)
			return true
		})
		if err == nil {
			err = scanErr
		}
		if end != l.have && !w.copied(a) {
			w.failf("%s of %s: the log of %v ends at %d, not %d", i.sets[k].Name(), i.node.name, a, end, l.have)
		}
	}
	if err != nil {
		w.failf("%s: %v", i.node.name, err)
	}
	return logs
}

// checkLogs compares the logs of all nodes byte by byte, as far as two of them
// hold the same part.
func (w *world) checkLogs(k int) {
	all := make(map[crdt.Author]map[uint64][]byte)
	for _, x := range w.nodes {
		for a, l := range w.readLogs(x.current(), k) {
			if l.cut > 0 && !w.cuts() && w.forked == "" {
				w.failf("%s: the log of %v on %s is cut", w.datasets[k], a, x.name)
			}
			if w.copied(a) {
				continue
			}
			if all[a] == nil {
				all[a] = make(map[uint64][]byte)
			}
			for last, raw := range l.entries {
				if was, ok := all[a][last]; ok && !bytes.Equal(was, raw) {
					w.failf("%s: %s has another entry of %v at %d", w.datasets[k], x.name, a, last)
				}
				all[a][last] = raw
			}
		}
	}
	for _, entries := range all {
		w.report.entries += len(entries)
	}
}

// checkAnnounced checks that whatever was announced is in the logs, or was, so
// that no seq had two entries.
func (w *world) checkAnnounced() {
	w.net.mu.Lock()
	defer w.net.mu.Unlock()
	type place struct {
		dataset replica.DatasetID
		author  crdt.Author
		seq     uint64
	}
	heads := make(map[place]string)
	ends := make(map[place]uint64) // of authors
	for k := range w.datasets {
		d := w.nodes[0].current().sets[k]
		for a, seq := range d.Version() {
			ends[place{d.ID(), a, 0}] = seq
		}
	}
	for _, m := range w.net.announced {
		h, err := headOf(m[1:])
		log := place{h.dataset, h.author, 0}
		switch {
		case err != nil:
			w.failf("announced: %v", err)
		case w.copied(h.author): // two logs, of which one may be lost
		case h.last > ends[log]:
			w.failf("an announced entry of %v at %d is in no log", h.author, h.last)
		default:
			for seq := h.first; seq <= h.last; seq++ {
				at := place{h.dataset, h.author, seq}
				if was, ok := heads[at]; ok && was != h.raw {
					w.failf("two entries of %v were announced at %d", h.author, seq)
				}
				heads[at] = h.raw
			}
		}
	}
	for k := range w.datasets {
		for _, x := range w.nodes {
			id := x.current().sets[k].ID()
			for a, l := range w.readLogs(x.current(), k) {
				for last, raw := range l.entries {
					h, _ := headOf(raw)
					was, ok := heads[place{id, a, last}]
					if ok && was != h.raw {
						w.failf("%s has an entry of %v at %d that is not the announced one", x.name, a, last)
					}
				}
			}
		}
	}
}

// copied reports whether an author is one of the identity whose disk was copied.
func (w *world) copied(a crdt.Author) bool {
	raw := a.Bytes()
	of := func(name string) bool {
		return bytes.Equal(raw[:ed25519.PublicKeySize], identity(name).Public().(ed25519.PublicKey))
	}
	return w.forked != "" && of(w.forked) || w.enemy && of(enemyName(enemyAuthors-1))
}
