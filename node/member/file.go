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

// The file of a network begins with a base, and what came later is added to it:
//
//	file  := base ‖ n × chunk
//	base  := "numax members 2\n" ‖ len 4 ‖ genesis-and-records ‖ sum 32
//	         genesis-and-records := uvarint len ‖ genesis ‖ n × (uvarint len ‖ record)
//	chunk := len 4 ‖ BLAKE3(sum before ‖ len)[:4] ‖ n × (uvarint len ‖ record) ‖ sum 32
//
// A sum is BLAKE3 over the sum before it (none for the base) and all that follows that. So a record
// costs what it has in bytes, not a copy of the file; when the chunks have grown as large as the
// base, all is written anew as a base, beside the file, synced and then renamed. A crash may
// leave a last chunk that is not whole: no method had answered for it, and it is left out. Anything
// else that is not as it was written is damage. Signatures were checked before records were written;
// records that later ones made void are found void again by evaluation.
const (
	fileMagic = "numax members 2\n"
	fileSum   = 32
	chunkHead = 4 + 4
	// minChunks is how much is added before all is written anew, at least.
	minChunks = 256 << 10
	maxFile   = 2*(maxSetBytes+4*maxSet) + minChunks + 1<<20
)

// ErrDamaged marks a file that is not as it was written.
var ErrDamaged = errors.New("the membership file is damaged: restore it from a backup, or move it away and join again with a token")

func encodeFile(g *Genesis, records []*Record) []byte {
	genesis := g.append(nil)
	inner := append(binary.AppendUvarint(nil, uint64(len(genesis))), genesis...)
	inner = appendRecords(inner, records)
	b := binary.BigEndian.AppendUint32([]byte(fileMagic), uint32(len(inner)))
	b = append(b, inner...)
	sum := fileChecksum(b)
	return append(b, sum[:]...)
}

func fileChecksum(parts ...[]byte) (sum [fileSum]byte) {
	h := blake3.New()
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	h.Sum(sum[:0])
	return sum
}

// encodeChunk is what comes after a sum, and the next sum.
func encodeChunk(before [fileSum]byte, records []*Record) ([]byte, [fileSum]byte) {
	inner := appendRecords(nil, records)
	b := binary.BigEndian.AppendUint32(nil, uint32(len(inner)))
	check := fileChecksum(before[:], b)
	b = append(append(b, check[:4]...), inner...)
	sum := fileChecksum(before[:], b)
	return append(b, sum[:]...), sum
}

// decodeFile reads a file; good is how much of it is whole, and sum the last one there.
func decodeFile(b []byte) (g Genesis, records []*Record, good int, sum [fileSum]byte, err error) {
	damaged := func(why any) (Genesis, []*Record, int, [fileSum]byte, error) {
		return Genesis{}, nil, 0, sum, fmt.Errorf("%w (%v)", ErrDamaged, why)
	}
	if len(b) < len(fileMagic)+4+fileSum || string(b[:len(fileMagic)]) != fileMagic {
		return damaged("it does not begin like one")
	}
	n := uint64(binary.BigEndian.Uint32(b[len(fileMagic):]))
	at := len(fileMagic) + 4
	if n > uint64(len(b)-at-fileSum) {
		return damaged("cut off")
	}
	end := at + int(n)
	if sum = fileChecksum(b[:end]); !bytes.Equal(sum[:], b[end:end+fileSum]) {
		return damaged("checksum")
	}
	r := &reader{b: b[at:end]}
	genesis := &reader{b: r.bytes(r.count(1))}
	g = genesis.genesis()
	if err = genesis.end(); err == nil {
		records, err = decodeRecords(r)
	}
	if err != nil {
		return damaged(err)
	}
	for good = end + fileSum; good < len(b); {
		rest := b[good:]
		if len(rest) < chunkHead || allZero(rest) {
			break // a crash left it
		}
		check := fileChecksum(sum[:], rest[:4])
		if !bytes.Equal(check[:4], rest[4:chunkHead]) {
			return damaged("checksum")
		}
		n := uint64(binary.BigEndian.Uint32(rest)) + chunkHead
		if n+fileSum > uint64(len(rest)) {
			break
		}
		next := fileChecksum(sum[:], rest[:n])
		if !bytes.Equal(next[:], rest[n:n+fileSum]) {
			if n+fileSum == uint64(len(rest)) {
				break
			}
			return damaged("checksum")
		}
		more, err := decodeRecords(&reader{b: rest[chunkHead:n]})
		if err != nil {
			return damaged(err)
		}
		records = append(records, more...)
		good, sum = good+int(n)+fileSum, next
	}
	return g, records, good, sum, nil
}

func allZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// journal is the file as it is on disk. It is not for use by many at once.
type journal struct {
	name  string
	base  int // bytes of the base
	size  int // of all that is whole
	sum   [fileSum]byte
	again bool // what is behind size is not known: write all anew
}

func (j *journal) decode(data []byte) (g Genesis, records []*Record, err error) {
	g, records, j.size, j.sum, err = decodeFile(data)
	j.base, j.again = j.size, j.size < len(data)
	return g, records, err
}

// add keeps records that are news in a roster.
func (j *journal) add(r *Roster, news []*Record) error {
	chunk, sum := encodeChunk(j.sum, news)
	if j.base == 0 || j.again || j.size+len(chunk) > j.base+max(j.base, minChunks) {
		return j.rewrite(&r.genesis, r.records)
	}
	j.again = true // until it is synced
	f, err := os.OpenFile(j.name, os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(chunk, int64(j.size))
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	j.size, j.sum, j.again = j.size+len(chunk), sum, false
	return nil
}

// rewrite makes all of it a base.
func (j *journal) rewrite(g *Genesis, records []*Record) error {
	data := encodeFile(g, records)
	if err := writeFile(j.name, data); err != nil {
		return err
	}
	j.base, j.size, j.sum, j.again = len(data), len(data), [fileSum]byte(data[len(data)-fileSum:]), false
	return nil
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
