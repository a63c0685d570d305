// Command hello-wasi is an ordinary Go program that knows nothing of Numax: stdout works, and there is nothing else to see.
package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Printf("hello from %s on %s\n", runtime.GOARCH, runtime.GOOS)
	fmt.Printf("%d environment variables\n", len(os.Environ()))
	if _, err := os.ReadDir("/"); err != nil {
		fmt.Println("no file system")
	}
}
