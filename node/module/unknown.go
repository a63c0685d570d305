package module

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// checkKeys finds the first key of a manifest that means nothing. The decoder's
// own strict mode makes a report with a copy of the text for every such key: some
// kilobytes of text would cost gigabytes.
func checkKeys(text []byte) error {
	var c keyChecker
	c.parser.Reset(text)
	table, in := reflect.TypeFor[document](), []string(nil)
	for c.err == nil && c.parser.NextExpression() {
		e := c.parser.Expression()
		switch e.Kind {
		case unstable.Table, unstable.ArrayTable:
			table, in = c.walk(reflect.TypeFor[document](), nil, e.Key())
		case unstable.KeyValue:
			c.keyValue(table, in, e)
		}
	}
	return c.err
}

type keyChecker struct {
	parser unstable.Parser
	err    error
}

// walk follows a dotted key from a table, and is nil where any key may be: such
// a value is judged by whoever reads it.
func (c *keyChecker) walk(t reflect.Type, in []string, key unstable.Iterator) (reflect.Type, []string) {
	for t != nil && c.err == nil && key.Next() {
		n := key.Node()
		in = append(in[:len(in):len(in)], string(n.Data))
		for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch t.Kind() {
		case reflect.Struct:
			known := t
			if t = fieldType(t, string(n.Data)); t == nil {
				c.err = fmt.Errorf("line %d: unknown key %s: want one of %s", c.parser.Shape(n.Raw).Start.Line, quoted(strings.Join(in, ".")), fields(known))
			}
		default:
			t = nil
		}
	}
	return t, in
}

func (c *keyChecker) keyValue(t reflect.Type, in []string, kv *unstable.Node) {
	if t, in = c.walk(t, in, kv.Key()); t != nil {
		c.value(t, in, kv.Value())
	}
}

// value looks for keys in inline tables, and in lists of them.
func (c *keyChecker) value(t reflect.Type, in []string, v *unstable.Node) {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if v.Kind != unstable.InlineTable && v.Kind != unstable.Array || t.Kind() != reflect.Struct {
		return
	}
	for it := v.Children(); c.err == nil && it.Next(); {
		if v.Kind == unstable.InlineTable {
			c.keyValue(t, in, it.Node())
		} else {
			c.value(t, in, it.Node())
		}
	}
}

// fields are the keys of a struct.
func fields(t reflect.Type) string {
	var names []string
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ","); name != "" {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// fieldType is nil if the struct has no field with that key.
func fieldType(t reflect.Type, key string) reflect.Type {
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("toml"), ","); name == key {
			return t.Field(i).Type
		}
	}
	return nil
}
