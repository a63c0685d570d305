package module

import "testing"

func TestSubjects(t *testing.T) {
	g := &Grants{Publish: []string{"a.b", "log.*"}, Subscribe: []string{"a.*"}}
	for subject, want := range map[string]bool{
		"a.b": true, "a.b.c": false, "a": false, "log.x": true, "log.x.y": true, "log": false, "log.": false, "logs.x": false,
		"log.*": false, "log.x y": false, "": false, "LOG.x": false,
	} {
		if got := g.CanPublish(subject); got != want {
			t.Errorf("publish %q: %t, want %t", subject, got, want)
		}
	}
	for subject, want := range map[string]bool{
		"a.b": true, "a.*": true, "a.b.*": true, "a": false, "*": false, ".*": false, "a.*.b": false, "ab.*": false, "a.**": false,
	} {
		if got := g.CanSubscribe(subject); got != want {
			t.Errorf("subscribe %q: %t, want %t", subject, got, want)
		}
	}
}

func TestHosts(t *testing.T) {
	for _, x := range []struct {
		grant, host string
		port        uint16
		want        bool
	}{
		{"example.org", "example.org", 443, true},
		{"example.org", "EXAMPLE.org", 80, true},
		{"example.org", "example.org", 8080, false},
		{"example.org", "www.example.org", 443, false},
		{"example.org", "example.org.evil.net", 443, false},
		{"example.org", "example.org.", 443, false},
		{"example.org", "evil.net/example.org", 443, false},
		{"example.org", "user@example.org", 443, false},
		{"example.org:8080", "example.org", 8080, true},
		{"example.org:8080", "example.org", 443, false},
		{"*.example.org", "a.b.example.org", 443, true},
		{"*.example.org", "example.org", 443, false},
		{"*.example.org", ".example.org", 443, false},
		{"*.example.org", "evilexample.org", 443, false},
		{"*.example.org:8443", "a.example.org", 8443, true},
		{"*.example.org:8443", "a.example.org", 443, false},
		{"127.0.0.1:80", "127.0.0.1", 80, true},
		{"127.0.0.1:80", "127.1", 80, false},
		{"127.0.0.1", "::ffff:127.0.0.1", 80, true},
		{"::1", "::1", 80, true},
		{"::1", "0:0:0:0:0:0:0:1", 443, true},
		{"::1", "::1%eth0", 443, false},
		{"[::1]:8080", "::1", 8080, true},
		{"[::1]:8080", "::1", 80, false},
		{"localhost", "127.0.0.1", 80, false},
	} {
		if !validHost(x.grant) {
			t.Errorf("%q is no valid grant", x.grant)
		}
		if got := (&Grants{Hosts: []string{x.grant}}).CanFetch(x.host, x.port); got != x.want {
			t.Errorf("%q, fetch %q port %d: %t, want %t", x.grant, x.host, x.port, got, x.want)
		}
	}
	for _, bad := range []string{
		"", ":", ":80", "*", "*.", "*.org", "a.*.org", "**.a.org", "http://a.org", "a.org/x", "a.org:0", "a.org:080", "a.org:99999", "A.org",
		"a b", "[::1", "[a]", "::1]:80", "1.2.3", "0x7f.1", "*.1.2.3.4", "a..b", "-a.org", "::01", "[::1]x", "a.org:+80",
	} {
		if validHost(bad) {
			t.Errorf("%q is taken as a host", bad)
		}
	}
}

func TestRoutes(t *testing.T) {
	for _, x := range []struct {
		route, path string
		want        bool
	}{
		{"/", "/", true},
		{"/", "/a/b", true},
		{"/api", "/api", true},
		{"/api", "/api/x", true},
		{"/api", "/apix", false},
		{"/api", "/", false},
	} {
		if got := MatchRoute(x.route, x.path); got != x.want {
			t.Errorf("%q for %q: %t, want %t", x.path, x.route, got, x.want)
		}
	}
}

// The check stands on the way of every call of a guest.
func BenchmarkCanWrite(b *testing.B) {
	g := &Grants{Data: []DataGrant{{"default", "a/", AllFamilies, 0}, {"default", "sensors/", AllFamilies, AllFamilies}}}
	for b.Loop() {
		if !g.CanWrite("default", "rga", "sensors/kitchen") {
			b.Fatal("denied")
		}
	}
}

// A prefix is of bytes, and nothing else: no separator, no path, no text. So "a" opens "ab/x", as the manual says, and no
// spelling of a key leads out of the prefix, or into it.
func TestPrefixesAreBytes(t *testing.T) {
	for _, x := range []struct {
		prefix, key string
		in          bool
	}{
		{"a", "a", true},
		{"a", "ab/x", true},
		{"a", "a\x00b", true},
		{"a", "", false},
		{"a", "A", false},
		{"a", "b/../a", false},
		{"a", "\x00a", false},
		{"a", "/a", false},
		{"a", "./a", false},
		{"a/", "a", false},
		{"a/", "ab/x", false},
		{"a/", "a\x00/", false},
		{"a/", "a%2fx", false},
		{"a/", "a//", true},
		{"a/", "a/../b", true}, // which is a key by that name
		{"a\x00", "a", false},
		{"a\x00", "a\x00", true},
		{"a\x00", "a\xff", false},
		{"\u00e9", "e\u0301", false}, // not normalized
		{"\u00e9", "\xc3", false},
		{"\xc3", "\u00e9", true},
		{"", "", true},
		{"", "\xff\x00", true},
	} {
		f, err := parseFamilies("all")
		if err != nil {
			t.Fatal(err)
		}
		g := Grants{Data: []DataGrant{{Dataset: "d", Prefix: x.prefix, Read: f, Write: f}}}
		for what, got := range map[string]bool{
			"read": g.CanRead("d", "gcounter", x.key), "write": g.CanWrite("d", "gcounter", x.key), "watch": g.CanWatch("d", x.key),
		} {
			if got != x.in {
				t.Errorf("%s of %q with prefix %q: %t, want %t", what, x.key, x.prefix, got, x.in)
			}
		}
		for _, dataset := range []string{"", "D", "d\x00", "d/", "dd", "../d"} {
			if g.CanRead(dataset, "gcounter", x.key) || g.CanWrite(dataset, "gcounter", x.key) || g.CanWatch(dataset, x.key) || g.CanUse(dataset) {
				t.Errorf("a grant for dataset d opens %q", dataset)
			}
		}
	}
}
