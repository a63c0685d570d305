package supervisor

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Limits of a module's log.
const (
	maxLog      = 1 << 20 // bytes of a file; there are two, so the last megabyte is kept
	maxLogLines = 1000    // a second; more are counted and left out
	maxLogBytes = 1 << 20 // a second; what goes beyond it, but for one line, is left out too
	maxLine     = 16 << 10
)

// journal is the log of a module: its own lines, what it prints, and what we say of it. It never fails a guest: what
// cannot be written is lost. It is safe for concurrent use.
type journal struct {
	mu     sync.Mutex // guards the rest
	file   *os.File
	size   int64
	second int64 // in which so many lines were
	lines  int
	bytes  int
	left   int    // lines left out in that second
	part   []byte // of a line that was printed
}

// printed begins the lines that a guest has printed.
const printed = "[out] "

func openJournal(path string) (*journal, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("supervisor: open log: %w", err)
	}
	j := new(journal)
	if err := j.open(path); err != nil {
		return nil, fmt.Errorf("supervisor: open log: %w", err)
	}
	return j, nil
}

func (j *journal) open(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	j.file, j.size = f, info.Size()
	return nil
}

// Guest writes what a guest logged; each line says that it is the guest's.
func (j *journal) Guest(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.say("[guest] ", strings.TrimPrefix(text, "[guest] "))
}

// Node writes what we say of the module. What it quotes of a guest may have lines, which are not to look like ours.
func (j *journal) Node(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	first, rest, more := strings.Cut(text, "\n")
	j.say("[node] ", first)
	if more {
		j.say("[node] | ", rest)
	}
}

// Say writes a line. Control characters are shown as such, so that a guest cannot write to a terminal.
func (j *journal) Say(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.say("", line)
}

func (j *journal) say(who, text string) {
	now := time.Now()
	for line := range strings.Lines(text) {
		j.line(now, who+strings.TrimRight(line, "\r\n"))
	}
}

// line writes a line, unless there were too many in this second.
func (j *journal) line(now time.Time, line string) {
	if s := now.Unix(); s != j.second {
		if left := j.left; left > 0 {
			j.left = 0
			j.write(now, fmt.Sprintf("[node] left out %d lines: at most %d, and %d MiB, a second are kept", left, maxLogLines, maxLogBytes>>20))
		}
		j.second, j.lines, j.bytes = s, 0, 0
	}
	if j.lines++; j.lines > maxLogLines || j.bytes > maxLogBytes {
		j.left++
		return
	}
	j.write(now, line)
}

func (j *journal) write(now time.Time, line string) {
	line = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return '�'
		}
		return r
	}, line)
	n, _ := fmt.Fprintf(j.file, "%s %s\n", now.UTC().Format("2006-01-02T15:04:05.000Z"), line)
	j.bytes += n
	if j.size += int64(n); j.size > maxLog {
		path := j.file.Name()
		_ = j.file.Close()
		_ = os.Rename(path, path+".1")
		if j.open(path) != nil {
			j.size = 0 // writes go nowhere until the node starts again
		}
	}
}

// Write takes what a guest prints, and writes it line by line.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	now := time.Now()
	for rest := p; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		whole := end >= 0
		if !whole {
			end = len(rest)
		}
		end = min(end, maxLine-len(j.part))
		j.part = append(j.part, rest[:end]...)
		rest = rest[end:]
		if whole && len(rest) > 0 && rest[0] == '\n' {
			rest = rest[1:]
		} else if len(j.part) < maxLine {
			break // the line goes on
		}
		j.line(now, printed+string(j.part))
		j.part = j.part[:0]
	}
	return len(p), nil
}

// Close closes the file.
func (j *journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.part) > 0 {
		j.line(time.Now(), printed+string(j.part))
	}
	return j.file.Close()
}
