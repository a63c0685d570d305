package member

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func goldenToken() *Token {
	return &Token{
		Genesis: Genesis{Name: "garden", Founder: publicKey(testKey(1)), Nonce: [16]byte{1, 2, 3}, Created: millis(noon)},
		Secret:  &InviteSecret{9},
		Addrs: []string{
			"/ip4/192.168.1.20/udp/4001/quic-v1/p2p/12D3KooWQ5Pfz4YfAE9bZ5n2ZkNjs4RrG3S1TqZvWZzDdM9f1Lx7",
			"/ip4/192.168.1.20/tcp/4001/p2p/12D3KooWQ5Pfz4YfAE9bZ5n2ZkNjs4RrG3S1TqZvWZzDdM9f1Lx7",
		},
	}
}

func sameToken(a, b *Token) bool {
	return a.Genesis == b.Genesis && (a.Secret == nil) == (b.Secret == nil) &&
		(a.Secret == nil || *a.Secret == *b.Secret) && slices.Equal(a.Addrs, b.Addrs)
}

func TestToken(t *testing.T) {
	token := goldenToken()
	text := token.String()
	if len(text) > 330 {
		t.Errorf("a token of %d letters, want at most 330", len(text))
	}
	bare := &Token{Genesis: token.Genesis}
	for name, c := range map[string]struct {
		text string
		want *Token
		err  error
	}{
		"as it is":       {text, token, nil},
		"upper case":     {strings.ToUpper(text), token, nil},
		"wrapped":        {text[:40] + "\n  " + text[40:], token, nil},
		"letters alike":  {text[:6] + strings.NewReplacer("0", "O", "1", "l").Replace(text[6:]), token, nil},
		"bare":           {bare.String(), bare, nil},
		"cut off":        {text[:len(text)-1], nil, ErrMistyped},
		"letters gone":   {text[:6], nil, ErrMistyped},
		"mistyped":       {text[:50] + string(text[50]^1) + text[51:], nil, ErrMistyped},
		"an odd letter":  {text[:50] + "!" + text[51:], nil, ErrMistyped},
		"newer":          {"numax2" + text[6:], nil, ErrNewToken},
		"a peer address": {token.Addrs[0], nil, ErrNotToken},
		"empty":          {"", nil, ErrNotToken},
		"huge":           {"numax1" + strings.Repeat("0", 1<<20), nil, ErrNotToken},
	} {
		got, err := ParseToken(c.text)
		if !errors.Is(err, c.err) || c.want != nil && !sameToken(got, c.want) {
			t.Errorf("%s: %+v, %v; want %+v, %v", name, got, err, c.want, c.err)
		}
	}
}

// A token that was given out must be readable for ever.
func TestGoldenToken(t *testing.T) {
	got, err := ParseToken(golden)
	if err != nil || !sameToken(got, goldenToken()) {
		t.Errorf("the golden token reads %+v, %v, want %+v\nnow it is written\n%s", got, err, goldenToken(), goldenToken())
	}
	if n, want := goldenToken().Genesis.Network().String(), "e2bc333e0e7b583e"; n != want {
		t.Errorf("its network is %s, want %s", n, want)
	}
}

const golden = "numax1074nvz4zd5sq9mc3f04rz0amt8vpvy17nvnp6szh5q11nnsx12t8r0820c0000000000000000000040rj19k81m0skp2wk4cnq0228000000000000000000000" +
	"004a8s9pjs40p06sqyj0te0b8amks0t4enybmgmd6f53n1pbzb32jeg24xz3c31s1gn8pbragamq2hfwpd23kw5f6r2cpfghw86q9h000000zzzjc62am4"
