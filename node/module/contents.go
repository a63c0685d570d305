package module

// contents are the files of a module by path.
type contents map[string][]byte
