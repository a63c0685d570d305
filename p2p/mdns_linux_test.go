package p2p

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A host on loopback alone has no mDNS socket, though it looks for others.
func TestLoopbackHasNoMDNS(t *testing.T) {
	// The check sees what it looks for: a socket of ours.
	own, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	if port := own.LocalAddr().(*net.UDPAddr).Port; !holdsUDP(t, port) {
		t.Fatalf("our own socket on UDP port %d is not seen", port)
	}

	cfg := Config{Discover: true, Nearby: meeting(t), Listen: []string{"127.0.0.1:0", "localhost:0"}}
	a, b := open(t, "a", cfg), open(t, "b", cfg)
	run(t, a)
	run(t, b)
	eventually(t, "hosts meet", func() bool { return connected(a, b) }) // so discovery is on
	if holdsUDP(t, mdnsPort) {
		t.Error("a UDP socket on port 5353 is open")
	}
}

// holdsUDP reports whether this process has a UDP socket on the port.
func holdsUDP(t *testing.T, port int) bool {
	t.Helper()
	inodes := make(map[string]bool)
	for _, table := range []string{"/proc/self/net/udp", "/proc/self/net/udp6"} {
		f, err := os.Open(table)
		if err != nil {
			if os.IsNotExist(err) && strings.HasSuffix(table, "6") {
				continue // no IPv6 here
			}
			t.Skip(err)
		}
		defer f.Close()
		// sl local_address rem_address st tx:rx tr:tm retrnsmt uid timeout inode …
		for lines := bufio.NewScanner(f); lines.Scan(); {
			fields := strings.Fields(lines.Text())
			if len(fields) < 10 {
				continue
			}
			_, hex, _ := strings.Cut(fields[1], ":")
			if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
				inodes[fmt.Sprintf("socket:[%s]", fields[9])] = true
			}
		}
	}
	fds, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && inodes[target] {
			return true
		}
	}
	return false
}
