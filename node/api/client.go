package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

// ErrNotRunning means that no node runs on the data directory.
var ErrNotRunning = errors.New("no node is running on this data directory")

// askTime is what a node gets to show that the TCP port of its file is its own.
const askTime = 2 * time.Second

// Client talks to the node of a data directory.
type Client struct {
	http  http.Client
	token string
}

// Dial finds the node that runs on dir; ErrNotRunning if there is none.
func Dial(dir string) (*Client, error) {
	b, err := os.ReadFile(filepath.Join(dir, endpointFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNotRunning
	}
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	var e Endpoint
	if json.Unmarshal(b, &e) != nil {
		return nil, ErrNotRunning // cut by a crash; a node writes it whole
	}
	network, address := "tcp", e.TCP
	if e.Socket != "" {
		// That of dir, which may be a copy of another node's, or be mounted
		// elsewhere than for the node.
		network, address = "unix", filepath.Join(dir, socketFile)
		if len(address) > maxSocketPath {
			address = e.Socket
		}
	}
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, ErrNotRunning // the file outlived its node
	}
	_ = conn.Close()
	c := &Client{token: e.Token}
	c.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}}
	if network == "tcp" { // the port may be another program's by now
		ctx, cancel := context.WithTimeout(context.Background(), askTime)
		defer cancel()
		if _, err := c.Peers(ctx); err != nil {
			c.Close()
			return nil, ErrNotRunning
		}
	}
	return c, nil
}

// Close closes the connections that no call uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) do(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, error) {
	r, raw := body.(io.Reader)
	if body != nil && !raw {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("api: %w", err)
		}
		r = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path+"?"+query.Encode(), r)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("api: the node does not answer: %w", err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	var f failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&f); err != nil || f.Error == "" {
		f.Error = resp.Status
	}
	switch resp.StatusCode {
	case http.StatusBadRequest:
		return nil, wire{f.Error, ErrUsage}
	case http.StatusNotFound:
		return nil, wire{f.Error, ErrNotFound}
	}
	return nil, errors.New(f.Error)
}

// wire is an error of the node, as text, that is still told apart.
type wire struct {
	text string
	is   error
}

func (w wire) Error() string        { return w.text }
func (w wire) Is(target error) bool { return target == w.is }

func fetch[T any](ctx context.Context, c *Client, method, path string, query url.Values, body any) (v T, err error) {
	resp, err := c.do(ctx, method, path, query, body)
	if err != nil {
		return v, err
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&v); err != nil {
		return v, fmt.Errorf("api: the node's answer: %w", err)
	}
	return v, nil
}

// Status asks for the node's status.
func (c *Client) Status(ctx context.Context) (Status, error) {
	return fetch[Status](ctx, c, "GET", "/v1/status", nil, nil)
}

// Peers asks for the connected peers.
func (c *Client) Peers(ctx context.Context) ([]Peer, error) {
	return fetch[[]Peer](ctx, c, "GET", "/v1/peers", nil, nil)
}

func object(dataset, family, key string) url.Values {
	return url.Values{"dataset": {dataset}, "family": {family}, "key": {key}}
}

// Get reads an object.
func (c *Client) Get(ctx context.Context, dataset, family, key string) (Value, error) {
	return fetch[Value](ctx, c, "GET", "/v1/data", object(dataset, family, key), nil)
}

// Change applies a change, and returns the value after it.
func (c *Client) Change(ctx context.Context, change Change) (Value, error) {
	return fetch[Value](ctx, c, "POST", "/v1/data", nil, change.encoded())
}

// Snapshot writes a dataset as one file to w.
func (c *Client) Snapshot(ctx context.Context, dataset string, w io.Writer) error {
	return c.copy(ctx, "/v1/snapshot", dataset, w)
}

// Export writes a dataset's values to w, a line of JSON each.
func (c *Client) Export(ctx context.Context, dataset string, w io.Writer) error {
	return c.copy(ctx, "/v1/export", dataset, w)
}

func (c *Client) copy(ctx context.Context, path, dataset string, w io.Writer) error {
	resp, err := c.do(ctx, "GET", path, url.Values{"dataset": {dataset}}, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("api: the answer broke off: %w", err)
	}
	return nil
}

// Import writes the values of an export.
func (c *Client) Import(ctx context.Context, dataset string, r io.Reader) (Imported, error) {
	return fetch[Imported](ctx, c, "POST", "/v1/import", url.Values{"dataset": {dataset}}, r)
}

// Members lists the authors of a dataset.
func (c *Client) Members(ctx context.Context, dataset string) ([]Member, error) {
	return fetch[[]Member](ctx, c, "GET", "/v1/members", url.Values{"dataset": {dataset}}, nil)
}

// Forget retires an author.
func (c *Client) Forget(ctx context.Context, dataset, name string) (Member, error) {
	return fetch[Member](ctx, c, "POST", "/v1/forget", url.Values{"dataset": {dataset}, "name": {name}}, nil)
}

// Resync makes a dataset's state that of a connected peer.
func (c *Client) Resync(ctx context.Context, dataset, peer string) error {
	_, err := fetch[struct{}](ctx, c, "POST", "/v1/resync", url.Values{"dataset": {dataset}, "peer": {peer}}, nil)
	return err
}

// Network asks what the node's network is.
func (c *Client) Network(ctx context.Context) (Network, error) {
	return fetch[Network](ctx, c, "GET", "/v1/network", nil, nil)
}

// Invites asks for the invites of a closed network.
func (c *Client) Invites(ctx context.Context) ([]Invite, error) {
	return fetch[[]Invite](ctx, c, "GET", "/v1/invites", nil, nil)
}

// Invite makes a token.
func (c *Client) Invite(ctx context.Context, i Invite) (Invite, error) {
	return fetch[Invite](ctx, c, "POST", "/v1/invites", nil, i)
}

// Withdraw ends an invite.
func (c *Client) Withdraw(ctx context.Context, id string) (Invite, error) {
	return fetch[Invite](ctx, c, "POST", "/v1/withdraw", url.Values{"id": {id}}, nil)
}

// Approve lets a device in that waits.
func (c *Client) Approve(ctx context.Context, name, role string) (Member, error) {
	return fetch[Member](ctx, c, "POST", "/v1/approve", url.Values{"name": {name}, "role": {role}}, nil)
}

// Revoke puts a device out.
func (c *Client) Revoke(ctx context.Context, name string) (Member, error) {
	return fetch[Member](ctx, c, "POST", "/v1/revoke", url.Values{"name": {name}}, nil)
}

// Watch calls changed with the value now and after each change until ctx ends.
func (c *Client) Watch(ctx context.Context, dataset, family, key string, changed func(Value) error) error {
	resp, err := c.do(ctx, "GET", "/v1/watch", object(dataset, family, key), nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	d := json.NewDecoder(resp.Body)
	for {
		var v Value
		if err := d.Decode(&v); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return errors.New("api: the node stopped")
			}
			return fmt.Errorf("api: %w", err)
		}
		if err := changed(v); err != nil {
			return err
		}
	}
}
