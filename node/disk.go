package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/numax-mesh/numax/node/api"
)

// What a disk should have, and how fast it should be: every commit waits for it.
const (
	warnSpace = 1 << 30
	badSpace  = 100 << 20
	warnFsync = 50 * time.Millisecond
	badFsync  = time.Second
	fsyncs    = 9 // of which the one in the middle counts
	fsyncSize = 4 << 10
)

func checkSpace(dir string) api.Finding {
	free, ok := freeSpace(dir)
	f := api.Finding{Check: "disk space", Level: api.OK, Finding: fmt.Sprintf("%d MiB free for %s", free>>20, dir)}
	switch {
	case !ok:
		f.Finding = "not known for " + dir
	case free < badSpace:
		f.Level = api.Bad
	case free < warnSpace:
		f.Level = api.Warn
	}
	if f.Level != api.OK {
		f.Advice = "make room, or move the data directory: a node whose disk is full takes no writes; --history-size bounds the logs"
	}
	return f
}

func checkFsync(dir string) api.Finding {
	f := api.Finding{Check: "disk fsync", Level: api.OK}
	took, err := timeFsync(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Finding = "not measured: " + dir + " is not there yet"
		return f
	case err != nil:
		f.Level, f.Finding = api.Bad, err.Error()
		f.Advice = "make the data directory writable for this user, or use another --data"
		return f
	}
	f.Finding = fmt.Sprintf("%.1f ms for %d bytes", float64(took.Microseconds())/1000, fsyncSize)
	if took > warnFsync {
		f.Level = api.Warn
		if took > badFsync {
			f.Level = api.Bad
		}
		f.Advice = "every commit takes that long: see what else uses the disk; an SD card that is worn out gets slow before it fails"
	}
	return f
}

// timeFsync is how long it takes until a small write is on disk.
func timeFsync(dir string) (time.Duration, error) {
	f, err := os.CreateTemp(dir, ".fsync-*")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	var took []time.Duration
	for range fsyncs {
		began := time.Now()
		if _, err := f.Write(make([]byte, fsyncSize)); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	return took[len(took)/2], nil
}
