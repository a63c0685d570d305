package member

import (
	"strings"
	"testing"
)

// The encoding of records is for ever: signatures and ids hang on it.
func TestGoldenRecords(t *testing.T) {
	g := goldenToken().Genesis
	for _, c := range []struct {
		body Body
		id   string
	}{
		{&Grant{
			Subject: Key{1}, Role: Writer, Name: "camera", Sealing: [32]byte{2}, Expires: 3, Invite: ID{4}, After: []ID{{5}, {6}},
		}, "4852cf46d339ac16de63ad6ae7771588"},
		{&Revocation{Subject: Key{1}, Standing: []ID{{2}, {3}}, Logs: []Limit{{[16]byte{4}, [8]byte{5}, 6}}}, "40d2837be0fe786fa0e5003c3014b17b"},
		{&Invite{Key: Key{1}, Role: Reader, Uses: 2, Expires: 3}, "caf8f6939689009731129d95cadbb987"},
		{&Keys{
			Key: KeyID{1}, Epoch: 2, Seals: []Seal{{Recipient: Key{3}}}, Older: []OldKey{{Key: KeyID{4}, Epoch: 5}},
		}, "bcaec14b2528ce968932a3b3e70fe8c0"},
	} {
		r, err := sign(testKey(1), Record{Network: g.Network(), Under: ID{7}, Time: millis(noon), Body: c.body})
		if err != nil {
			t.Fatal(err)
		}
		if r.ID.String() != c.id {
			t.Errorf("%T: id %v, want %v", c.body, r.ID, c.id)
		}
	}
}

// What sign is given is held to the rules for what others send.
func TestRules(t *testing.T) {
	for name, body := range map[string]Body{
		"unsorted ids":   &Revocation{Standing: []ID{{2}, {1}}},
		"an id twice":    &Grant{Role: Reader, Name: "x", After: []ID{{2}, {2}}},
		"no role":        &Grant{Name: "x"},
		"role 5":         &Invite{Role: 5, Uses: 1},
		"no uses":        &Invite{Role: Reader},
		"endless uses":   &Invite{Role: Reader, Uses: MaxUses + 1},
		"no name":        &Grant{Role: Reader},
		"a terminal's":   &Grant{Role: Reader, Name: "a\x1b[2J"},
		"no UTF-8":       &Grant{Role: Reader, Name: "\xff"},
		"a long name":    &Grant{Role: Reader, Name: strings.Repeat("x", MaxName+1)},
		"a far time":     &Invite{Role: Reader, Uses: 1, Expires: maxTime + 1},
		"too many seals": &Keys{Seals: make([]Seal, MaxRecord/100)},
	} {
		if r, err := sign(testKey(1), Record{Body: body}); err == nil {
			t.Errorf("%s: a record of %d bytes, want an error", name, len(r.raw))
		}
	}
	for r := Relay; r <= Admin; r++ {
		if got, err := ParseRole(r.String()); err != nil || got != r {
			t.Errorf("ParseRole(%v) = %v, %v", r, got, err)
		}
	}
	for _, name := range []string{"", "role 0", "king"} {
		if r, err := ParseRole(name); err == nil {
			t.Errorf("ParseRole(%q) = %v", name, r)
		}
	}
}
