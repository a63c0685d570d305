package module

import "crypto/ed25519"

// PublicKey is who may answer for modules.
type PublicKey [ed25519.PublicKeySize]byte
