package meter

import "fmt"

// What a module may have of each thing. The host makes an object of each, of up to 400 bytes for one or two of the
// module's: when it compiles a module, or anew for each instance and before the first instruction, where no deadline
// ends it. Elements of 4 MiB took 0.6 s and 356 MB of an instance that had 60 ms and no memory.
//
// Behind each stands what Go's own compiler has.
const (
	maxTypes        = 16_384  // 18
	maxFunctions    = 262_144 // 19,930
	maxGlobals      = 65_536  // 8
	maxExports      = 65_536  // 2
	maxSegments     = 16_384  // of elements: 1
	maxElements     = 65_536  // of all segments: 19,900
	maxDataSegments = 100_000 // the same: its linker makes no more
	maxCustoms      = 4_096   // 3
)

var counts = [sectionTag]struct {
	most uint32
	what string
}{
	sectionType: {maxTypes, "types"}, sectionFunction: {maxFunctions, "functions"}, sectionGlobal: {maxGlobals, "globals"},
	sectionExport: {maxExports, "exports"}, sectionElement: {maxSegments, "element segments"}, sectionData: {maxDataSegments, "data segments"},
}

// countable holds the number of a section's items, with which it begins, against the most there may be.
func countable(id byte, body []byte) error {
	most, what := counts[id].most, counts[id].what
	if n := (&reader{data: body}).u32(); what != "" && n > most {
		return tooMany(n, what, most)
	}
	return nil
}

func tooMany(n uint32, what string, most uint32) error {
	return fmt.Errorf("%d %s, over the limit of %d", n, what, most)
}
