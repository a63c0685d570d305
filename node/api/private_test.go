package api_test

import (
	"net/http"
	"testing"

	"github.com/numax-mesh/numax/node/api"
)

// seen is a node whose modules see requests.
type seen struct {
	*memoryNode
	headers chan http.Header
}

func (s seen) Web() http.Handler {
	return http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { s.headers <- r.Header })
}

// A module that is asked through the API sees no credentials for it, with which it could do all that its user can.
func TestTokenStaysHere(t *testing.T) {
	for name, token := range map[string]string{"TCP": "secret", "socket": ""} {
		n := seen{newNode(), make(chan http.Header, 1)}
		ask(api.Handler(n, token), "GET", "/m/page/", "", "Authorization", "Bearer secret")
		select {
		case h := <-n.headers:
			if got := h.Get("Authorization"); got != "" {
				t.Errorf("over the %s a module sees %q", name, got)
			}
		default:
			t.Errorf("over the %s the module was not asked", name)
		}
	}
}
