//go:build !wasip1

package nx

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"os"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// The test double: the functions of host_wasip1.go on one offline node in memory. It keeps the codes and limits of
// the ABI. BLAKE3 is the one thing it has not: that would need a dependency, so it answers ErrDenied, as a host
// that does not grant it.

const (
	limitKey   = 8 << 10
	limitValue = 1 << 20
)

// Reset empties the test double.
func Reset() {
	node.mu.Lock()
	defer node.mu.Unlock()
	node.state = newState()
}

type state struct {
	kv       map[string][]byte
	grow     map[string]*big.Int
	pn       map[string]*big.Int
	register map[string][]byte
	maps     map[string]map[string][]byte
	sets     map[string]map[string][]byte
	lists    map[string][]item
	ids      int
}

type item struct {
	id    string
	value []byte
	dead  bool
}

func newState() state {
	return state{
		kv: map[string][]byte{}, grow: map[string]*big.Int{}, pn: map[string]*big.Int{}, register: map[string][]byte{},
		maps: map[string]map[string][]byte{}, sets: map[string]map[string][]byte{}, lists: map[string][]item{},
	}
}

var node = struct {
	mu sync.Mutex
	state
	started time.Time
}{state: newState(), started: time.Now()}

// keyed checks a key, then texts and a value, and does f under the lock.
func keyed(key string, texts []string, value []byte, f func() int32) int32 {
	switch {
	case len(key) > limitKey || !utf8.ValidString(key):
		return codeInvalid
	case strings.HasPrefix(key, "__nx/"):
		return codeReserved
	case len(value) > limitValue:
		return codeInvalid
	}
	for _, t := range texts {
		if len(t) > limitKey || !utf8.ValidString(t) {
			return codeInvalid
		}
	}
	node.mu.Lock()
	defer node.mu.Unlock()
	return f()
}

// private is keyed for db_*, whose keys are any bytes.
func private(key []byte, value []byte, f func() int32) int32 {
	switch {
	case len(key) > limitKey || len(value) > limitValue:
		return codeInvalid
	case bytes.HasPrefix(key, []byte("__nx/")):
		return codeReserved
	}
	node.mu.Lock()
	defer node.mu.Unlock()
	return f()
}

func answer(out, data []byte) int32 {
	if len(data) > len(out) {
		return codeTooSmall
	}
	return int32(copy(out, data))
}

func found(out, data []byte, ok bool) int32 {
	if !ok {
		return codeNotFound
	}
	return answer(out, data)
}

func truth(ok bool) int32 {
	if ok {
		return 1
	}
	return 0
}

// listing encodes u32 n and rows, each made of fields with their lengths before them.
func listing(out []byte, rows [][][]byte) int32 {
	data := binary.LittleEndian.AppendUint32(nil, uint32(len(rows)))
	for _, row := range rows {
		for _, field := range row {
			data = append(binary.LittleEndian.AppendUint32(data, uint32(len(field))), field...)
		}
	}
	return answer(out, data)
}

func sorted[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func hostLog(line string) int32 {
	if len(line) > limitKey {
		return codeInvalid
	}
	fmt.Println("[guest] " + strings.ToValidUTF8(line, "\uFFFD"))
	return 0
}

func hostAbort(msg string) { panic("guest abort: " + msg) }

func envGet(name string, out []byte) int32 {
	if !strings.HasPrefix(name, "NX_") && !strings.HasPrefix(name, "NUMAX_") {
		return codeNotFound
	}
	v, ok := os.LookupEnv(name)
	return found(out, []byte(v), ok)
}

func moduleID(out []byte) int32         { return answer(out, []byte("test")) }
func hostCapabilities(out []byte) int32 { return answer(out, []byte("commit")) }

func eventEmit(name string, payload []byte) int32 {
	ok := len(name) >= 1 && len(name) <= 128 && len(payload) <= 64<<10
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_.:-", r))
	}
	if !ok {
		return codeInvalid
	}
	return 0
}

func timeNow() int64       { return time.Now().UnixMilli() }
func timeMonotonic() int64 { return time.Since(node.started).Milliseconds() }

func randomBytes(out []byte) int32 {
	if len(out) > limitValue {
		return codeInvalid
	}
	_, _ = rand.Read(out) // never fails
	return int32(len(out))
}

func hashSHA256(data, out []byte) int32 {
	if len(data) > limitValue {
		return codeInvalid
	}
	sum := sha256.Sum256(data)
	return answer(out, sum[:])
}

func hashBLAKE3(_, _ []byte) int32 { return codeDenied }

func netNodeID(out []byte) int32 { return answer(out, []byte("test-node")) }
func netPeers(out []byte) int32  { return listing(out, nil) }

func dbGet(key, out []byte) int32 {
	return private(key, nil, func() int32 { v, ok := node.kv[string(key)]; return found(out, v, ok) })
}

func dbSet(key, value []byte) int32 {
	return private(key, value, func() int32 { node.kv[string(key)] = bytes.Clone(value); return 0 })
}

func dbDelete(key []byte) int32 {
	return private(key, nil, func() int32 { delete(node.kv, string(key)); return 0 })
}

func dbExists(key []byte) int32 {
	return private(key, nil, func() int32 { _, ok := node.kv[string(key)]; return truth(ok) })
}

func dbScanAfter(prefix, after []byte, limit uint32, out []byte) int32 {
	return scan(prefix, after, limit, func(keys []string) int32 {
		data := binary.LittleEndian.AppendUint32(nil, uint32(len(keys)))
		for _, k := range keys {
			data = binary.LittleEndian.AppendUint32(data, uint32(len(k)))
			data = binary.LittleEndian.AppendUint32(data, uint32(len(node.kv[k])))
			data = append(append(data, k...), node.kv[k]...)
		}
		return answer(out, data)
	})
}

func dbKeysAfter(prefix, after []byte, limit uint32, out []byte) int32 {
	return scan(prefix, after, limit, func(keys []string) int32 {
		var rows [][][]byte
		for _, k := range keys {
			rows = append(rows, [][]byte{[]byte(k)})
		}
		return listing(out, rows)
	})
}

func scan(prefix, after []byte, limit uint32, encode func(keys []string) int32) int32 {
	if limit == 0 || limit > maxRows {
		return codeInvalid
	}
	return private(prefix, nil, func() int32 {
		switch {
		case len(after) > limitKey:
			return codeInvalid
		case bytes.HasPrefix(after, []byte("__nx/")):
			return codeReserved
		case len(after) > 0 && !bytes.HasPrefix(after, prefix):
			return codeInvalid
		}
		var keys []string
		for _, k := range sorted(node.kv) {
			if strings.HasPrefix(k, string(prefix)) && (len(after) == 0 || k > string(after)) && len(keys) < int(limit) {
				keys = append(keys, k)
			}
		}
		return encode(keys)
	})
}

// move adds to a counter that is kept exactly and clamped when read.
func move(counters map[string]*big.Int, key string, sign int64, delta uint64) int32 {
	if counters[key] == nil {
		counters[key] = new(big.Int)
	}
	d := new(big.Int).SetUint64(delta)
	counters[key].Add(counters[key], d.Mul(d, big.NewInt(sign)))
	return 0
}

func gcounterInc(key string, delta uint64) int32 {
	return keyed(key, nil, nil, func() int32 { return move(node.grow, key, 1, delta) })
}

func pncounterInc(key string, delta uint64) int32 {
	return keyed(key, nil, nil, func() int32 { return move(node.pn, key, 1, delta) })
}

func pncounterDec(key string, delta uint64) int32 {
	return keyed(key, nil, nil, func() int32 { return move(node.pn, key, -1, delta) })
}

func gcounterValue(key string, out []byte) int32 {
	return keyed(key, nil, nil, func() int32 {
		v := uint64(0)
		if c := node.grow[key]; c != nil && c.IsUint64() {
			v = c.Uint64()
		} else if c != nil {
			v = math.MaxUint64
		}
		return answer(out, binary.LittleEndian.AppendUint64(nil, v))
	})
}

func pncounterValue(key string, out []byte) int32 {
	return keyed(key, nil, nil, func() int32 {
		v := int64(0)
		if c := node.pn[key]; c != nil && c.IsInt64() {
			v = c.Int64()
		} else if c != nil && c.Sign() > 0 {
			v = math.MaxInt64
		} else if c != nil {
			v = math.MinInt64
		}
		return answer(out, binary.LittleEndian.AppendUint64(nil, uint64(v)))
	})
}

func lwwSet(key string, value []byte) int32 {
	return keyed(key, nil, value, func() int32 { node.register[key] = bytes.Clone(value); return 0 })
}

func lwwGet(key string, out []byte) int32 {
	return keyed(key, nil, nil, func() int32 { v, ok := node.register[key]; return found(out, v, ok) })
}

func mapSet(key, field string, value []byte) int32 {
	return keyed(key, []string{field}, value, func() int32 { return put(node.maps, key, field, value) })
}

func put(m map[string]map[string][]byte, key, field string, value []byte) int32 {
	if m[key] == nil {
		m[key] = map[string][]byte{}
	}
	m[key][field] = bytes.Clone(value)
	return 0
}

func mapRemove(key, field string) int32 {
	return keyed(key, []string{field}, nil, func() int32 { delete(node.maps[key], field); return 0 })
}

func mapGet(key, field string, out []byte) int32 {
	return keyed(key, []string{field}, nil, func() int32 { v, ok := node.maps[key][field]; return found(out, v, ok) })
}

func mapContains(key, field string) int32 {
	return keyed(key, []string{field}, nil, func() int32 { _, ok := node.maps[key][field]; return truth(ok) })
}

func mapEntries(key string, out []byte) int32 {
	return keyed(key, nil, nil, func() int32 {
		var rows [][][]byte
		for _, f := range sorted(node.maps[key]) {
			rows = append(rows, [][]byte{[]byte(f), node.maps[key][f]})
		}
		return listing(out, rows)
	})
}

func setAdd(key, element string) int32 {
	return keyed(key, []string{element}, nil, func() int32 { return put(node.sets, key, element, nil) })
}

func setRemove(key, element string) int32 {
	return keyed(key, []string{element}, nil, func() int32 { delete(node.sets[key], element); return 0 })
}

func setContains(key, element string) int32 {
	return keyed(key, []string{element}, nil, func() int32 { _, ok := node.sets[key][element]; return truth(ok) })
}

func setElements(key string, out []byte) int32 {
	return keyed(key, nil, nil, func() int32 {
		var rows [][][]byte
		for _, e := range sorted(node.sets[key]) {
			rows = append(rows, [][]byte{[]byte(e)})
		}
		return listing(out, rows)
	})
}

func rgaInsert(key, parent string, value, out []byte) int32 {
	return keyed(key, []string{parent}, value, func() int32 {
		node.ids++
		id := fmt.Sprintf("%032d", node.ids)
		at := 1 + slices.IndexFunc(node.lists[key], func(it item) bool { return it.id == parent })
		node.lists[key] = slices.Insert(node.lists[key], at, item{id: id, value: bytes.Clone(value)})
		return answer(out, []byte(id))
	})
}

func rgaDelete(key, id string) int32 {
	return keyed(key, []string{id}, nil, func() int32 {
		for i, it := range node.lists[key] {
			if it.id == id {
				node.lists[key][i].dead = true
			}
		}
		return 0
	})
}

func rgaValues(key string, out []byte) int32 {
	return keyed(key, nil, nil, func() int32 {
		var rows [][][]byte
		for _, it := range node.lists[key] {
			if !it.dead {
				rows = append(rows, [][]byte{it.value})
			}
		}
		return listing(out, rows)
	})
}

func commit() int32 { return 0 }
