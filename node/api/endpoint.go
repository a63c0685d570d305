package api

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
)

// DefaultAddr is tried first for the TCP listener; if it is taken, any free
// port of loopback serves.
const DefaultAddr = "127.0.0.1:8420"

const (
	endpointFile = "api.json"
	socketFile   = "api.sock"
	// maxSocketPath is what fits every system's sockaddr_un.
	maxSocketPath = 100
)

// Endpoint says how to reach a running node. It is the file api.json in the
// data directory, mode 0600, present while the node runs.
type Endpoint struct {
	PID    int    `json:"pid"`
	Socket string `json:"socket,omitempty"`
	TCP    string `json:"tcp"`
	Token  string `json:"token"`
}

// Listeners are a node's open API listeners.
type Listeners struct {
	Endpoint
	dir    string
	Socket net.Listener // nil if dir's name is too long for one; the TCP listener serves then
	TCP    net.Listener
}

// Listen opens the socket in dir and a TCP listener: on addr, or, if addr is
// empty, on DefaultAddr or any free port.
func Listen(dir, addr string) (_ *Listeners, err error) {
	l := &Listeners{dir: dir}
	defer func() {
		if err != nil {
			_ = l.Close()
		}
	}()
	if err := l.openSocket(); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	l.TCP, err = net.Listen("tcp", or(addr, DefaultAddr))
	if err != nil && addr == "" {
		l.TCP, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return nil, fmt.Errorf("api: %w: choose another --api address, or --api off", err)
	}
	secret := make([]byte, 16)
	if _, err := rand.Read(secret); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	l.PID, l.Endpoint.TCP, l.Token = os.Getpid(), l.TCP.Addr().String(), hex.EncodeToString(secret)
	if err := l.post(); err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	return l, nil
}

// post writes the endpoint file, so that it is there whole or not at all: a
// client may look at any time.
func (l *Listeners) post() error {
	b, err := json.Marshal(l.Endpoint)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(l.dir, endpointFile+"-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(l.dir, endpointFile))
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// openSocket listens in dir, if a socket's name fits there.
func (l *Listeners) openSocket() error {
	dir, err := filepath.Abs(l.dir)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, socketFile)
	if len(path) > maxSocketPath {
		return nil
	}
	// The data directory is locked by us, so a socket that is there is a dead
	// node's.
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if l.Socket, err = net.Listen("unix", path); err != nil {
		return err
	}
	l.Endpoint.Socket = path
	// The umask decided until here, and the directory may be one that others
	// can enter.
	return os.Chmod(path, 0o600)
}

// Close closes the listeners and removes the files.
func (l *Listeners) Close() error {
	var errs []error
	if l.Socket != nil {
		errs = append(errs, l.Socket.Close())
	}
	if l.TCP != nil {
		errs = append(errs, l.TCP.Close())
	}
	_ = os.Remove(filepath.Join(l.dir, endpointFile))
	for i, err := range errs {
		if errors.Is(err, net.ErrClosed) {
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}
