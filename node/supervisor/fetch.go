package supervisor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/sandbox"
)

// Limits of web requests that modules make.
const (
	fetchTime    = 30 * time.Second
	maxRedirects = 5
)

// fetcher makes web requests to granted hosts. Redirects lead to granted hosts only, and a name never to an address of
// this machine or its network unless the address itself was granted: a grant for a name is not one for what somebody
// makes it resolve to.
type fetcher struct {
	grants *module.Grants
	settle func(context.Context) error // before anything is sent
	client *http.Client
}

func newFetcher(g *module.Grants, settle func(context.Context) error) sandbox.Fetcher {
	if len(g.Hosts) == 0 {
		return nil
	}
	f := &fetcher{grants: g, settle: settle}
	dial := &net.Dialer{Timeout: fetchTime}
	f.client = &http.Client{
		Timeout: fetchTime,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("more than %d redirects", maxRedirects)
			}
			return f.allowed(r)
		},
		Transport: &http.Transport{
			DisableKeepAlives: true, MaxResponseHeaderBytes: maxHeaders,
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				return f.dial(ctx, dial, network, addr)
			},
		},
	}
	return f
}

func (f *fetcher) allowed(r *http.Request) error {
	port := uint64(80)
	if r.URL.Scheme == "https" {
		port = 443
	}
	if text := r.URL.Port(); text != "" {
		var err error
		if port, err = strconv.ParseUint(text, 10, 16); err != nil {
			return err
		}
	}
	if r.URL.Scheme != "http" && r.URL.Scheme != "https" || !f.grants.CanFetch(r.URL.Hostname(), uint16(port)) {
		return sandbox.ErrDenied
	}
	return nil
}

// dial connects to what a name resolves to, but not inside.
func (f *fetcher) dial(ctx context.Context, d *net.Dialer, network, addr string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	if _, err := netip.ParseAddr(host); err == nil || host == "localhost" {
		return d.DialContext(ctx, network, addr) // granted as it is
	}
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return nil, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, err
	}
	for _, a := range addrs {
		a = a.Unmap()
		if inside(a) && !f.grants.CanFetch(a.String(), uint16(number)) {
			err = sandbox.ErrDenied
			continue
		}
		var c net.Conn
		if c, err = d.DialContext(ctx, network, net.JoinHostPort(a.String(), port)); err == nil {
			return c, nil
		}
	}
	return nil, err
}

// Fetch implements sandbox.Fetcher.
func (f *fetcher) Fetch(ctx context.Context, method, url string, headers [][2]string, body []byte) (sandbox.Fetched, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if err := f.allowed(r); err != nil {
		return nil, err
	}
	for _, h := range headers {
		switch {
		case !isHeader(h[0], h[1]):
			return nil, errHeader
		case ofHost(http.CanonicalHeaderKey(h[0])):
			return nil, sandbox.ErrDenied
		}
		r.Header.Add(h[0], h[1])
	}
	if err := f.settle(ctx); err != nil {
		return nil, err
	}
	answer, err := f.client.Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode == http.StatusSwitchingProtocols { // its body is the connection, which ctx does not end
		_ = answer.Body.Close()
		return nil, errors.New("supervisor: the server wants to speak something else than HTTP")
	}
	for name := range named(answer.Header) {
		answer.Header.Del(name)
	}
	return fetched{answer}, nil
}

type fetched struct{ r *http.Response }

func (f fetched) Header(name string) string {
	if ofHost(http.CanonicalHeaderKey(name)) {
		return ""
	}
	return f.r.Header.Get(name)
}

func (f fetched) Status() int                { return f.r.StatusCode }
func (f fetched) Read(p []byte) (int, error) { return f.r.Body.Read(p) }
func (f fetched) Close() error               { return f.r.Body.Close() }

var _ io.ReadCloser = fetched{}
