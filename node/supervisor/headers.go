package supervisor

import (
	"net/http"
	"strings"
)

// maxHeaders bounds the bytes of the headers of an answer, given or fetched.
const maxHeaders = 64 << 10

// ofHost reports whether a header is about the connection, which is the host's and not a module's: a module that sets
// one could say where its answer ends, and begin another one behind it. The name is canonical.
func ofHost(name string) bool {
	switch name {
	case "Connection", "Content-Length", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return strings.HasPrefix(name, "Proxy-")
}

// named are the headers that a Connection header makes the host's too.
func named(h http.Header) map[string]bool {
	var names map[string]bool
	for _, line := range h["Connection"] {
		for name := range strings.SplitSeq(line, ",") {
			if names == nil {
				names = make(map[string]bool)
			}
			names[http.CanonicalHeaderKey(strings.TrimSpace(name))] = true
		}
	}
	return names
}

// isHeader reports whether a line of name and value is one of HTTP (RFC 9110, 5.1 and 5.5).
func isHeader(name, value string) bool {
	for i := range len(name) {
		c := name[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return name != ""
}
