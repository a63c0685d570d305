package module

import "crypto/ed25519"

// Signature is one key's word for the contents of a module.
type Signature struct {
	Key PublicKey
	Sig [ed25519.SignatureSize]byte
}
