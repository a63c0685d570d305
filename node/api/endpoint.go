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
	"runtime"
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
	if l.Socket, err = listenPrivate(dir, path); err != nil {
		return err
	}
	l.Endpoint.Socket = path
	return nil
}

// privateDir is where a socket is made, in the data directory. With its name a
// path is shorter than that of the socket is at last, so it fits too.
const privateDir = ".s"

// listenPrivate opens a socket that is the user's alone from its first moment.
// The umask decides who may connect to a new one, and is that of all threads;
// so it is made where nobody else can enter, and moved when it is private.
func listenPrivate(dir, path string) (net.Listener, error) {
	if runtime.GOOS == "windows" { // a socket there has the rights of its directory
		return net.Listen("unix", path)
	}
	inside := filepath.Join(dir, privateDir)
	if err := os.RemoveAll(inside); err != nil {
		return nil, err
	}
	if err := os.Mkdir(inside, 0o700); err != nil {
		return nil, err
	}
	defer os.RemoveAll(inside)
	made := filepath.Join(inside, "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: made, Net: "unix"})
	if err != nil {
		return nil, err
	}
	l.SetUnlinkOnClose(false) // it would look for the first name
	if err = os.Chmod(made, 0o600); err == nil {
		err = os.Rename(made, path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Close closes the listeners and removes the files.
func (l *Listeners) Close() error {
	var errs []error
	if l.Socket != nil {
		errs = append(errs, l.Socket.Close())
		_ = os.Remove(l.Endpoint.Socket)
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
