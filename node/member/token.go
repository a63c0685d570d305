package member

import (
	"bytes"
	"compress/flate"
	"crypto/ed25519"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/zeebo/blake3"
)

// Token is what one is given to join a network: its genesis, a secret if it is
// an invite, and where members are found. Its text has no letters that look
// alike, ignores case, blanks and hyphens, and fits the compact mode of QR codes
// in upper case.
//
//	text  := "numax1" ‖ base32(body ‖ BLAKE3(body)[:4])    Crockford's alphabet
//	body  := genesis ‖ flags 1 ‖ [secret 16] ‖ DEFLATE of n × (uvarint len ‖ address), with a dictionary
type Token struct {
	Genesis Genesis
	Secret  *InviteSecret // nil: whoever has the token may only ask
	Addrs   []string      // at most MaxTokenAddrs of at most MaxTokenAddr bytes
}

// InviteSecret is what the private key of an invite is derived from.
type InviteSecret [16]byte

// Limits of a token.
const (
	MaxTokenAddrs = 8
	MaxTokenAddr  = 256
	maxTokenText  = 4096
)

const (
	tokenPrefix  = "numax"
	tokenVersion = '1'
	tokenInvite  = 1 // flag: a secret follows
	tokenSum     = 4
)

// What a text is that is no token.
var (
	ErrNotToken = errors.New("not a token: one begins with numax1")
	ErrMistyped = errors.New("the token is cut off or mistyped: copy it again, all of it")
	ErrNewToken = errors.New("the token is of a newer version: upgrade numax-node on this machine")
)

var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// tokenWords is what addresses are made of, the likeliest last. It is part of
// the format.
const tokenWords = "/dnsaddr/dns6/dns4/ip6/fd00:/p2p-circuit/wss/webtransport/ws/udp/4001/tcp/4001/quic-v1/ip4/172.16.0/ip4/10.0.0./ip4/192.168.1./udp//quic-v1/p2p/12D3KooW"

func (t *Token) String() string {
	body := t.Genesis.append(nil)
	if t.Secret == nil {
		body = append(body, 0)
	} else {
		body = append(append(body, tokenInvite), t.Secret[:]...)
	}
	var addrs []byte
	for _, a := range t.Addrs[:min(len(t.Addrs), MaxTokenAddrs)] {
		if len(a) <= MaxTokenAddr {
			addrs = append(binary.AppendUvarint(addrs, uint64(len(a))), a...)
		}
	}
	if len(addrs) > 0 {
		var b bytes.Buffer
		w, err := flate.NewWriterDict(&b, flate.BestCompression, []byte(tokenWords))
		if err == nil {
			_, err = w.Write(addrs)
		}
		if err == nil {
			err = w.Close()
		}
		if err != nil {
			panic(err) // a buffer takes all
		}
		body = append(body, b.Bytes()...)
	}
	sum := blake3.Sum256(body)
	return tokenPrefix + string(tokenVersion) + crockford.EncodeToString(append(body, sum[:tokenSum]...))
}

// ParseToken reads the text of a token. The error is ErrNotToken, ErrMistyped or
// ErrNewToken, or says what is wrong with what the token says.
func ParseToken(text string) (*Token, error) {
	b, err := tokenBody(text)
	if err == nil {
		var t *Token
		if t, err = decodeToken(b); err == nil {
			return t, nil
		}
	}
	return nil, fmt.Errorf("member: read token: %w", err)
}

func tokenBody(text string) ([]byte, error) {
	if len(text) > maxTokenText {
		return nil, ErrNotToken
	}
	text = strings.ToLower(strings.NewReplacer(" ", "", "-", "", "\n", "", "\r", "", "\t", "").Replace(text))
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	switch {
	case !ok || rest == "" || rest[0] < '1' || rest[0] > '9':
		return nil, ErrNotToken
	case rest[0] != tokenVersion:
		return nil, ErrNewToken
	}
	b, err := crockford.DecodeString(strings.NewReplacer("o", "0", "i", "1", "l", "1").Replace(rest[1:]))
	if err != nil || len(b) < tokenSum {
		return nil, ErrMistyped
	}
	body, sum := b[:len(b)-tokenSum], blake3.Sum256(b[:len(b)-tokenSum])
	if !bytes.Equal(sum[:tokenSum], b[len(body):]) {
		return nil, ErrMistyped
	}
	return body, nil
}

func decodeToken(b []byte) (*Token, error) {
	r := &reader{b: b}
	t := &Token{Genesis: r.genesis()}
	switch flags := r.byte(); flags {
	case 0:
	case tokenInvite:
		t.Secret = new(InviteSecret)
		r.fixed(t.Secret[:])
	default:
		r.fail("flags %#x", flags)
	}
	if r.err != nil || len(r.b) == 0 {
		return t, r.end()
	}
	const most = MaxTokenAddrs * (MaxTokenAddr + 2)
	in := bytes.NewReader(r.b)
	addrs, err := io.ReadAll(io.LimitReader(flate.NewReaderDict(in, []byte(tokenWords)), most+1))
	if err != nil || len(addrs) > most || in.Len() > 0 {
		return nil, fmt.Errorf("%w: addresses", ErrMalformed)
	}
	for r = (&reader{b: addrs}); len(r.b) > 0; {
		a := string(r.bytes(r.count(1)))
		if len(a) > MaxTokenAddr || len(t.Addrs) == MaxTokenAddrs {
			r.fail("more or longer addresses than a token has")
		}
		t.Addrs = append(t.Addrs, a)
	}
	return t, r.end()
}

// key is the private key of the invite.
func (s *InviteSecret) key() ed25519.PrivateKey {
	var seed [ed25519.SeedSize]byte
	blake3.DeriveKey(domainInvite, s[:], seed[:])
	return ed25519.NewKeyFromSeed(seed[:])
}
