package replica

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/numax-mesh/numax/crdt"
	"github.com/numax-mesh/numax/datastore"
)

// A snapshot is a state in a file: 12 bytes that say so, then frames as on the
// wire, without channels.
//
//	"numax state\n" ‖ frame(state, manifest) ‖ n × frame(rows, …) ‖ frame(seal, …)
const snapshotMagic = "numax state\n"

// ErrNotSnapshot marks a file that is no snapshot, or a damaged or cut one.
var ErrNotSnapshot = errors.New("replica: not a whole snapshot")

// SnapshotInfo is what a snapshot says of itself.
type SnapshotInfo struct {
	Network NetworkID
	Dataset string
	Author  crdt.Author // who made and signed it
	Time    time.Time   // by its clock
	Authors int
	Ops     uint64 // that the state contains
	Rows    uint64
}

func (m *manifest) info() SnapshotInfo {
	i := SnapshotInfo{
		Network: m.network, Dataset: m.name, Author: m.author, Time: time.UnixMilli(m.time.Millis()).UTC(),
		Authors: len(m.logs),
	}
	for _, l := range m.logs {
		i.Ops += l.have
	}
	return i
}

// WriteSnapshot writes the dataset as it is now, and the db_* keys of the node.
// What is written meanwhile is not in it.
func (d *Dataset) WriteSnapshot(ctx context.Context, w io.Writer) (info SnapshotInfo, err error) {
	if err := d.r.Sync(ctx); err != nil {
		return info, err
	}
	s, err := d.newState(true)
	if err != nil {
		return info, err
	}
	defer s.close()
	m, err := decodeManifest(s.manifest)
	if err != nil {
		return info, err
	}
	b := bufio.NewWriter(w)
	if _, err := b.WriteString(snapshotMagic); err != nil {
		return info, err
	}
	_, err = b.Write(frame(frameState, s.manifest))
	for err == nil && ctx.Err() == nil {
		var rows []byte
		if rows, err = s.chunk(); err != nil || rows == nil {
			break
		}
		_, err = b.Write(frame(frameRows, rows))
	}
	if err = errors.Join(err, ctx.Err()); err != nil {
		return info, err
	}
	if _, err := b.Write(frame(frameSeal, s.seal())); err != nil {
		return info, err
	}
	info = m.info()
	info.Rows = s.hash.rows
	return info, b.Flush()
}

// snapshotReader reads a snapshot and checks all of it that can be.
type snapshotReader struct {
	b       *bufio.Reader
	encoded []byte // the manifest
	state   *stateReader
}

func openSnapshot(r io.Reader) (*snapshotReader, error) {
	s := &snapshotReader{b: bufio.NewReader(r)}
	magic := make([]byte, len(snapshotMagic))
	if _, err := io.ReadFull(s.b, magic); err != nil || string(magic) != snapshotMagic {
		return nil, fmt.Errorf("%w: it does not begin like one", ErrNotSnapshot)
	}
	kind, p, err := readFrame(s.b)
	if err == nil && kind != frameState {
		err = ErrMalformed
	}
	if err == nil {
		s.encoded = p
		s.state, err = newStateReader(p)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotSnapshot, err)
	}
	return s, nil
}

// each hands what follows to the state reader, and checks the seal.
func (s *snapshotReader) each() error {
	seal, err := s.rows()
	if err == nil {
		err = s.state.end(seal)
	}
	if err != nil && !errors.Is(err, ErrNotSnapshot) {
		err = fmt.Errorf("%w: %w", ErrNotSnapshot, err)
	}
	return err
}

func (s *snapshotReader) rows() (seal []byte, err error) {
	for {
		kind, p, err := readFrame(s.b)
		switch {
		case err != nil:
			return nil, fmt.Errorf("%w: it ends too early: %w", ErrNotSnapshot, err)
		case kind == frameSeal:
			if _, err := s.b.ReadByte(); err != io.EOF {
				return nil, fmt.Errorf("%w: it goes on behind its seal", ErrNotSnapshot)
			}
			return p, nil
		case kind != frameRows:
			return nil, fmt.Errorf("%w: frame of kind %d", ErrNotSnapshot, kind)
		}
		if err := s.state.rows(p); err != nil {
			return nil, err
		}
	}
}

// ReadSnapshotInfo reads what a snapshot says of itself, from its beginning.
func ReadSnapshotInfo(r io.Reader) (SnapshotInfo, error) {
	s, err := openSnapshot(r)
	if err != nil {
		return SnapshotInfo{}, err
	}
	return s.state.manifest.info(), nil
}

// VerifySnapshot reads all of a snapshot and checks that every object of it can
// be read and that it is as its maker sealed it.
func VerifySnapshot(r io.Reader) (SnapshotInfo, error) {
	s, err := openSnapshot(r)
	if err != nil {
		return SnapshotInfo{}, err
	}
	s.state.object = func(o objectRows) error {
		if f := crdt.Family(o.key[0]); f.Known() {
			_, err := loadObject(f, o.rows)
			return err
		}
		return nil
	}
	err = s.each()
	info := s.state.manifest.info()
	info.Rows = s.state.hash.rows
	return info, err
}

// Restore joins a snapshot into its dataset, which is made if there is none, and
// sets the db_* keys that it has. What is here and not in the snapshot stays.
// The replica goes on as a new author: what it wrote since the snapshot may be
// on other nodes, or nowhere.
func (r *Replica) Restore(ctx context.Context, from io.Reader) (SnapshotInfo, error) {
	s, err := openSnapshot(from)
	if err != nil {
		return SnapshotInfo{}, err
	}
	info := s.state.manifest.info()
	if s.state.manifest.network != r.network {
		return info, fmt.Errorf("replica: restore: the snapshot of dataset %q is of another network: name that with --network", info.Dataset)
	}
	d, err := r.Dataset(s.state.manifest.name)
	if err != nil {
		return info, err
	}
	if d.id != s.state.manifest.dataset {
		return info, fmt.Errorf("%w: its name and id do not fit", ErrNotSnapshot)
	}
	r.queueRotation()
	if err := r.Sync(ctx); err != nil {
		return info, err
	}
	var keys []stateRow
	j, err := d.newJoin(s.encoded, false)
	switch {
	case errors.Is(err, errKnown): // only its keys are news
		s.state.object = func(objectRows) error { return nil }
	case err != nil:
		return info, err
	default:
		defer j.close()
		s.state = j.state
	}
	s.state.module = func(key, value []byte) error {
		keys = append(keys, stateRow{key, value})
		return nil
	}
	if j == nil {
		err = s.each()
	} else {
		var seal []byte
		if seal, err = s.rows(); err == nil {
			err = j.finish(ctx, seal, agreed)
		}
	}
	for i := 0; i < len(keys) && err == nil; i++ {
		err = r.restoreKey(ctx, keys[i])
	}
	if err != nil {
		return info, err
	}
	return info, r.Sync(ctx)
}

func (r *Replica) restoreKey(ctx context.Context, k stateRow) error {
	module, key, ok := datastore.SplitModuleKey(k.key)
	if !ok {
		return fmt.Errorf("%w: key row", ErrMalformed)
	}
	return r.Keys(module).Set(ctx, key, k.value)
}
