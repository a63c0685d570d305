package member

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// seeds are a network with every kind of record, and a request.
func seeds(f *testing.F) (*Book, *Request) {
	w := newWorld(f)
	b := w.found()
	x := w.join(b, Writer)
	if err := b.Revoke(x.Self(), []Limit{{Seq: 1}, {Seq: 2}}, nil); err != nil {
		f.Fatal(err)
	}
	if err := b.Change(x.Self(), Reader, w.now.Add(time.Hour)); err != nil {
		f.Fatal(err)
	}
	w.tell(b, x)
	if err := x.Revoke(x.Self(), nil, nil); err != nil {
		f.Fatal(err)
	}
	w.tell(x, b)
	q, err := NewRequest(x.key, "x", goldenToken())
	if err != nil {
		f.Fatal(err)
	}
	return b, q
}

// What can be read has one spelling.
func FuzzRecord(f *testing.F) {
	b, _ := seeds(f)
	for _, r := range b.Roster().records {
		f.Add(r.raw)
		f.Add(r.raw[:len(r.raw)-1])
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := parseRecord(bytes.Clone(raw))
		if err != nil {
			return
		}
		body := r.Body.append(nil)
		if got := raw[recordHead : len(raw)-signatureSize]; !bytes.Equal(got, body) {
			t.Errorf("a body with two spellings:\n%x\n%x", got, body)
		}
		_ = r.verify()
		evaluate(Genesis{Name: "x", Founder: r.Issuer}, []*Record{r})
	})
}

func FuzzToken(f *testing.F) {
	f.Add(goldenToken().String())
	f.Add((&Token{Genesis: goldenToken().Genesis}).String())
	f.Add("numax1")
	f.Add("numax20000")
	f.Fuzz(func(t *testing.T, text string) {
		_, _ = ParseToken(text)
		// And past the checksum, which a fuzzer cannot make.
		token, err := decodeToken([]byte(text))
		if err != nil {
			return
		}
		if again, err := ParseToken(token.String()); err != nil || !sameToken(again, token) {
			t.Errorf("%+v reads again as %+v, %v", token, again, err)
		}
	})
}

func FuzzFrame(f *testing.F) {
	b, q := seeds(f)
	r := b.Roster()
	proof := make([]byte, proofSize)
	f.Add(frame(frameHello, []byte{streamVersion}, r.network[:], proof[:nonceSize]))
	f.Add(frame(frameWelcome, proof[:nonceSize], proof))
	f.Add(frame(frameShow, proof, appendRecords(nil, r.records)))
	f.Add(frame(frameJoin, proof, q.append(nil)))
	f.Add(frame(frameAdmit, make([]byte, 8), appendRecords(nil, r.chain(b.self))))
	f.Add(frame(frameRefuse, make([]byte, 9)))
	f.Add(frame(frameDigest, r.digest[:]))
	f.Add(frame(frameIDs, r.records[0].ID[:]))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x0f, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		kind, payload, err := readFrame(bufio.NewReader(bytes.NewReader(data)), maxFrame)
		if err != nil {
			return
		}
		m, err := decodeMessage(kind, payload)
		if err != nil {
			return
		}
		if m.request != nil {
			if again := m.request.append(nil); !bytes.Equal(again, payload[proofSize:]) {
				t.Errorf("a request with two spellings:\n%x\n%x", payload[proofSize:], again)
			}
			_ = m.request.authentic()
		}
	})
}

func FuzzFile(f *testing.F) {
	b, _ := seeds(f)
	r := b.Roster()
	whole := encodeFile(&r.genesis, r.records[:1])
	chunk, _ := encodeChunk([fileSum]byte(whole[len(whole)-fileSum:]), r.records[1:])
	f.Add(whole[len(fileMagic)+4:len(whole)-fileSum], chunk)
	f.Add([]byte{}, []byte{})
	f.Add(whole[len(fileMagic)+4:len(whole)-fileSum], chunk[:len(chunk)-1])
	f.Add(whole[len(fileMagic)+4:len(whole)-fileSum], make([]byte, 100))
	f.Fuzz(func(t *testing.T, inner, rest []byte) {
		_, _, _, _, _ = decodeFile(inner)
		// And past the checksums, which a fuzzer cannot make.
		data := append(binary.BigEndian.AppendUint32([]byte(fileMagic), uint32(len(inner))), inner...)
		sum := fileChecksum(data)
		data = append(data, sum[:]...)
		g, records, good, last, err := decodeFile(data)
		if err == nil && (!bytes.Equal(encodeFile(&g, records), data) || good != len(data) || last != sum) {
			t.Errorf("a base with two spellings: %x", data)
		}
		_, _, good, _, err = decodeFile(append(bytes.Clone(data), rest...))
		if err == nil && (good < len(data) || good > len(data)+len(rest)) {
			t.Errorf("of %d bytes %d are whole", len(data)+len(rest), good)
		}
		head := binary.BigEndian.AppendUint32(nil, uint32(len(rest)))
		check := fileChecksum(sum[:], head)
		head = append(append(head, check[:4]...), rest...)
		end := fileChecksum(sum[:], head)
		head = append(head, end[:]...)
		g, more, good, _, err := decodeFile(append(bytes.Clone(data), head...))
		if err == nil && len(more) > len(records) {
			if again, _ := encodeChunk(sum, more[len(records):]); !bytes.Equal(again, head) || good != len(data)+len(head) {
				t.Errorf("a chunk with two spellings: %x", head)
			}
		}
	})
}
