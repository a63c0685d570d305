package api

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Errors that become HTTP statuses and exit codes.
var (
	ErrUsage    = errors.New("usage")     // the request makes no sense: 400
	ErrNotFound = errors.New("not found") // no such dataset, member or entry: 404
)

// Node is what the API serves. Methods may be called concurrently.
type Node interface {
	Status() Status
	Peers() []Peer
	// Get reads an object. The errors are ErrUsage and ErrNotFound, or ours.
	Get(dataset, family, key string) (Value, error)
	// Change applies a change and returns when it is on disk.
	Change(ctx context.Context, c Change) (Value, error)
	// Watch calls changed with the object's value now and after each change,
	// until ctx ends or changed returns an error.
	Watch(ctx context.Context, dataset, family, key string, changed func(Value) error) error
	// Snapshot writes a dataset as one file, Export its values as lines of JSON.
	Snapshot(ctx context.Context, dataset string, w io.Writer) error
	Export(ctx context.Context, dataset string, w io.Writer) error
	// Import writes the values of an export.
	Import(ctx context.Context, dataset string, r io.Reader) (Imported, error)
	// Members are the authors of a dataset; Forget retires one.
	Members(dataset string) ([]Member, error)
	Forget(ctx context.Context, dataset, name string) (Member, error)
	// Network says what the network is. In an open one the rest is ErrUsage:
	// Invite makes a token (of i only the role, the uses and the expiry count),
	// Withdraw ends one, Approve lets a waiting device in, Revoke puts one out.
	Network() Network
	Invites() ([]Invite, error)
	Invite(i Invite) (Invite, error)
	Withdraw(id string) (Invite, error)
	Approve(name, role string) (Member, error)
	Revoke(ctx context.Context, name string) (Member, error)
	// Resync makes a dataset's state that of a connected peer.
	Resync(ctx context.Context, dataset, peer string) error
	Swarm
	Modules
}

// Snapshot is what a snapshot file says of itself.
type Snapshot struct {
	File    string    `json:"file,omitempty"`
	Bytes   int64     `json:"bytes,omitempty"`
	Dataset string    `json:"dataset"`
	Network string    `json:"network"` // the first bytes of its id
	Time    time.Time `json:"time"`
	By      string    `json:"by"` // who made and signed it
	Authors int       `json:"authors"`
	Ops     uint64    `json:"ops"`
	Rows    uint64    `json:"rows,omitempty"` // if it was read to the end
}

// Imported is what an import did.
type Imported struct {
	Changed int `json:"changed"` // objects
	Left    int `json:"left"`    // objects that had the value, or could not get it
}

// Member is an author of a dataset: a node, or one of the lives of a node. In a
// closed network it is also a device that has written nothing.
type Member struct {
	Name    string  `json:"name"` // peer id / replica id; peer id of who has written nothing
	Self    bool    `json:"self"`
	Ops     uint64  `json:"ops"`
	Retired bool    `json:"retired"`                 // nobody waits for it any more
	Forked  bool    `json:"forked"`                  // it signed two logs; nothing more is taken from it
	Ahead   float64 `json:"clock_ahead_s,omitempty"` // its clock, if it is more than a minute off

	// In a closed network.
	Device  string     `json:"device,omitempty"`
	Role    string     `json:"role,omitempty"` // admin, writer, reader, relay; "" of who was never let in
	Expires *time.Time `json:"expires,omitempty"`
	Revoked bool       `json:"revoked,omitempty"`
	Waiting bool       `json:"waiting,omitempty"` // to be approved
}

// Network is what a node's network is.
type Network struct {
	Name    string `json:"name"`
	ID      string `json:"id"`
	Closed  bool   `json:"closed"`
	Device  string `json:"device,omitempty"` // this one's name
	Role    string `json:"role,omitempty"`
	Members int    `json:"members,omitempty"`
	Token   string `json:"token,omitempty"` // with which a device can ask to be let in
}

// Invite lets devices in.
type Invite struct {
	ID      string     `json:"id"`
	Token   string     `json:"token,omitempty"` // only when it is made
	Role    string     `json:"role"`
	Uses    int        `json:"uses"`
	Used    int        `json:"used"`
	Expires *time.Time `json:"expires,omitempty"`
	Closed  bool       `json:"withdrawn,omitempty"`
}

// Status is what a node says of itself.
type Status struct {
	PeerID   string    `json:"peer_id"`
	Version  string    `json:"version"`
	Network  string    `json:"network"`
	Closed   bool      `json:"closed"` // only members take part
	Role     string    `json:"role,omitempty"`
	Started  time.Time `json:"started"`
	Addrs    []string  `json:"addrs"`
	Peers    int       `json:"peers"`
	Datasets []Dataset `json:"datasets"`
	Modules  []Module  `json:"modules,omitempty"`
	// Leftovers are what is kept of modules that were removed.
	Leftovers []Leftover `json:"leftovers,omitempty"`
	Store     int64      `json:"store_bytes"`
	Failure   string     `json:"failure,omitempty"` // why writes do not reach the disk
	Forks     uint64     `json:"forks"`
	Rejected  uint64     `json:"rejected"`
}

// Dataset is what a node holds of one dataset.
type Dataset struct {
	Name    string             `json:"name"`
	Ops     uint64             `json:"ops"` // in the log, of all authors
	Authors int                `json:"authors"`
	Digest  string             `json:"digest"`           // equal on nodes that hold the same log
	Forked  []string           `json:"forked,omitempty"` // authors that signed two logs
	Clocks  map[string]float64 `json:"clocks,omitempty"` // authors whose clock is more than a minute off: seconds ahead
	// Refused is how many authors this node has lately had no room for, RefusedBy the
	// peers that have none for this node's entries.
	Refused   int      `json:"refused,omitempty"`
	RefusedBy []string `json:"refused_by,omitempty"`
}

// Peer is a connected peer.
type Peer struct {
	ID     string  `json:"peer_id"`
	Device string  `json:"device,omitempty"` // its name, in a closed network
	Addr   string  `json:"addr"`
	Way    string  `json:"way"`    // how it is reached: lan, direct, punched or relayed
	Member bool    `json:"member"` // false: a stranger that connected to a closed network
	RTT    float64 `json:"rtt_ms"` // 0 = not measured
	Sync   bool    `json:"sync"`   // a sync stream is open
	Behind uint64  `json:"behind"` // ops we have and it lacks, as it last said
	// Lag is the same for each dataset that both have.
	Lag   map[string]uint64 `json:"lag"`
	Equal bool              `json:"equal"` // it holds what we hold, as it last said
}

// Change is a local write. What the fields mean depends on the verb:
//
//	set     lww-register: Args = value; lww-map: Args = field, value
//	inc     counters: Args = [n], default 1; negative for pncounter only
//	add     orset: Args = element; rga: Args = value, at the end
//	remove  orset: Args = element; lww-map: Args = field; rga: Args = index from 0
type Change struct {
	Dataset string   `json:"dataset"`
	Family  string   `json:"family"`
	Key     string   `json:"key"`
	Verb    string   `json:"verb"`
	Args    []string `json:"args"`
	// Base64 says that the key and the arguments are base64: bytes that are not UTF-8 have no other place in JSON.
	Base64 bool `json:"base64,omitempty"`
}

// encoded is the change as JSON can hold it.
func (c Change) encoded() Change {
	if c.Base64 || utf8.ValidString(c.Key) && !slices.ContainsFunc(c.Args, func(a string) bool { return !utf8.ValidString(a) }) {
		return c
	}
	c.Base64, c.Key, c.Args = true, toBase64(c.Key), slices.Clone(c.Args)
	for i, a := range c.Args {
		c.Args[i] = toBase64(a)
	}
	return c
}

// decoded is the change that was encoded.
func (c Change) decoded() (Change, error) {
	if !c.Base64 {
		return c, nil
	}
	c.Base64 = false
	err := fromBase64(&c.Key)
	for i := range c.Args {
		err = errors.Join(err, fromBase64(&c.Args[i]))
	}
	return c, err
}

func toBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func fromBase64(s *string) error {
	b, err := base64.StdEncoding.DecodeString(*s)
	*s = string(b)
	return err
}

// Value is an object's value: Count for counters, Text for a register (nil =
// unset), Fields for a map, List for sets and sequences.
type Value struct {
	Family string            `json:"-"`
	Key    string            `json:"-"`
	Count  string            `json:"-"`
	Text   *string           `json:"-"`
	Fields map[string]string `json:"-"`
	List   []string          `json:"-"`
}

type valueJSON struct {
	Family string          `json:"family"`
	Key    string          `json:"key"`
	Base64 bool            `json:"base64,omitempty"`
	Value  json.RawMessage `json:"value"`
}

// strings is the value with each of its strings as f makes it, but the family.
func (v Value) strings(f func(string) string) Value {
	v.Key = f(v.Key)
	if v.Text != nil {
		text := f(*v.Text)
		v.Text = &text
	}
	if v.Fields != nil {
		fields := make(map[string]string, len(v.Fields))
		for name, value := range v.Fields {
			fields[f(name)] = f(value)
		}
		v.Fields = fields
	}
	v.List = slices.Clone(v.List)
	for i, x := range v.List {
		v.List[i] = f(x)
	}
	return v
}

// isText reports whether all strings of the value are UTF-8.
func (v Value) isText() bool {
	ok := utf8.ValidString(v.Key) && (v.Text == nil || utf8.ValidString(*v.Text)) &&
		!slices.ContainsFunc(v.List, func(x string) bool { return !utf8.ValidString(x) })
	for name, value := range v.Fields {
		ok = ok && utf8.ValidString(name) && utf8.ValidString(value)
	}
	return ok
}

// MarshalJSON writes {"family":…,"key":…,"value":…} with the value as a
// number, string or null, object, or array. Where one of its strings is not
// UTF-8, "base64":true says that all of them but the family are base64.
func (v Value) MarshalJSON() ([]byte, error) {
	binary := !v.isText()
	if binary {
		v = v.strings(toBase64)
	}
	var x any
	switch v.Family {
	case "gcounter", "pncounter":
		x = json.RawMessage(v.Count)
	case "lww-register":
		x = v.Text
	case "lww-map":
		x = v.Fields
		if v.Fields == nil {
			x = struct{}{}
		}
	default:
		x = append([]string{}, v.List...)
	}
	raw, err := json.Marshal(x)
	if err != nil {
		return nil, err
	}
	return json.Marshal(valueJSON{v.Family, v.Key, binary, raw})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (v *Value) UnmarshalJSON(b []byte) error {
	var j valueJSON
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	*v = Value{Family: j.Family, Key: j.Key}
	if err := v.unmarshal(j.Value); err != nil || !j.Base64 {
		return err
	}
	var bad error
	*v = v.strings(func(s string) string {
		bad = errors.Join(bad, fromBase64(&s))
		return s
	})
	return bad
}

func (v *Value) unmarshal(raw json.RawMessage) error {
	switch v.Family {
	case "gcounter", "pncounter":
		v.Count = string(bytes.TrimSpace(raw))
		_, err := strconv.ParseFloat(v.Count, 64)
		return err
	case "lww-register":
		return json.Unmarshal(raw, &v.Text)
	case "lww-map":
		return json.Unmarshal(raw, &v.Fields)
	default:
		return json.Unmarshal(raw, &v.List)
	}
}

// String is the printed form: k = 42, k = value, k = <unset>, k = {a=1, b=2},
// k = [x, y].
func (v Value) String() string {
	switch v.Family {
	case "gcounter", "pncounter":
		return v.Key + " = " + v.Count
	case "lww-register":
		if v.Text == nil {
			return v.Key + " = <unset>"
		}
		return v.Key + " = " + *v.Text
	case "lww-map":
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(v.Fields)) {
			parts = append(parts, k+"="+v.Fields[k])
		}
		return fmt.Sprintf("%s = {%s}", v.Key, strings.Join(parts, ", "))
	default:
		return fmt.Sprintf("%s = [%s]", v.Key, strings.Join(v.List, ", "))
	}
}
