//go:build unix

package api_test

import (
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/numax-mesh/numax/node/api"
)

// The socket is never anybody else's, from its first moment on, whatever the umask.
func TestSocketPrivate(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0))
	dir := tempDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "api.sock")
	stop := make(chan struct{})
	var looked sync.WaitGroup
	var open os.FileMode
	looks := 0
	looked.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if info, err := os.Lstat(path); err == nil {
				looks++
				open |= info.Mode().Perm() & 0o077
			}
		}
	})
	for range 300 {
		l, err := api.Listen(dir, "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	looked.Wait()
	if looks == 0 {
		t.Fatal("the socket was never seen")
	}
	if open != 0 {
		t.Errorf("others had the rights %03o on the socket", open)
	}
	if all, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(all) != 0 {
		t.Errorf("left behind: %v %v", all, err)
	}
}
