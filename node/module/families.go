package module

import (
	"fmt"
	"slices"
	"strings"
)

// Families is a set of data families.
type Families uint16

// AllFamilies is every family, also those that come later.
const AllFamilies Families = 1<<16 - 1

// familyNames are the families as on the command line. A family's place is its
// bit.
var familyNames = []string{"gcounter", "pncounter", "lww-register", "lww-map", "orset", "rga"}

// Has reports whether the family of that name is in the set. A name that is no
// family is in none.
func (f Families) Has(name string) bool {
	i := slices.Index(familyNames, name)
	return i >= 0 && f&(1<<i) != 0
}

// Names lists the families, and is ["all"] for AllFamilies.
func (f Families) Names() []string {
	if f == AllFamilies {
		return []string{allFamilies}
	}
	var names []string
	for i, name := range familyNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

const allFamilies = "all"

// parseFamilies reads "all", one name, or a list of names. nil is none.
func parseFamilies(v any) (Families, error) {
	var names []any
	switch v := v.(type) {
	case nil:
	case string:
		names = []any{v}
	case []any:
		names = v
	default:
		return 0, errFamilies(v)
	}
	var f Families
	for _, v := range names {
		name, _ := v.(string)
		i := slices.Index(familyNames, name)
		switch {
		case name == allFamilies && len(names) == 1:
			return AllFamilies, nil
		case i < 0:
			return 0, errFamilies(v)
		}
		f |= 1 << i
	}
	return f, nil
}

func errFamilies(v any) error {
	return fmt.Errorf("got %s: want %q, or a list of families: %s", quoted(v), allFamilies, strings.Join(familyNames, ", "))
}

// written is the set as a manifest has it: "all", a list, or nil for none.
func (f Families) written() any {
	switch f {
	case 0:
		return nil
	case AllFamilies:
		return allFamilies
	}
	return f.Names()
}
