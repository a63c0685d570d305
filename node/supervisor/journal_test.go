package supervisor

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func readJournal(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(b)) {
		_, text, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		lines = append(lines, text)
	}
	return lines
}

// What is printed in pieces is logged in lines, without what would move a terminal's cursor.
func TestJournalLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, piece := range []string{"a", "b\nc\n\nd", "e\x1b[2J\n", strings.Repeat("x", maxLine+1), "\nrest"} {
		if n, err := j.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatal(n, err)
		}
	}
	j.Say("two\nlines")
	j.Guest("[guest] a\n[node] b")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		printed + "ab", printed + "c", printed, printed + "de�[2J", printed + strings.Repeat("x", maxLine), printed + "x",
		"two", "lines", "[guest] a", "[guest] [node] b", printed + "rest",
	}
	if got := readJournal(t, path); strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("%q", got)
	}
}

// However much a guest says, at once or in one call, the log takes so much of it and says what it left out.
func TestJournalIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	newlines := bytes.Repeat([]byte("\n"), 1<<20)
	for range 20 {
		if _, err := j.Write(newlines); err != nil {
			t.Fatal(err)
		}
		j.Say(string(newlines[:8<<10]))
	}
	seconds := int(time.Since(began).Seconds()) + 3 // begun, and the one after
	j.second = 0                                    // another second
	j.Say("after")
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	lines := readJournal(t, path)
	if len(lines) > seconds*(maxLogLines+1) {
		t.Errorf("%d lines in %d seconds", len(lines), seconds)
	}
	if !strings.Contains(lines[len(lines)-2], "left out") || lines[len(lines)-1] != "after" {
		t.Errorf("ends with %q", lines[len(lines)-2:])
	}
}

// Of what is said in a second no more bytes are written than a megabyte, and a line.
func TestJournalBytes(t *testing.T) {
	j, err := openJournal(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	long := strings.Repeat("\xff", 64<<10) // three bytes each in the log
	second := time.Unix(1, 0)
	for range 100 {
		j.line(second, long)
	}
	if most := maxLogBytes + 4*len(long); j.bytes > most || j.left < 90 {
		t.Errorf("%d bytes, at most %d; %d lines left out", j.bytes, most, j.left)
	}
}

// The log is kept in two files, of which the older goes.
func TestJournalTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 * maxLog / maxLine {
		j.second = 0
		j.Say(strings.Repeat("x", maxLine))
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{path, path + ".1"} {
		if info, err := os.Stat(p); err != nil || info.Size() > maxLog+2*maxLine {
			t.Errorf("%s: %v, %v", p, info, err)
		}
	}
}

// A guest writes no line that looks like one of the node's, also by what it fails with, and nothing that a terminal obeys.
func TestJournalForged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	j, err := openJournal(path)
	if err != nil {
		t.Fatal(err)
	}
	j.Node("failed: guest abort: x\n[node] gave up\r\n\x1b[2J\u009b\u202e")
	j.Guest("x\n[node] gave up")
	_, _ = j.Write([]byte("x\n[node] gave up\n"))
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		_, text, _ := strings.Cut(line, " ")
		if strings.HasPrefix(text, "[node] gave up") || strings.ContainsAny(text, "\x1b\r\u009b\u202e") {
			t.Errorf("forged: %q", text)
		}
	}
}
