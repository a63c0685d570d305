package member

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/zeebo/blake3"
)

const (
	// handshakeTimeout is how long a peer may take until it is admitted.
	handshakeTimeout = 30 * time.Second
	// sendTimeout is how long it may take to take one frame.
	sendTimeout = 30 * time.Second
)

// Admission tells of a peer that was admitted.
type Admission struct {
	Member Member
	Skew   time.Duration // how far this machine's clock is ahead of the peer's; only the opener knows
}

// open is the handshake of the side that opened the stream.
func (s *Session) open() (skew time.Duration, err error) {
	network, chain := s.Book.Roster().network, s.Book.Roster().chain(s.Book.self)
	var nonces [2 * nonceSize]byte
	_, _ = rand.Read(nonces[:nonceSize]) // never fails
	if err := s.send(frameHello, []byte{streamVersion}, network[:], nonces[:nonceSize]); err != nil {
		return 0, err
	}
	m, err := s.receive(frameWelcome, maxHello)
	if refused := new(RefusedError); errors.As(err, &refused) && refused.Reason != OtherNetwork && refused.Reason != OtherVersion {
		err = errors.New("the peer refused before it showed that it knows the network")
	}
	if err != nil {
		return 0, err
	}
	copy(nonces[nonceSize:], m.nonce[:])
	if want := s.proof(false, nonces); subtle.ConstantTimeCompare(m.proof[:], want[:]) != 1 {
		return 0, fmt.Errorf("the peer does not know the network that it says it is of")
	}
	proof := s.proof(true, nonces)
	if s.Request != nil && s.Book.Check(s.Book.self) != nil {
		err = s.send(frameJoin, proof[:], s.Request.append(nil))
	} else {
		err = s.send(frameShow, proof[:], appendRecords(nil, chain))
	}
	if err != nil {
		return 0, err
	}
	m, err = s.receive(frameAdmit, 2*maxIntro)
	if err != nil {
		return 0, err
	}
	skew = s.ahead(m.time)
	if err := s.takeShown(m.records, 2*maxChain); err != nil {
		return 0, s.refuse(BadRecord, err)
	}
	if err := s.Book.Check(s.Peer); err != nil {
		return 0, s.refuse(reasonOf(err), fmt.Errorf("the peer is not admitted%s: %w", SkewWarning(skew), err))
	}
	return skew, nil
}

// answer is the handshake of the other side.
func (s *Session) answer() error {
	m, err := s.receive(frameHello, maxHello)
	if err != nil {
		return err
	}
	network := s.Book.Roster().network
	switch {
	case m.version != streamVersion:
		return s.refuse(OtherVersion, fmt.Errorf("the peer speaks version %d of the member protocol, this device %d", m.version, streamVersion))
	case m.network != network:
		return s.refuse(OtherNetwork, fmt.Errorf("the peer is %w (%v)", ErrForeign, m.network))
	}
	nonces := [2 * nonceSize]byte(append(m.nonce[:], make([]byte, nonceSize)...))
	_, _ = rand.Read(nonces[nonceSize:])
	proof := s.proof(false, nonces)
	if err := s.send(frameWelcome, nonces[nonceSize:], proof[:]); err != nil {
		return err
	}
	kind, payload, err := readFrame(s.in, maxIntro)
	if err != nil {
		return err
	}
	if want := s.proof(true, nonces); (kind == frameShow || kind == frameJoin) &&
		subtle.ConstantTimeCompare(payload[:min(len(payload), proofSize)], want[:]) != 1 {
		return s.refuse(NotAdmitted, fmt.Errorf("a stranger: %w", ErrNotMember))
	}
	m, err = s.decode(0, kind, payload)
	switch {
	case errors.Is(err, ErrMalformed):
		return s.refuse(BadRecord, err)
	case err != nil:
		return err
	}
	if err := s.judge(m); err != nil {
		return err
	}
	return s.send(frameAdmit, binary.BigEndian.AppendUint64(nil, millis(s.Book.now())), appendRecords(nil, s.Book.Roster().chain(s.Book.self, s.Peer)))
}

// judge decides whether the opener gets in.
func (s *Session) judge(m message) error {
	switch m.kind {
	case frameShow:
		if err := s.takeShown(m.records, maxChain); err != nil {
			return s.refuse(BadRecord, err)
		}
	case frameJoin:
		reason, err := s.Book.Redeem(m.request, s.Peer)
		if err == nil && reason != 0 {
			err = fmt.Errorf("join request of %v (%s): told that %s", s.Peer, m.request.Name, reasonTexts[reason])
		}
		if err != nil {
			return s.refuse(reason, err)
		}
	}
	if err := s.Book.Check(s.Peer); err != nil {
		return s.refuse(reasonOf(err), err)
	}
	return nil
}

// takeShown takes in what a peer shows of itself. Of one that makes this device work more
// than its budget has, nothing is taken here: what it was known to be decides, and the
// exchange of records goes on where the peer waits.
func (s *Session) takeShown(records []*Record, most int) error {
	if len(records) > most {
		return fmt.Errorf("%w: a chain of %d records", ErrMalformed, len(records))
	}
	if s.Book.charge(s.Peer, 0) > 0 {
		return nil
	}
	_, work, err := s.Book.mergeOf(records)
	if work > 0 {
		s.Book.charge(s.Peer, max(work, workFloor))
	}
	if errors.Is(err, ErrFull) {
		return nil // not the peer's fault
	}
	return err
}

func reasonOf(err error) Reason {
	switch {
	case errors.Is(err, ErrRevoked):
		return Revoked
	case errors.Is(err, ErrExpired):
		return Expired
	}
	return NotAdmitted
}

// proof shows that one side of this stream knows the genesis.
func (s *Session) proof(opener bool, nonces [2 * nonceSize]byte) (p [proofSize]byte) {
	side, keys := byte(0), append(s.Book.self[:], s.Peer[:]...)
	if s.Opener != opener {
		keys = append(s.Peer[:], s.Book.self[:]...)
	}
	if opener {
		side = 1
	}
	key := s.Book.Roster().genesis.proofKey()
	h, err := blake3.NewKeyed(key[:])
	if err != nil {
		panic(err) // the key has its size
	}
	_, _ = h.Write([]byte{side})
	_, _ = h.Write(nonces[:])
	_, _ = h.Write(keys) // the prover's, then the other's
	h.Sum(p[:0])
	return p
}

func (s *Session) ahead(theirs uint64) time.Duration { return s.Book.now().Sub(fromMillis(theirs)) }

// send writes a frame; a peer that does not take it ends the stream.
func (s *Session) send(kind byte, parts ...[]byte) error {
	defer time.AfterFunc(sendTimeout, func() { _ = s.Stream.Close() }).Stop()
	_, err := s.Stream.Write(frame(kind, parts...))
	return err
}

// receive reads a frame of a kind. A refusal is an error.
func (s *Session) receive(kind byte, limit uint64) (message, error) {
	k, payload, err := readFrame(s.in, limit)
	if err != nil {
		return message{}, err
	}
	return s.decode(kind, k, payload)
}

// decode takes a frame apart that is to be of a kind; 0 is show or join.
func (s *Session) decode(kind, k byte, payload []byte) (message, error) {
	m, err := decodeMessage(k, payload)
	switch {
	case err != nil:
		return m, err
	case k == frameRefuse:
		return m, s.refused(m)
	case k != kind && (kind != 0 || k != frameShow && k != frameJoin):
		return m, fmt.Errorf("%w: frame of kind %d", ErrMalformed, k)
	}
	return m, nil
}

// refuse tells the peer a reason and returns why. Who was revoked is shown by
// whom.
func (s *Session) refuse(reason Reason, why error) error {
	var shown []*Record
	if reason == Revoked {
		shown = s.Book.Roster().verdict(s.Peer)
	}
	_ = s.send(frameRefuse, []byte{byte(reason)}, binary.BigEndian.AppendUint64(nil, millis(s.Book.now())), appendRecords(nil, shown))
	return why
}

// refused is for a peer's refusal: a device that was revoked may learn it here
// first.
func (s *Session) refused(m message) error {
	_ = s.takeShown(m.records, maxChain) // what is wrong with them changes nothing
	return &RefusedError{Reason: m.reason, Skew: s.ahead(m.time)}
}
