package member

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/zeebo/blake3"
)

// A record is one signed statement of a device about its network.
//
//	record := version 1 ‖ kind 1 ‖ network 32 ‖ issuer 32 ‖ under 16 ‖ time 8 ‖ body ‖ signature 64
//
// Integers of fixed size are big-endian, uvarints minimal, lists strictly
// ascending: a record has one spelling. The signature is the issuer's, over a domain
// and all that precedes it. The id is BLAKE3(all but the signature)[:16]: it names what
// is said. A key can sign one statement in any number of ways, and each of them would
// else be news. Under is the grant that the issuer acts by, zeros for the founder: so a
// record of a device that was revoked and invited again is never taken for one from
// before.
const (
	recordVersion = 1
	recordHead    = 1 + 1 + 32 + 32 + 16 + 8
	signatureSize = ed25519.SignatureSize

	// MaxRecord is the largest record, in bytes.
	MaxRecord = 64 << 10
	// MaxRecords and MaxBytes bound the grants, invites and keys of a network. Only
	// admins make them. A full set takes no more of them until a revocation makes room.
	MaxRecords = 1 << 14
	MaxBytes   = 16 << 20
	// maxSet and maxSetBytes bound all the records of a network. Revocations have quotas
	// of their own (see quota), and of a device that left there is one small record for
	// each of its grants; so the set does not come to this bound unless many admins have
	// been let in that flood it.
	maxSet      = 3 * MaxRecords
	maxSetBytes = 3 * MaxBytes
)

var (
	// ErrForged marks a record whose signature is not its issuer's.
	ErrForged = errors.New("forged certificate: the signature is not by the key that it names")
	// ErrForeign marks a record, token or peer of another network.
	ErrForeign = errors.New("of another network")
	// ErrFull says that the set has no room.
	ErrFull = fmt.Errorf("the network has its %d records or %d MiB of them", MaxRecords, MaxBytes>>20)
)

// Record is a decoded record. It never changes; its slices must not be changed.
type Record struct {
	ID      ID
	Network NetworkID
	Issuer  Key
	Under   ID     // the issuer's grant; zero for the founder
	Time    uint64 // ms since 1970, by the issuer's clock
	Body    Body

	raw []byte
}

// Body is a *Grant, *Revocation, *Invite or *Keys.
type Body interface {
	kind() byte
	append(dst []byte) []byte
}

// sign makes a record of what r says.
func sign(key ed25519.PrivateKey, r Record) (*Record, error) {
	r.Issuer = publicKey(key)
	if v, ok := r.Body.(*Revocation); ok && v.Subject == r.Issuer {
		r.Time = 0 // see Revocation
	}
	b := append([]byte{recordVersion, r.Body.kind()}, r.Network[:]...)
	b = append(b, r.Issuer[:]...)
	b = append(b, r.Under[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Time)
	b = r.Body.append(b)
	b = append(b, ed25519.Sign(key, append([]byte(domainRecord), b...))...)
	// Reading it back holds our own records to the rules for others'.
	return parseRecord(b)
}

// parseRecord decodes a record; verify checks its signature. It keeps b.
func parseRecord(b []byte) (*Record, error) {
	if len(b) < recordHead+signatureSize || len(b) > MaxRecord {
		return nil, fmt.Errorf("%w: record of %d bytes", ErrMalformed, len(b))
	}
	r := &reader{b: b[:len(b)-signatureSize]}
	if v := r.byte(); v != recordVersion {
		return nil, fmt.Errorf("%w: record of version %d: this device may need an upgrade", ErrMalformed, v)
	}
	kind := r.byte()
	sum := blake3.Sum256(b[:len(b)-signatureSize])
	rec := &Record{ID: ID(sum[:16]), raw: b}
	r.fixed(rec.Network[:])
	r.fixed(rec.Issuer[:])
	r.fixed(rec.Under[:])
	rec.Time = r.time()
	rec.Body = r.body(kind)
	if v, ok := rec.Body.(*Revocation); ok && v.Subject == rec.Issuer && (rec.Time != 0 || len(v.Logs) > 0) {
		r.fail("a device that leaves says no time and nothing of its logs")
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	return rec, nil
}

// leaves reports whether a device ends its own membership by a record.
func (r *Record) leaves() bool {
	v, ok := r.Body.(*Revocation)
	return ok && v.Subject == r.Issuer
}

func (r *Record) verify() error {
	at := len(r.raw) - signatureSize
	if !ed25519.Verify(r.Issuer[:], append([]byte(domainRecord), r.raw[:at]...), r.raw[at:]) {
		return fmt.Errorf("%w (record %v, issuer %v)", ErrForged, r.ID, r.Issuer)
	}
	return nil
}
