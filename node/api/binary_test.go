package api_test

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/numax-mesh/numax/node/api"
)

// Bytes that are not UTF-8 come through the API as they are, and text as text.
func TestBinary(t *testing.T) {
	text := "\xff\xfe"
	for _, v := range []api.Value{
		{Family: "lww-register", Key: "k\xff", Text: &text},
		{Family: "lww-map", Key: "m", Fields: map[string]string{"a\xff": "1", "a\xfe": "2", "b": "\x80"}},
		{Family: "orset", Key: "s", List: []string{"x", "\xc3"}},
		{Family: "gcounter", Key: "\xff", Count: "3"},
		{Family: "rga", Key: "ü", List: []string{"�"}},
	} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var got api.Value
		if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%s: got %#v, want %#v, %v", b, got, v, err)
		}
	}
	dir := tempDir(t)
	l := listen(t, dir, "127.0.0.1:0")
	n := newNode()
	serve(t, l, n)
	c, err := api.Dial(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, key := range []string{"a\xff", "a\xfe", "a�"} {
		v, err := c.Change(t.Context(), api.Change{Dataset: "default", Family: "orset", Key: key, Verb: "add", Args: []string{"\x00\xff" + key}})
		if err != nil || v.Key != key || !reflect.DeepEqual(v.List, []string{"\x00\xff" + key}) {
			t.Errorf("%q: %#v %v", key, v, err)
		}
		if v, err = c.Get(t.Context(), "default", "orset", key); err != nil || v.Key != key || len(v.List) != 1 {
			t.Errorf("%q: %#v %v", key, v, err)
		}
	}
	if r := ask(api.Handler(n, ""), "POST", "/v1/data", `{"dataset":"default","family":"orset","verb":"add","key":"!","args":[],"base64":true}`); r.StatusCode != 400 {
		t.Errorf("a key that is no base64: %d", r.StatusCode)
	}
}
