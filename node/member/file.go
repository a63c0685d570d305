package member

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/zeebo/blake3"
)

// The file of a network:
//
//	"numax members 1\n" ‖ uvarint len ‖ genesis ‖ n × (uvarint len ‖ record) ‖ BLAKE3 of all before 32
//
// It is written beside its place, synced and then renamed, so that a crash leaves
// the old one or the new one. Signatures were checked before records were written.
const (
	fileMagic = "numax members 1\n"
	fileSum   = 32
	maxFile   = MaxBytes + MaxRecords*4 + 4096
)

// ErrDamaged marks a file that is not as it was written.
var ErrDamaged = errors.New("the membership file is damaged: restore it from a backup, or move it away and join again with a token")

func encodeFile(g *Genesis, records []*Record) []byte {
	b := []byte(fileMagic)
	genesis := g.append(nil)
	b = append(binary.AppendUvarint(b, uint64(len(genesis))), genesis...)
	b = appendRecords(b, records)
	sum := fileChecksum(b)
	return append(b, sum[:]...)
}

func fileChecksum(b []byte) [fileSum]byte { return blake3.Sum256(b) }

func decodeFile(b []byte) (g Genesis, records []*Record, err error) {
	at := len(b) - fileSum
	if at < len(fileMagic) || string(b[:len(fileMagic)]) != fileMagic {
		return g, nil, fmt.Errorf("%w (it does not begin like one)", ErrDamaged)
	}
	if sum := fileChecksum(b[:at]); !bytes.Equal(sum[:], b[at:]) {
		return g, nil, fmt.Errorf("%w (checksum)", ErrDamaged)
	}
	r := &reader{b: b[len(fileMagic):at]}
	genesis := &reader{b: r.bytes(r.count(1))}
	g = genesis.genesis()
	if err = genesis.end(); err == nil {
		records, err = decodeRecords(r)
	}
	if err != nil {
		return g, nil, fmt.Errorf("%w (%w)", ErrDamaged, err)
	}
	return g, records, nil
}

func appendRecords(dst []byte, records []*Record) []byte {
	for _, rec := range records {
		dst = append(binary.AppendUvarint(dst, uint64(len(rec.raw))), rec.raw...)
	}
	return dst
}

// decodeRecords reads records to the end.
func decodeRecords(r *reader) (records []*Record, err error) {
	for len(r.b) > 0 {
		b := r.bytes(r.count(1))
		if r.err != nil {
			break
		}
		rec, err := parseRecord(b)
		if err != nil {
			return nil, err
		}
		records = append(records, rec)
	}
	return records, r.end()
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(b) > maxFile {
		err = ErrDamaged
	}
	return b, err
}

// writeFile puts data in place of a file, for good when it returns.
func writeFile(name string, data []byte) error {
	// What a crash left under this name is overwritten.
	tmp := name + ".tmp"
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return err
	}
	if runtime.GOOS == "windows" { // directories are not synced there
		return nil
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
