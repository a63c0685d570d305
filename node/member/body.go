package member

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// Kinds of records. Of records of one rank, those of a lower kind travel first.
const (
	kindRevocation = 1
	kindInvite     = 2
	kindGrant      = 3
	kindKeys       = 4
)

// Role is what a member may do; a higher one may also do what a lower one may.
type Role byte

const (
	Relay  Role = 1 + iota // stores and forwards what it cannot read
	Reader                 // reads
	Writer                 // writes entries
	Admin                  // grants, revokes, invites, rotates keys
)

var roleNames = [...]string{Relay: "relay", Reader: "reader", Writer: "writer", Admin: "admin"}

func (r Role) valid() bool { return r >= Relay && r <= Admin }

func (r Role) String() string {
	if !r.valid() {
		return fmt.Sprintf("role %d", byte(r))
	}
	return roleNames[r]
}

// ParseRole is the role called name.
func ParseRole(name string) (Role, error) {
	if i := slices.Index(roleNames[:], name); i > 0 {
		return Role(i), nil
	}
	return 0, fmt.Errorf("member: no role is called %q: admin, writer, reader or relay", name)
}

// Grant makes a device a member.
//
//	subject 32 ‖ role 1 ‖ sealing key 32 ‖ expires 8 ‖ invite 16 ‖ nameLen 1 ‖ name ‖ n ‖ n × after 16
type Grant struct {
	Subject Key
	Role    Role
	Name    string   // of the device
	Sealing [32]byte // its X25519 public key
	Expires uint64   // ms since 1970; 0 = never
	Invite  ID       // zero = none
	// After are the revocations of the subject that the issuer knew of. They do
	// not touch this grant; all others of the subject beat it.
	After []ID
}

func (*Grant) kind() byte { return kindGrant }

func (g *Grant) append(dst []byte) []byte {
	dst = append(dst, g.Subject[:]...)
	dst = append(dst, byte(g.Role))
	dst = append(dst, g.Sealing[:]...)
	dst = binary.BigEndian.AppendUint64(dst, g.Expires)
	dst = append(dst, g.Invite[:]...)
	dst = appendName(dst, g.Name)
	return appendIDs(dst, g.After)
}

// Revocation ends every membership of its subject that was granted without
// knowledge of it; whatever was granted at the same time, it wins. Its subject
// may also be the key of an invite, which it closes.
//
// A device leaves by a revocation of itself. That has no time and says nothing of the
// device's logs, and of one that is no admin nothing at all: so there is one such record
// for each grant, however often its key signs. Were it to say how far its logs stand, it
// could say so of entries that do not exist yet, and whoever has the key could write on
// after it left. What stands of its logs is what others had of them: a writer vouches for
// what it had applied, and an admin may revoke the device too and list what it had.
//
//	subject 32 ‖ n ‖ n × id 16 ‖ n ‖ n × (dataset 16 ‖ replica 8 ‖ seq 8)
type Revocation struct {
	Subject  Key
	Standing []ID    // records of the subject, or grants by the invite, that stand
	Logs     []Limit // what the revoker had of the subject's logs
}

// Limit is how far a log of a revoked author stands.
type Limit struct {
	Dataset [16]byte
	Replica [8]byte
	Seq     uint64
}

const limitSize = 16 + 8 + 8

// What one revocation holds; a revoker with more to say writes several.
const (
	maxStanding = 1024
	maxLogs     = 1024
	// maxOwn is how many of its records an admin that leaves can list: there is one such
	// revocation. One that said more has to be revoked by another.
	maxOwn = 4000
)

func (*Revocation) kind() byte { return kindRevocation }

func (v *Revocation) append(dst []byte) []byte {
	dst = append(dst, v.Subject[:]...)
	dst = appendIDs(dst, v.Standing)
	dst = binary.AppendUvarint(dst, uint64(len(v.Logs)))
	for _, l := range v.Logs {
		dst = append(dst, l.Dataset[:]...)
		dst = append(dst, l.Replica[:]...)
		dst = binary.BigEndian.AppendUint64(dst, l.Seq)
	}
	return dst
}

// Invite lets the holder of its private key ask to become a member.
//
//	key 32 ‖ role 1 ‖ uses 4 ‖ expires 8
type Invite struct {
	Key     Key
	Role    Role
	Uses    uint32
	Expires uint64 // ms since 1970; 0 = never
}

// MaxUses is how many devices one invite lets in. Whoever has its token makes grants with it,
// under as many keys as it likes: so they do not fill the set.
const MaxUses = 1024

func (*Invite) kind() byte { return kindInvite }

func (i *Invite) append(dst []byte) []byte {
	dst = append(dst, i.Key[:]...)
	dst = append(dst, byte(i.Role))
	dst = binary.BigEndian.AppendUint32(dst, i.Uses)
	return binary.BigEndian.AppendUint64(dst, i.Expires)
}

// Keys hands out one symmetric key for entry bodies: sealed to members, and
// with older keys encrypted by it, so that a member needs one seal to read all
// that was ever written.
//
//	id 16 ‖ epoch 4 ‖ n ‖ n × (recipient 32 ‖ sealed 80) ‖ n ‖ n × (id 16 ‖ epoch 4 ‖ nonce 24 ‖ box 48)
type Keys struct {
	Key   KeyID
	Epoch uint32
	Seals []Seal
	Older []OldKey
}

// Seal is a key, sealed to a member.
type Seal struct {
	Recipient Key
	Sealed    [sealedSize]byte
}

// OldKey is a key, encrypted by a newer one.
type OldKey struct {
	Key   KeyID
	Epoch uint32
	Box   [boxSize]byte
}

const (
	sealedSize = 32 + 16 + 32 // ephemeral key, tag, key
	boxSize    = 24 + 16 + 32 // nonce, tag, key
)

// What one Keys record holds.
const (
	maxSeals = 256
	maxOlder = 256
)

func (*Keys) kind() byte { return kindKeys }

func (k *Keys) append(dst []byte) []byte {
	dst = append(dst, k.Key[:]...)
	dst = binary.BigEndian.AppendUint32(dst, k.Epoch)
	dst = binary.AppendUvarint(dst, uint64(len(k.Seals)))
	for i := range k.Seals {
		dst = append(dst, k.Seals[i].Recipient[:]...)
		dst = append(dst, k.Seals[i].Sealed[:]...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(k.Older)))
	for i := range k.Older {
		dst = append(dst, k.Older[i].Key[:]...)
		dst = binary.BigEndian.AppendUint32(dst, k.Older[i].Epoch)
		dst = append(dst, k.Older[i].Box[:]...)
	}
	return dst
}

func (r *reader) body(kind byte) Body {
	switch kind {
	case kindGrant:
		g := new(Grant)
		r.fixed(g.Subject[:])
		g.Role = r.role()
		r.fixed(g.Sealing[:])
		g.Expires = r.time()
		r.fixed(g.Invite[:])
		g.Name = r.name()
		g.After = r.ids()
		return g
	case kindRevocation:
		v := new(Revocation)
		r.fixed(v.Subject[:])
		v.Standing = r.ids()
		r.list(limitSize, func(r *reader) {
			var l Limit
			r.fixed(l.Dataset[:])
			r.fixed(l.Replica[:])
			l.Seq = r.uint64()
			v.Logs = append(v.Logs, l)
		})
		return v
	case kindInvite:
		i := new(Invite)
		r.fixed(i.Key[:])
		i.Role = r.role()
		if i.Uses = r.uint32(); i.Uses == 0 || i.Uses > MaxUses {
			r.fail("an invite with %d uses, want 1 to %d", i.Uses, MaxUses)
		}
		i.Expires = r.time()
		return i
	case kindKeys:
		k := new(Keys)
		r.fixed(k.Key[:])
		k.Epoch = r.uint32()
		r.list(32+sealedSize, func(r *reader) {
			var s Seal
			r.fixed(s.Recipient[:])
			r.fixed(s.Sealed[:])
			k.Seals = append(k.Seals, s)
		})
		r.list(16+4+boxSize, func(r *reader) {
			var o OldKey
			r.fixed(o.Key[:])
			o.Epoch = r.uint32()
			r.fixed(o.Box[:])
			k.Older = append(k.Older, o)
		})
		return k
	}
	r.fail("kind %d", kind)
	return nil
}

func (r *reader) role() Role {
	role := Role(r.byte())
	if !role.valid() {
		r.fail("%v", role)
	}
	return role
}

func (r *reader) ids() (ids []ID) {
	r.list(len(ID{}), func(r *reader) {
		var id ID
		r.fixed(id[:])
		ids = append(ids, id)
	})
	return ids
}

func appendIDs(dst []byte, ids []ID) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(ids)))
	for _, id := range ids {
		dst = append(dst, id[:]...)
	}
	return dst
}

func compareIDs(a, b ID) int   { return bytes.Compare(a[:], b[:]) }
func compareKeys(a, b Key) int { return bytes.Compare(a[:], b[:]) }
