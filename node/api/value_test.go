package api_test

import (
	"encoding/json"
	"reflect"
	"strconv"
	"testing"

	"pgregory.net/rapid"

	"github.com/numax-mesh/numax/node/api"
)

func text(s string) *string { return &s }

// The forms that scripts and people read.
func TestValueForms(t *testing.T) {
	for _, c := range []struct {
		v          api.Value
		text, json string
	}{
		{api.Value{Family: "gcounter", Key: "k", Count: "18446744073709551615"}, "k = 18446744073709551615", `18446744073709551615`},
		{api.Value{Family: "pncounter", Key: "k", Count: "-9223372036854775808"}, "k = -9223372036854775808", `-9223372036854775808`},
		{api.Value{Family: "lww-register", Key: "k"}, "k = <unset>", `null`},
		{api.Value{Family: "lww-register", Key: "k", Text: text("")}, "k = ", `""`},
		{api.Value{Family: "lww-register", Key: "k", Text: text("v")}, "k = v", `"v"`},
		{api.Value{Family: "lww-map", Key: "k"}, "k = {}", `{}`},
		{api.Value{Family: "lww-map", Key: "k", Fields: map[string]string{"b": "2", "a": "1"}}, "k = {a=1, b=2}", `{"a":"1","b":"2"}`},
		{api.Value{Family: "orset", Key: "k"}, "k = []", `[]`},
		{api.Value{Family: "orset", Key: "k", List: []string{"x", "y"}}, "k = [x, y]", `["x","y"]`},
		{api.Value{Family: "rga", Key: "k", List: []string{"y", "x"}}, "k = [y, x]", `["y","x"]`},
	} {
		if got := c.v.String(); got != c.text {
			t.Errorf("text: got %q, want %q", got, c.text)
		}
		want := `{"family":"` + c.v.Family + `","key":"k","value":` + c.json + `}`
		if got, err := json.Marshal(c.v); err != nil || string(got) != want {
			t.Errorf("JSON: got %s, %v, want %s", got, err, want)
		}
	}
}

// Maps print in the order of their fields, which may hold any text.
func TestMapFormIsStable(t *testing.T) {
	v := api.Value{Family: "lww-map", Key: "k", Fields: map[string]string{"a=b": "1", "a=a": "2", "a": "3", "a=c": "4"}}
	for range 50 {
		if got, want := v.String(), "k = {a=3, a=a=2, a=b=1, a=c=4}"; got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func anyValue(t *rapid.T) api.Value {
	s := rapid.String()
	v := api.Value{Key: s.Draw(t, "key")}
	v.Family = rapid.SampledFrom([]string{"gcounter", "pncounter", "lww-register", "lww-map", "orset", "rga"}).Draw(t, "family")
	switch v.Family {
	case "gcounter":
		v.Count = strconv.FormatUint(rapid.Uint64().Draw(t, "count"), 10)
	case "pncounter":
		v.Count = strconv.FormatInt(rapid.Int64().Draw(t, "count"), 10)
	case "lww-register":
		if rapid.Bool().Draw(t, "set") {
			v.Text = text(s.Draw(t, "text"))
		}
	case "lww-map":
		v.Fields = rapid.MapOf(s, s).Draw(t, "fields")
	default:
		v.List = rapid.SliceOf(s).Draw(t, "list")
	}
	return v
}

func TestValueRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := anyValue(t)
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var got api.Value
		if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, v) || got.String() != v.String() {
			t.Errorf("%+v\nwritten as %s\nread as %+v, %v", v, b, got, err)
		}
	})
}

// What is read of a node's answer can be written again, and is the same then.
func FuzzValue(f *testing.F) {
	for _, s := range []string{
		`{"family":"gcounter","key":"k","value":1}`, `{"family":"pncounter","value":"1"}`, `{"family":"gcounter"}`,
		`{"family":"lww-register","value":null}`, `{"family":"lww-map","value":{"a":"b"}}`, `{"family":"rga","value":["x",null]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var v, again api.Value
		if json.Unmarshal(b, &v) != nil {
			return
		}
		out, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%q is read as %+v, and not written: %v", b, v, err)
		}
		if err := json.Unmarshal(out, &again); err != nil || again.String() != v.String() {
			t.Errorf("%q is read as %v, written as %s, and read as %v, %v", b, v, out, again, err)
		}
	})
}
