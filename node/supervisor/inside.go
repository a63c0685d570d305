package supervisor

import (
	"net"
	"net/netip"
	"slices"
)

// special are the ranges of IPv4 that are not just somebody's out there: all of IANA's special-purpose registry, where
// some are routed, and what is above. Who leads a module's request to one wants something of this machine, its network,
// or whatever answers there.
var special = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
	"192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "198.18.0.0/15", "198.51.100.0/24",
	"203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
)

// global is what IPv6 gives to networks. All else is refused: loopback, link-local and private addresses, multicast,
// 100::/64, 5f00::/16, and those that stand for an IPv4 address, such as 64:ff9b::/96 and 64:ff9b:1::/48, whatever it is.
var global = netip.MustParsePrefix("2000::/3")

// special6 are the special ranges in it: protocols and Teredo, documentation, 6to4, AS112, documentation again.
var special6 = prefixes("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")

func prefixes(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, p := range list {
		all[i] = netip.MustParsePrefix(p)
	}
	return all
}

// inside reports whether an address is of this machine or its network, or a special one.
func inside(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	in := func(p netip.Prefix) bool { return p.Contains(a) }
	switch {
	case a.Is4() && slices.ContainsFunc(special, in):
		return true
	case !a.Is4() && (!global.Contains(a) || slices.ContainsFunc(special6, in)):
		return true
	}
	own, err := net.InterfaceAddrs()
	return err != nil || slices.ContainsFunc(own, func(x net.Addr) bool {
		n, ok := x.(*net.IPNet)
		return ok && n.IP.Equal(a.AsSlice()) // and its networks that are not private are the world
	})
}
