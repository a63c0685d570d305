//go:build !wasip1

package nx_test

import (
	"fmt"

	nx "github.com/numax-mesh/numax/sandbox/sdk/go"
)

func Example() {
	nx.Reset()
	visits := nx.GCounter("counter:visits")
	if err := visits.Add(1); err != nil {
		nx.Abort(err.Error())
	}
	n, _ := visits.Value()
	nx.Logf("visits: %d", n)
	// Output: [guest] visits: 1
}

func ExamplePNCounter() {
	nx.Reset()
	stock := nx.PNCounter("inventory:widgets")
	stock.Add(10)
	stock.Add(-3)
	fmt.Println(stock.Value())
	// Output: 7 <nil>
}

func ExampleRegister() {
	nx.Reset()
	status := nx.Register("status")
	_, ok, _ := status.Get()
	fmt.Println(ok)
	status.Set([]byte("open"))
	value, ok, _ := status.Get()
	fmt.Printf("%s %v\n", value, ok)
	// Output:
	// false
	// open true
}

func ExampleMap() {
	nx.Reset()
	settings := nx.Map("settings")
	settings.Set("theme", []byte("dark"))
	settings.Set("lang", []byte("en"))
	settings.Set("beta", []byte("on"))
	settings.Remove("beta")
	entries, _ := settings.Entries()
	for _, e := range entries {
		fmt.Printf("%s=%s\n", e.Field, e.Value)
	}
	// Output:
	// lang=en
	// theme=dark
}

func ExampleSet() {
	nx.Reset()
	tags := nx.Set("tags")
	tags.Add("mesh")
	tags.Add("go")
	tags.Add("go")
	fmt.Println(tags.Elements())
	// Output: [go mesh] <nil>
}

func ExampleList() {
	nx.Reset()
	comments := nx.List("comments")
	first, _ := comments.InsertAfter(nx.Head, []byte("first"))
	comments.InsertAfter(first, []byte("second"))
	comments.InsertAfter(nx.Head, []byte("before all"))
	values, _ := comments.Values()
	for _, v := range values {
		fmt.Printf("%s\n", v)
	}
	// Output:
	// before all
	// first
	// second
}

func ExampleScan() {
	nx.Reset()
	for _, k := range []string{"user/2", "user/1", "x"} {
		nx.Put([]byte(k), []byte("…"))
	}
	// Page by page: the last key of a page is where the next one starts.
	var after []byte
	for {
		page, err := nx.Scan([]byte("user/"), after, 1)
		if err != nil || len(page) == 0 {
			break
		}
		after = page[len(page)-1].Key
		fmt.Printf("%s\n", after)
	}
	// Output:
	// user/1
	// user/2
}
