package api_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/numax-mesh/numax/node/api"
)

func (n *memoryNode) Network() api.Network {
	return api.Network{Name: "home", Closed: true, Members: 2}
}

func (n *memoryNode) Invites() ([]api.Invite, error) {
	return []api.Invite{{ID: "1", Role: "writer", Uses: 1}}, n.broken
}

func (n *memoryNode) Invite(i api.Invite) (api.Invite, error) {
	i.Token = "a token"
	return i, n.broken
}

func (n *memoryNode) Withdraw(id string) (api.Invite, error) {
	if id != "1" {
		return api.Invite{}, fmt.Errorf("invite %q: %w", id, api.ErrNotFound)
	}
	return api.Invite{ID: id, Closed: true}, n.broken
}

func (n *memoryNode) Approve(name, role string) (api.Member, error) {
	return api.Member{Name: name, Role: role}, n.broken
}

func (n *memoryNode) Revoke(_ context.Context, name string) (api.Member, error) {
	if name == "" {
		return api.Member{}, fmt.Errorf("%w: no name", api.ErrUsage)
	}
	return api.Member{Name: name, Revoked: true}, n.broken
}

// What is asked of a closed network comes back as the node says it.
func TestNetworkCalls(t *testing.T) {
	dir := tempDir(t)
	n := newNode()
	serve(t, listen(t, dir, "127.0.0.1:0"), n)
	c, err := api.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := context.Background()
	expires := time.Now().Add(time.Hour).UTC()
	same := func(got, want any, err error) {
		t.Helper()
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	network, err := c.Network(ctx)
	same(network, n.Network(), err)
	invites, err := c.Invites(ctx)
	same(invites, []api.Invite{{ID: "1", Role: "writer", Uses: 1}}, err)
	invite, err := c.Invite(ctx, api.Invite{Role: "reader", Uses: 3, Expires: &expires})
	same(invite, api.Invite{Role: "reader", Uses: 3, Expires: &expires, Token: "a token"}, err)
	invite, err = c.Withdraw(ctx, "1")
	same(invite, api.Invite{ID: "1", Closed: true}, err)
	m, err := c.Approve(ctx, "a & b", "reader")
	same(m, api.Member{Name: "a & b", Role: "reader"}, err)
	m, err = c.Revoke(ctx, "a")
	same(m, api.Member{Name: "a", Revoked: true}, err)
	if _, err := c.Withdraw(ctx, "2"); !errors.Is(err, api.ErrNotFound) {
		t.Errorf("an invite that is not there: %v", err)
	}
	if _, err := c.Revoke(ctx, ""); !errors.Is(err, api.ErrUsage) {
		t.Errorf("nobody revoked: %v", err)
	}
}
