package bus

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/numax-mesh/numax/datastore"
)

// killDir makes the test binary a sender over that directory, to be killed.
const killDir = "BUS_TEST_KILL_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(killDir); dir != "" {
		fmt.Fprintln(os.Stderr, sendForEver(dir))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func openDir(dir string) (*datastore.Store, *Bus, error) {
	store, err := datastore.Open(dir, datastore.Options{})
	if err != nil {
		return nil, nil, err
	}
	b, err := Open(Options{Store: store, Key: testKey("a"), Network: [32]byte{1}, Name: nodeName, Find: findNode})
	return store, b, err
}

// sendForEver sends to a node that is not there, and says what is sent.
func sendForEver(dir string) error {
	_, b, err := openDir(dir)
	if err != nil {
		return err
	}
	to := nodeName(public("b"))
	for waiting := b.Stats().Waiting; ; waiting++ {
		if err := b.Send(context.Background(), "m", to, "s", fmt.Append(nil, waiting)); err != nil {
			return err
		}
		fmt.Println(waiting + 1)
	}
}

// What was sent is there when the process was killed in the middle of sending more, and no stamp is used twice.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	var stamp uint64
	for range 5 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env, cmd.Stderr = append(os.Environ(), killDir+"="+dir), os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		sent := 0
		began := time.Now()
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if _, err := fmt.Sscan(lines.Text(), &sent); err != nil {
				t.Fatal(err)
			}
			if time.Since(began) > 100*time.Millisecond {
				_ = cmd.Process.Kill() // what it says until then counts, too
			}
		}
		_ = cmd.Wait()
		store, b, err := openDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		// One may be on disk without having been told.
		if got := b.Stats().Waiting; sent == 0 || got < sent || got > sent+1 {
			t.Errorf("%d wait, want %d that were sent, or one more", got, sent)
		}
		list := b.outbox.to[public("b")].letters
		if last := list[len(list)-1].stamp; last <= stamp {
			t.Errorf("stamp %d after %d", last, stamp)
		} else {
			stamp = last
		}
		if got, err := b.stamps.next(time.Unix(0, 0)); err != nil || got <= stamp {
			t.Errorf("the next stamp is %d, %v, want above %d", got, err, stamp)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
