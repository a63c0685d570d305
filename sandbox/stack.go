package sandbox

import (
	"fmt"
	"reflect"

	"github.com/tetratelabs/wazero/api"
)

const (
	// MaxStack is how large the stack of a guest's calls may be, in bytes: what threads have on most systems. It is
	// looked at at ticks, so that a guest may have a few times as much for a moment, and calls of the start section
	// have only the compiler's bound, 84 MB.
	MaxStack = 8 << 20
	// keptStack is what stays with an instance between its calls.
	keptStack = 64 << 10
)

var errStack = fmt.Errorf("stack overflow: over %d MiB", MaxStack>>20)

// export is a function of an instance. Each has a stack of its own, which grows while it is called and never
// shrinks: wazero doubles it when it is full, copies it, with the whole process waiting at times, and has no setting
// for how far. How large it is can be seen in a private field alone.
type export struct {
	api.Function
	stack reflect.Value // []byte; invalid where code is interpreted, which has a bound of its own
}

func newExport(f api.Function) *export {
	x := &export{Function: f}
	if v := reflect.ValueOf(f); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
		if s := v.Elem().FieldByName("stack"); s.IsValid() && s.Type() == reflect.TypeFor[[]byte]() {
			x.stack = s
		}
	}
	return x
}

// stackSize is for the goroutine that calls x.
func (x *export) stackSize() int {
	if x == nil || !x.stack.IsValid() {
		return 0
	}
	return x.stack.Len()
}
