package sandbox

import (
	"cmp"
	"slices"
)

func netNodeID(c call, arg args) code {
	if c.host.Net == nil {
		return codeSyncOff
	}
	id, err := c.host.Net.NodeID()
	if err != nil {
		return codeOf(err)
	}
	return c.answer(arg, []byte(id))
}

// netPeers writes u32 n, n × (u32 alen, u32 idlen, addr, id), sorted by address.
func netPeers(c call, arg args) code {
	if c.host.Net == nil {
		return codeSyncOff
	}
	peers, err := c.host.Net.Peers()
	if err != nil {
		return codeOf(err)
	}
	op, oc := arg.u32(0), arg.u32(1)
	if bad := capacity(oc); bad != codeOK {
		return bad
	}
	peers = slices.Clone(peers)
	slices.SortFunc(peers, func(a, b Peer) int {
		return cmp.Or(cmp.Compare(a.Addr, b.Addr), cmp.Compare(a.ID, b.ID))
	})
	l := newList(oc)
	for _, p := range peers {
		if !l.row(8 + len(p.Addr) + len(p.ID)) {
			break
		}
		l.size(len(p.Addr))
		l.size(len(p.ID))
		l.buf = append(l.buf, p.Addr...)
		l.buf = append(l.buf, p.ID...)
	}
	return c.writeList(op, oc, l)
}
