package module

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// files is a read-only file system in memory: path → file or folder.
type files map[string]*entry

// entry is a file or folder; it describes itself.
type entry struct {
	name string
	data []byte
	kids []fs.DirEntry // of a folder, by name
	mode fs.FileMode
}

// newFiles makes a file system of what lies below a folder. With the folder ""
// it is empty.
func newFiles(c contents, folder string) files {
	all := files{".": {name: ".", mode: fs.ModeDir | 0o555}}
	if folder == "" {
		return all
	}
	for _, p := range c.paths() {
		if name, ok := strings.CutPrefix(p, folder+"/"); ok {
			all.add(name, &entry{data: c[p], mode: 0o444})
		}
	}
	return all
}

// add puts an entry into its folder, by name, and makes the folder first.
func (all files) add(p string, e *entry) {
	e.name = path.Base(p)
	all[p] = e
	dir := path.Dir(p)
	if all[dir] == nil {
		all.add(dir, &entry{mode: fs.ModeDir | 0o555})
	}
	in := all[dir]
	at, _ := slices.BinarySearchFunc(in.kids, e.name, func(k fs.DirEntry, name string) int { return strings.Compare(k.Name(), name) })
	in.kids = slices.Insert(in.kids, at, fs.FileInfoToDirEntry(e))
}

func (all files) Open(name string) (fs.File, error) {
	e := all[name]
	if e == nil || !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if e.IsDir() {
		return &openFolder{e, e.kids}, nil
	}
	return &openFile{bytes.NewReader(e.data), e}, nil
}

func (e *entry) Name() string       { return e.name }
func (e *entry) Size() int64        { return int64(len(e.data)) }
func (e *entry) Mode() fs.FileMode  { return e.mode }
func (e *entry) ModTime() time.Time { return time.Time{} }
func (e *entry) IsDir() bool        { return e.mode.IsDir() }
func (e *entry) Sys() any           { return nil }

// openFile reads and seeks.
type openFile struct {
	*bytes.Reader
	e *entry
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.e, nil }
func (f *openFile) Close() error               { return nil }

// openFolder has the entries that were not yet read.
type openFolder struct {
	e    *entry
	rest []fs.DirEntry
}

func (f *openFolder) Stat() (fs.FileInfo, error) { return f.e, nil }
func (f *openFolder) Close() error               { return nil }
func (f *openFolder) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: f.e.name, Err: fs.ErrInvalid}
}

func (f *openFolder) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(f.rest) {
		if n > 0 && len(f.rest) == 0 {
			return nil, io.EOF
		}
		n = len(f.rest)
	}
	list := slices.Clone(f.rest[:n])
	f.rest = f.rest[n:]
	return list, nil
}
