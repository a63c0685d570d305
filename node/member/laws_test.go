package member

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A drawn history: a few devices, each with what it has heard of, say whatever
// they like, also what they have no right to.
type history struct {
	t       *rapid.T
	genesis Genesis
	heard   []*Roster // by device
	all     []*Record
}

const historyDevices = 5

func drawHistory(t *rapid.T) *history {
	h := &history{t: t, genesis: Genesis{Name: "laws", Founder: publicKey(testKey(0))}}
	for range historyDevices {
		h.heard = append(h.heard, evaluate(h.genesis, nil))
	}
	for range rapid.IntRange(1, 30).Draw(t, "steps") {
		who := h.device("who")
		if rapid.Bool().Draw(t, "hear") {
			h.hear(who, h.heard[h.device("of")].records)
			continue
		}
		h.say(who)
	}
	return h
}

func (h *history) device(label string) int {
	return rapid.IntRange(0, historyDevices-1).Draw(h.t, label)
}

func (h *history) hear(who int, records []*Record) {
	h.heard[who] = evaluate(h.genesis, slices.Concat(h.heard[who].records, records))
}

func (h *history) say(who int) {
	under := []ID{{}}
	for _, g := range h.heard[who].grants[publicKey(testKey(who))] {
		under = append(under, g.ID)
	}
	if len(under) > 1 && who > 0 {
		under = under[1:]
	}
	r, err := sign(testKey(who), Record{
		Network: h.genesis.Network(), Under: rapid.SampledFrom(under).Draw(h.t, "under"),
		Time: uint64(rapid.IntRange(1, 5).Draw(h.t, "time")), Body: h.body(who),
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.all = append(h.all, r)
	h.hear(who, []*Record{r})
}

func (h *history) body(who int) Body {
	subject := publicKey(testKey(h.device("subject")))
	role := rapid.SampledFrom([]Role{Relay, Writer, Admin, Admin}).Draw(h.t, "role")
	switch rapid.IntRange(0, 7).Draw(h.t, "kind") {
	case 0, 1, 2:
		return &Grant{Subject: subject, Role: role, Name: "x", After: h.some(who, func(r *Record) bool {
			v, ok := r.Body.(*Revocation)
			return ok && v.Subject == subject
		})}
	case 3, 4:
		v := &Revocation{Subject: subject, Standing: h.some(who, func(r *Record) bool { return r.Issuer == subject })}
		if who > 0 && rapid.Bool().Draw(h.t, "nothing stands") {
			v.Standing = nil // all that one which is no admin says
		}
		if subject != publicKey(testKey(who)) {
			v.Logs = []Limit{{Seq: rapid.Uint64Range(0, 9).Draw(h.t, "seq")}}
		}
		return v
	case 5:
		if invites := h.heard[who].Invites(); len(invites) > 0 {
			i := rapid.SampledFrom(invites).Draw(h.t, "invite")
			return &Grant{Subject: subject, Role: i.Role, Name: "x", Invite: i.ID}
		}
		fallthrough
	case 6:
		return &Invite{Key: Key{rapid.Byte().Draw(h.t, "key")}, Role: role, Uses: uint32(rapid.IntRange(1, 2).Draw(h.t, "uses"))}
	default:
		if invites := h.heard[who].Invites(); len(invites) > 0 {
			i := rapid.SampledFrom(invites).Draw(h.t, "closed")
			return &Revocation{Subject: i.Key}
		}
		return &Keys{Key: KeyID{rapid.Byte().Draw(h.t, "key id")}}
	}
}

// some draws from the records that a device has heard of.
func (h *history) some(who int, choose func(*Record) bool) (ids []ID) {
	for _, r := range h.heard[who].records {
		if choose(r) && rapid.IntRange(0, 3).Draw(h.t, "listed") > 0 {
			ids = append(ids, r.ID)
		}
	}
	slices.SortFunc(ids, compareIDs)
	return ids
}

// sum is all that a roster says.
func (r *Roster) sum() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%x %d keys\n", r.digest, len(r.keys))
	for _, m := range r.Members() {
		var a [40]byte
		copy(a[:], m.Key[:])
		fmt.Fprintf(&b, "%+v %d\n", m, r.Standing([16]byte{}, a))
	}
	for _, i := range r.Invites() {
		fmt.Fprintf(&b, "%+v\n", i)
	}
	return b.String()
}

// The roster is a function of the set, and what it drops made no difference.
func TestLawSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		want := evaluate(h.genesis, h.all)
		if got := evaluate(h.genesis, rapid.Permutation(h.all).Draw(t, "order")); got.sum() != want.sum() {
			t.Errorf("in another order\n%swant\n%s", got.sum(), want.sum())
		}
		if got := evaluate(h.genesis, slices.Concat(h.all, h.all)); got.sum() != want.sum() {
			t.Errorf("said twice\n%swant\n%s", got.sum(), want.sum())
		}
		if got := evaluate(h.genesis, want.records); got.sum() != want.sum() {
			t.Errorf("of what was kept\n%swant\n%s", got.sum(), want.sum())
		}
	})
}

// Devices that hear of each other until nothing is news are equal, whatever
// each of them dropped before.
func TestLawConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		for round := 0; ; round++ {
			if round > 20 {
				t.Fatal("devices do not come to rest")
			}
			news := false
			for i := range h.heard {
				before := h.heard[i].digest
				h.hear(i, h.heard[h.device("from")].records)
				for j := range h.heard {
					h.hear(i, h.heard[j].records)
				}
				news = news || h.heard[i].digest != before
			}
			if !news {
				break
			}
		}
		for _, r := range h.heard {
			if r.sum() != h.heard[0].sum() {
				t.Errorf("devices differ:\n%sand\n%s", r.sum(), h.heard[0].sum())
			}
		}
	})
}

// Records travel in an order in which each, when it comes, is known to come
// down from the founder; taking them in one by one ends where taking all does.
func TestLawOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		want := evaluate(h.genesis, h.all)
		got := evaluate(h.genesis, nil)
		for _, r := range want.records {
			if !got.takes(r) {
				t.Errorf("record %v of kind %d came before what it hangs on", r.ID, r.Body.kind())
			}
			got = evaluate(h.genesis, append(slices.Clone(got.records), r))
		}
		if got.sum() != want.sum() {
			t.Errorf("one by one\n%swant\n%s", got.sum(), want.sum())
		}
		for k := range want.members {
			chain := evaluate(h.genesis, want.chain(k))
			if want.Has(k, Relay) && !chain.Has(k, Relay) {
				t.Errorf("the chain of %v does not show that it is a member", k)
			}
		}
	})
}

// What takes rules out, evaluation would drop too: so nobody is made to evaluate what has
// no effect, and nothing that has is lost. And a record that it lets pass has one.
func TestLawTakes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		r := rapid.SampledFrom(h.heard).Draw(t, "roster")
		for _, rec := range h.all {
			if r.byID[rec.ID] != nil {
				continue
			}
			next := evaluate(h.genesis, append(slices.Clone(r.records), rec))
			if got, want := r.takes(rec), next.byID[rec.ID] != nil; got != want {
				t.Errorf("record %v of kind %d: takes says %t, evaluation keeps it: %t", rec.ID, rec.Body.kind(), got, want)
			}
		}
		var list []*Record
		for _, rec := range h.all {
			if rapid.Bool().Draw(t, "shown") {
				list = append(list, rec)
			}
		}
		if next := evaluate(h.genesis, slices.Concat(r.records, list)); !r.anyNews(list) && next.digest != r.digest {
			t.Error("a list that is said to be no news changes the set")
		}
	})
}
