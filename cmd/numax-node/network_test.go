package main

import (
	"strings"
	"testing"

	"rsc.io/qr"
)

// What is drawn has the modules of the code, and a light border around them.
func TestQRText(t *testing.T) {
	token := "numax1" + strings.Repeat("abcdefgh0123456789", 14)
	code, err := qr.Encode(strings.ToUpper(token), qr.L)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]rune
	for line := range strings.Lines(qrText(token)) {
		lines = append(lines, []rune(strings.TrimSuffix(line, "\n")))
	}
	for y := -qrBorder; y < code.Size+qrBorder; y++ {
		for x := -qrBorder; x < code.Size+qrBorder; x++ {
			row := y + qrBorder
			r := lines[row/2][x+qrBorder]
			dark := r == ' ' || r == '▄' && row%2 == 0 || r == '▀' && row%2 == 1
			if dark != code.Black(x, y) {
				t.Fatalf("module %d, %d: drawn dark %t", x, y, dark)
			}
		}
	}
	if qrText(strings.Repeat("x", 10_000)) != "" {
		t.Error("a code of a text that does not fit")
	}
}

// What stands for a token on standard input is one line, and a bounded one.
func TestSecretArg(t *testing.T) {
	for in, want := range map[string]string{
		"numax1x\nmore\n": "numax1x", " numax1x": "numax1x", "numax1x\r\n": "numax1x",
		"": "", "\n": "", strings.Repeat("x", maxSecretLine) + "\n": "", strings.Repeat("x", maxSecretLine-1) + "\n": strings.Repeat("x", maxSecretLine-1),
	} {
		got, err := secretArg(strings.NewReader(in), "-")
		if got != want || (err != nil) != (want == "") {
			t.Errorf("of %.20q the token is %.20q, %v; want %.20q", in, got, err, want)
		}
	}
	if got, err := secretArg(nil, "numax1x"); got != "numax1x" || err != nil {
		t.Errorf("an argument reads %q, %v", got, err)
	}
}
