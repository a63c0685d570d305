package door

import (
	"net"
	"net/netip"
	"time"
)

// Limits of one door. Doors share nothing, so that one that is full shuts no other.
type Limits struct {
	Connections int // at most; then the one that waits longest is closed, and if none waits the new one gets 503
	PerAddress  int // of them from one address, and the same with those; 0 = no bound
}

// Shares of the descriptors that the process may have. The store keeps at most 128 open, peers 512.
const (
	webShare  = 8  // one of so many is for the web
	sideShare = 16 // one of so many for each of the API, its socket and the metrics
	perClient = 4  // one of so many connections of a door may come from one address

	minConnections = 8
	maxConnections = 1024 // however many descriptors there are: each costs some 100 KiB at worst
)

// Web are the limits of the door to which browsers come.
func Web() Limits { return limits(webShare) }

// Side are those of the API over TCP and of the metrics.
func Side() Limits { return limits(sideShare) }

// Local are those of a socket that only the user can reach: it is bounded, and all may come from one place.
func Local() Limits { return Limits{Connections: limits(sideShare).Connections} }

func limits(share int) Limits {
	n := min(max(descriptors()/share, minConnections), maxConnections)
	return Limits{Connections: n, PerAddress: n / perClient}
}

// Times of connections.
const (
	headerTime = 10 * time.Second // for the headers of a request
	idleTime   = time.Minute      // between two requests
	leftTime   = 5 * time.Second  // for what a handler left unread of a request
	writeTime  = 30 * time.Second // for each write, beside its bytes
	writeRate  = 32 << 10         // bytes a second that a client takes at least
	closeTime  = time.Second      // for requests under way when the node stops

	maxHeaders = 64 << 10 // bytes of the headers of a request, and of its first line
)

// Limits of refusals: who is refused is told so, if not too many are being told just now.
const (
	maxRefusals = 16
	refusalTime = time.Second
)

// Client names who is at the other end of a connection, for bounds: the address without its port, the
// first 64 bits of an IPv6 address, as one customer has at least those; "" for a socket.
func Client(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return ""
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return ""
	}
	if addr = addr.Unmap().WithZone(""); addr.Is4() {
		return addr.String()
	}
	p, err := addr.Prefix(64)
	if err != nil {
		return ""
	}
	return p.String()
}
