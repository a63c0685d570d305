package module

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Hosts for outgoing HTTP, as manifests list them:
//
//	api.example.org          ports 80 and 443
//	api.example.org:8080     this port alone
//	*.example.org            every name below, at any depth, not example.org itself
//	192.168.1.7, [::1]:8080  addresses, in their shortest form

// Ports of a host that is granted without one.
const (
	portHTTP  = 80
	portHTTPS = 443
)

// matchHost takes a canonical host.
func matchHost(grant, host string, port uint16) bool {
	name, want, err := splitHost(grant)
	if err != nil || want != port && (want != 0 || port != portHTTP && port != portHTTPS) {
		return false
	}
	if domain, wild := strings.CutPrefix(name, "*"); wild { // ".example.org"
		return len(host) > len(domain) && strings.HasSuffix(host, domain)
	}
	return name == host
}

func validHost(s string) bool {
	_, _, err := splitHost(s)
	return err == nil
}

// splitHost takes a grant apart; port 0 is none given. IPv6 addresses with a port
// are in brackets.
func splitHost(s string) (host string, port uint16, err error) {
	host = s
	if i := strings.LastIndexByte(s, ':'); i >= 0 && (strings.Count(s, ":") == 1 || s[i-1] == ']') {
		n, err := strconv.ParseUint(s[i+1:], 10, 16)
		if err != nil || n == 0 || s[i+1] == '0' {
			return "", 0, fmt.Errorf("port %q", s[i+1:])
		}
		host, port = s[:i], uint16(n)
	}
	if in, ok := strings.CutPrefix(host, "["); ok {
		var closed bool
		if host, closed = strings.CutSuffix(in, "]"); !closed || !strings.Contains(host, ":") {
			return "", 0, fmt.Errorf("address %q", in)
		}
	}
	name, wild := strings.CutPrefix(host, "*.")
	canonical, ok := canonicalHost(name)
	if !ok || canonical != name || wild && (isAddr(name) || !strings.Contains(name, ".")) {
		return "", 0, fmt.Errorf("host %q", host)
	}
	return host, port, nil
}

// canonicalHost is the host in lower case, or the address in its shortest form.
// A last label that begins with a digit makes an address: 127.1 and 0x7f.1 are
// addresses to some resolvers, and not taken.
func canonicalHost(s string) (string, bool) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return addr.Unmap().String(), addr.Zone() == ""
	}
	if s == "" || len(s) > maxHost {
		return "", false
	}
	labels := strings.Split(strings.ToLower(s), ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' || strings.IndexFunc(l, func(r rune) bool {
			return !alphanumeric(r) && r != '-' && r != '_'
		}) >= 0 {
			return "", false
		}
	}
	last := labels[len(labels)-1]
	return strings.Join(labels, "."), last[0] < '0' || last[0] > '9'
}

func isAddr(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}
