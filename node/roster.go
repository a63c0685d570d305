package node

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node/api"
	"github.com/numax-mesh/numax/node/member"
	"github.com/numax-mesh/numax/p2p"
)

// peerName is the peer id of a device.
func peerName(k member.Key) string {
	id, err := p2p.PublicPeerID(k[:])
	if err != nil {
		return hex.EncodeToString(k[:])
	}
	return id
}

func keyOf(a crdt.Author) (k member.Key) {
	b := a.Bytes()
	copy(k[:], b[:])
	return k
}

// Members are the authors of a dataset and, in a closed network, the devices
// that have written nothing.
func (d *Data) Members(dataset string) ([]api.Member, error) {
	x, err := d.dataset(dataset)
	if err != nil {
		return nil, err
	}
	all := []api.Member{}
	wrote := make(map[member.Key]bool)
	for _, m := range x.Members() {
		wrote[keyOf(m.Author)] = true
		a := d.device(keyOf(m.Author))
		a.Name, a.Self, a.Ops, a.Retired, a.Forked, a.Ahead = authorName(m.Author), m.Self, m.Ops, m.Retired, m.Forked, m.Ahead.Seconds()
		all = append(all, a)
	}
	if d.book != nil {
		for _, m := range d.book.Roster().Members() {
			if !wrote[m.Key] {
				all = append(all, d.device(m.Key))
			}
		}
		for _, q := range d.book.Pending() {
			all = append(all, api.Member{Name: peerName(q.Subject), Device: q.Name, Waiting: true, Revoked: q.Revoked})
		}
	}
	slices.SortFunc(all, func(a, b api.Member) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// device is what the roster says of a key.
func (d *Data) device(k member.Key) api.Member {
	a := api.Member{Name: peerName(k)}
	if d.book == nil {
		return a
	}
	a.Self = k == d.book.Self()
	if m, ok := d.book.Roster().Member(k); ok {
		a.Device, a.Role, a.Revoked, a.Expires = m.Name, m.Role.String(), m.Revoked, orNever(m.Expires)
	}
	return a
}

// deviceName is what a peer is called in a closed network.
func (d *Data) deviceName(peer string) string {
	k, err := p2p.PeerKey(peer)
	if err != nil || d.book == nil {
		return ""
	}
	m, _ := d.book.Roster().Member(k)
	return m.Name
}

func orNever(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// Forget retires an author, given by its name or the end of it.
func (d *Data) Forget(ctx context.Context, dataset, name string) (api.Member, error) {
	x, err := d.dataset(dataset)
	if err != nil {
		return api.Member{}, err
	}
	var found []replica.Member
	for _, m := range x.Members() {
		if name != "" && strings.HasSuffix(authorName(m.Author), name) {
			found = append(found, m)
		}
	}
	switch {
	case len(found) == 0:
		return api.Member{}, fmt.Errorf("member %q: %w: see numax-node members ls", name, api.ErrNotFound)
	case len(found) > 1:
		return api.Member{}, fmt.Errorf("%w: member %q: %d have names that end so", api.ErrUsage, name, len(found))
	case found[0].Self:
		return api.Member{}, fmt.Errorf("%w: member %q is this node: forget it from another one", api.ErrUsage, name)
	}
	m := found[0]
	if err := x.Forget(m.Author); err != nil {
		return api.Member{}, err
	}
	return api.Member{Name: authorName(m.Author), Ops: m.Ops, Retired: true, Forked: m.Forked}, d.Sync(ctx)
}

// errOpen is why there is nothing to do about the members of an open network.
var errOpen = fmt.Errorf("%w: this network is open, anybody may take part: numax-node network create NAME makes a closed one", api.ErrUsage)

// Network says what the network is.
func (d *Data) Network() api.Network {
	if d.book == nil {
		return api.Network{Name: d.name, ID: replica.OpenNetwork(d.name).String()}
	}
	r := d.book.Roster()
	self := d.device(d.book.Self())
	n := api.Network{
		Name: r.Genesis().Name, ID: r.Network().String(), Closed: true, Device: self.Device,
		Token: (&member.Token{Genesis: r.Genesis()}).String(),
	}
	if !self.Revoked {
		n.Role = self.Role
	}
	for _, m := range r.Members() {
		if !m.Revoked {
			n.Members++
		}
	}
	return n
}

// Invites are those of a closed network.
func (d *Data) Invites() ([]api.Invite, error) {
	if d.book == nil {
		return nil, errOpen
	}
	all := []api.Invite{}
	for _, i := range d.book.Roster().Invites() {
		all = append(all, inviteOf(i))
	}
	return all, nil
}

func inviteOf(i member.InviteState) api.Invite {
	a := api.Invite{ID: i.ID.String(), Role: i.Role.String(), Uses: int(i.Uses), Used: i.Used, Closed: i.Closed}
	if i.Expires != 0 {
		t := time.UnixMilli(int64(i.Expires))
		a.Expires = &t
	}
	return a
}

// Invite makes a token. Without a running node it has no addresses: it works
// where the devices find each other on a LAN.
func (d *Data) Invite(i api.Invite) (api.Invite, error) { return d.invite(i, nil) }

func (d *Data) invite(i api.Invite, addrs []string) (api.Invite, error) {
	if d.book == nil {
		return api.Invite{}, errOpen
	}
	role, err := member.ParseRole(i.Role)
	if err != nil {
		return api.Invite{}, fmt.Errorf("%w: %w", api.ErrUsage, err)
	}
	if i.Uses < 1 || i.Uses > member.MaxUses {
		return api.Invite{}, fmt.Errorf("%w: invite: %d uses, want 1 to %d", api.ErrUsage, i.Uses, member.MaxUses)
	}
	var expires time.Time
	if i.Expires != nil {
		expires = *i.Expires
	}
	before := d.book.Roster().Invites()
	t, err := d.book.Invite(role, uint32(i.Uses), expires)
	if err != nil {
		return api.Invite{}, err
	}
	t.Addrs = addrs
	i.Token = t.String()
	for _, x := range d.book.Roster().Invites() {
		if !slices.ContainsFunc(before, func(b member.InviteState) bool { return b.ID == x.ID }) {
			i.ID = x.ID.String()
		}
	}
	return i, nil
}

// Withdraw ends an invite, given by its id or the beginning of it.
func (d *Data) Withdraw(id string) (api.Invite, error) {
	if d.book == nil {
		return api.Invite{}, errOpen
	}
	var found []member.InviteState
	for _, i := range d.book.Roster().Invites() {
		if id != "" && strings.HasPrefix(i.ID.String(), id) {
			found = append(found, i)
		}
	}
	if len(found) != 1 {
		return api.Invite{}, fmt.Errorf("invite %q: %w: %d invites have ids that begin so: see numax-node invite ls", id, api.ErrNotFound, len(found))
	}
	if err := d.book.CloseInvite(found[0].ID); err != nil {
		return api.Invite{}, err
	}
	i := inviteOf(found[0])
	i.Closed = true
	return i, nil
}

// Approve lets a device in that waits, given by its name or the end of its peer
// id.
func (d *Data) Approve(name, role string) (api.Member, error) {
	if d.book == nil {
		return api.Member{}, errOpen
	}
	as, err := member.ParseRole(role)
	if err != nil {
		return api.Member{}, fmt.Errorf("%w: %w", api.ErrUsage, err)
	}
	var waiting []member.Key
	for _, q := range d.book.Pending() {
		if named(name, q.Name, q.Subject) {
			waiting = append(waiting, q.Subject)
		}
	}
	k, err := one(name, waiting, "waits to be approved: it has to be running numax-node join, with this node in reach")
	if err != nil {
		return api.Member{}, err
	}
	if err := d.book.Approve(k, as, time.Time{}); err != nil {
		return api.Member{}, err
	}
	return d.device(k), nil
}

// Revoke puts a device out, given by its name or the end of its peer id. What
// this node has of its entries stands. A device that left by itself can be put out
// too; of one that an administrator put out already nothing more is said.
func (d *Data) Revoke(ctx context.Context, name string) (api.Member, error) {
	if d.book == nil {
		return api.Member{}, errOpen
	}
	var found, gone []member.Key
	for _, m := range d.book.Roster().Members() {
		switch {
		case !named(name, m.Name, m.Key):
		case m.Revoked:
			gone = append(gone, m.Key)
		default:
			found = append(found, m.Key)
		}
	}
	if len(found) == 0 {
		found = gone // members that are there go first: names are given again
	}
	k, err := one(name, found, "is or was a member: see numax-node members ls")
	if err != nil {
		return api.Member{}, err
	}
	if r := d.book.Roster(); r.PutOut(k) && r.Has(d.book.Self(), member.Admin) {
		return d.device(k), nil
	}
	if err := d.Sync(ctx); err != nil {
		return api.Member{}, err
	}
	var logs []member.Limit
	for _, x := range d.r.Datasets() {
		for a, seq := range x.Applied() {
			if b := a.Bytes(); keyOf(a) == k {
				logs = append(logs, member.Limit{Dataset: x.ID(), Replica: [8]byte(b[len(k):]), Seq: seq})
			}
		}
	}
	if err := d.book.Revoke(k, logs, nil); err != nil {
		return api.Member{}, err
	}
	return d.device(k), nil
}

// minPeerEnd is how much of the end of a peer id names a device: a name as short as w1 ends somebody's peer id now and
// then.
const minPeerEnd = 6

// named reports whether a person means a device.
func named(given, name string, k member.Key) bool {
	return given != "" && given == name || len(given) >= minPeerEnd && strings.HasSuffix(peerName(k), given)
}

func one(name string, found []member.Key, what string) (member.Key, error) {
	switch len(found) {
	case 0:
		return member.Key{}, fmt.Errorf("device %q: %w: none of that name %s", name, api.ErrNotFound, what)
	case 1:
		return found[0], nil
	}
	return member.Key{}, fmt.Errorf("%w: device %q: %d are called so: name it by the end of its peer id", api.ErrUsage, name, len(found))
}

// Network implements api.Node.
func (n *Node) Network() api.Network {
	x := n.Data.Network()
	if n.book == nil {
		return x
	}
	t := member.Token{Genesis: n.book.Roster().Genesis(), Addrs: tokenAddrs(n.Addrs())}
	x.Token = t.String()
	return x
}

// Invite implements api.Node.
func (n *Node) Invite(i api.Invite) (api.Invite, error) { return n.invite(i, tokenAddrs(n.Addrs())) }

// tokenAddrs are the addresses that a token carries: few, so that it stays short,
// and of those that others can use.
func tokenAddrs(addrs []string) (few []string) {
	const most = 4
	rank := func(a string) int {
		switch {
		case strings.Contains(a, "/127.0.0.1/") || strings.Contains(a, "/::1/"):
			return 3
		case strings.Contains(a, "/p2p-circuit"):
			return 1
		case strings.Contains(a, "/quic-v1"):
			return 0
		}
		return 2
	}
	addrs = slices.DeleteFunc(slices.Clone(addrs), func(a string) bool { return strings.Contains(a, "/ws/") })
	slices.SortStableFunc(addrs, func(a, b string) int { return rank(a) - rank(b) })
	if len(addrs) > 0 && rank(addrs[0]) < 3 {
		addrs = slices.DeleteFunc(addrs, func(a string) bool { return rank(a) == 3 })
	}
	return addrs[:min(len(addrs), most)]
}
