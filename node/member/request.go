package member

import (
	"crypto/ed25519"
	"fmt"
	"time"
)

// Request asks to become a member.
//
//	request := network 32 ‖ subject 32 ‖ sealing key 32 ‖ nameLen 1 ‖ name ‖ invited 1 [‖ invite 32 ‖ signature 64]
//
// The signature is the invite's over a domain and all before it. The subject proves itself by
// being the authenticated other end of the stream.
type Request struct {
	Network NetworkID
	Subject Key
	Sealing [32]byte
	Name    string
	Invite  *Key // nil: an admin has to approve

	signed    []byte
	signature []byte
}

// NewRequest asks for a device to be let in by a token.
func NewRequest(key ed25519.PrivateKey, name string, t *Token) (*Request, error) {
	if err := CheckName(name); err != nil {
		return nil, fmt.Errorf("member: ask to join: device: %w", err)
	}
	seal, err := SealingKey(key)
	if err != nil {
		return nil, err
	}
	q := &Request{Network: t.Genesis.Network(), Subject: publicKey(key), Sealing: seal, Name: name}
	if t.Secret == nil {
		q.signed = append(q.body(), 0)
		return q, nil
	}
	invite := t.Secret.key()
	pub := publicKey(invite)
	q.Invite = &pub
	q.signed = append(append(q.body(), 1), pub[:]...)
	q.signature = ed25519.Sign(invite, append([]byte(domainRequest), q.signed...))
	return q, nil
}

func (q *Request) body() []byte {
	b := append([]byte(nil), q.Network[:]...)
	b = append(b, q.Subject[:]...)
	b = append(b, q.Sealing[:]...)
	return appendName(b, q.Name)
}

func (q *Request) append(dst []byte) []byte { return append(append(dst, q.signed...), q.signature...) }

func parseRequest(b []byte) (*Request, error) {
	r := &reader{b: b}
	q := new(Request)
	r.fixed(q.Network[:])
	r.fixed(q.Subject[:])
	r.fixed(q.Sealing[:])
	q.Name = r.name()
	switch r.byte() {
	case 0:
		q.signed = b[:len(b)-len(r.b)]
	case 1:
		q.Invite = new(Key)
		r.fixed(q.Invite[:])
		q.signed = b[:len(b)-len(r.b)]
		q.signature = r.bytes(signatureSize)
	default:
		r.fail("neither invited nor not")
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("join request: %w", err)
	}
	return q, nil
}

// authentic reports whether the holder of the invite signed.
func (q *Request) authentic() bool {
	return q.Invite != nil && ed25519.Verify(q.Invite[:], append([]byte(domainRequest), q.signed...), q.signature)
}

// Reason says why a device was not admitted.
type Reason byte

// Reasons. Their numbers go over the wire.
const (
	NotAdmitted   Reason = 1 + iota // not a member; nothing else is said to strangers
	OtherNetwork                    //
	OtherVersion                    //
	Revoked                         //
	Expired                         //
	BadRecord                       // forged, foreign or malformed
	NotAdmin                        // asked of one who cannot decide
	UnknownInvite                   //
	UsedUp                          //
	InviteExpired                   //
	BadSignature                    //
	Pending                         // an admin has to approve
	Full                            // the network has no room
	reasons
)

var reasonTexts = [reasons]string{
	NotAdmitted:   "it does not know this device as a member of the network: join with a token, or ask an admin",
	OtherNetwork:  "it is of another network",
	OtherVersion:  "it speaks another version of the member protocol: upgrade the older of the two",
	Revoked:       "this device was revoked: only an admin can let it in again",
	Expired:       "this device's membership has expired: an admin can renew it",
	BadRecord:     "a certificate shown to it is forged, damaged or of another network: remove the membership file and join again",
	NotAdmin:      "it is no admin and cannot let anyone in: try an admin's device",
	UnknownInvite: "it does not know this invite, or the invite was withdrawn: if it is new, try the device that made it",
	UsedUp:        "this invite has been used as often as it may be: ask for a new one",
	InviteExpired: "this invite has expired: ask for a new one",
	BadSignature:  "the request is not signed by the invite, or names another device",
	Pending:       "an admin has to approve this device first (members approve)",
	Full:          "the network has no room for more records",
}

// maxSkew is how far two clocks may be apart before it is mentioned.
const maxSkew = 5 * time.Minute

// RefusedError is the answer of a peer that did not admit this device.
type RefusedError struct {
	Reason Reason
	Skew   time.Duration // how far this machine's clock is ahead of the peer's
}

func (e *RefusedError) Error() string {
	text := fmt.Sprintf("reason %d, unknown to this version: upgrade it", e.Reason)
	if e.Reason > 0 && e.Reason < reasons {
		text = reasonTexts[e.Reason]
	}
	return "member: refused by the peer: " + text + SkewWarning(e.Skew)
}

// SkewWarning says that the clocks of two devices are too far apart; "" if they
// are not.
func SkewWarning(ahead time.Duration) string {
	switch {
	case ahead > maxSkew:
		return fmt.Sprintf(" (this machine's clock is %v ahead of the peer's: check both)", ahead.Round(time.Second))
	case ahead < -maxSkew:
		return fmt.Sprintf(" (this machine's clock is %v behind the peer's: check both)", (-ahead).Round(time.Second))
	}
	return ""
}
