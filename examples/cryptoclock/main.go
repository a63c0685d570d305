// Command cryptoclock shows what a guest has instead of a system: the host's clocks, randomness and hashes.
package main

import (
	"bytes"
	"time"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

func main() {
	text := []byte("numax")
	sha, err := nx.SHA256(text)
	if err != nil {
		nx.Abort("SHA-256: " + err.Error())
	}
	blake, err := nx.BLAKE3(text)
	if err != nil {
		nx.Abort("BLAKE3: " + err.Error())
	}
	nx.Logf("sha256(%s) = %x", text, sha)
	nx.Logf("blake3(%s) = %x", text, blake)

	a, b := make([]byte, 32), make([]byte, 32)
	if err := nx.Random(a); err != nil {
		nx.Abort("random: " + err.Error())
	}
	if err := nx.Random(b); err != nil {
		nx.Abort("random: " + err.Error())
	}
	nx.Logf("two draws of 32 random bytes differ: %t", !bytes.Equal(a, b))

	start := nx.Monotonic()
	time.Sleep(20 * time.Millisecond)
	nx.Logf("the clock goes on while the guest sleeps: %t", nx.Monotonic()-start >= 19*time.Millisecond)
	nx.Logf("both clocks agree on the year: %t", nx.Now().Year() == time.Now().Year())
}
