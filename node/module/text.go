package module

import (
	"bytes"
	"encoding/base32"
	"errors"
	"strings"

	"github.com/zeebo/blake3"
)

// Keys and signatures are typed, mailed and read out, so their text says what it
// is, has no letters that look alike, and ends in a checksum:
//
//	text := prefix ‖ base32(body ‖ BLAKE3(prefix ‖ body)[:4])    Crockford's alphabet
const (
	publicPrefix    = "nxpub1"
	privatePrefix   = "nxsec1"
	signaturePrefix = "nxsig1"

	sumSize = 4
)

var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

func encodeText(prefix string, body []byte) string {
	return prefix + crockford.EncodeToString(append(bytes.Clone(body), textSum(prefix, body)...))
}

func textSum(prefix string, body []byte) []byte {
	sum := blake3.Sum256(append([]byte(prefix), body...))
	return sum[:sumSize]
}

// decodeText fills body.
func decodeText(prefix, text string, body []byte) error {
	rest, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return errors.New("want a text that begins with " + prefix)
	}
	if len(rest) == crockford.EncodedLen(len(body)+sumSize) {
		b, err := crockford.DecodeString(rest)
		// One text for one body: the bits that base32 has left over are zero.
		if err == nil && copy(body, b) == len(body) && encodeText(prefix, body) == text {
			return nil
		}
	}
	return errors.New("the text is cut off or mistyped: copy it again, all of it")
}
