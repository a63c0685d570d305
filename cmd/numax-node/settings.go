package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/v2"
	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/module"
)

// settings are what flags, environment and the TOML file can say; the three
// use the same names.
type settings struct {
	Data            string        `koanf:"data" toml:"data"`
	Listen          []string      `koanf:"listen" toml:"listen"`
	Bootstrap       []string      `koanf:"bootstrap" toml:"bootstrap"`
	Network         string        `koanf:"network" toml:"network"`
	Dataset         []string      `koanf:"dataset" toml:"dataset"`
	Interface       []string      `koanf:"interface" toml:"interface"`
	Reachability    string        `koanf:"reachability" toml:"reachability"`
	NoMDNS          bool          `koanf:"no-mdns" toml:"no-mdns"`
	Offline         bool          `koanf:"offline" toml:"offline"`
	NoSync          bool          `koanf:"no-sync" toml:"no-sync"`
	API             string        `koanf:"api" toml:"api"`
	Serve           string        `koanf:"serve" toml:"serve"`
	ModuleSigner    []string      `koanf:"module-signer" toml:"module-signer"`
	Observability   string        `koanf:"observability-listen" toml:"observability-listen"`
	Pprof           bool          `koanf:"pprof" toml:"pprof"`
	MaxConnections  int           `koanf:"max-connections" toml:"max-connections"`
	NetworkMemory   string        `koanf:"network-memory" toml:"network-memory"`
	PeerStreams     int           `koanf:"peer-streams" toml:"peer-streams"`
	AddressRate     int           `koanf:"address-rate" toml:"address-rate"`
	HistoryAge      time.Duration `koanf:"history-age" toml:"history-age"`
	HistorySize     string        `koanf:"history-size" toml:"history-size"`
	ShutdownTimeout time.Duration `koanf:"shutdown-timeout" toml:"shutdown-timeout"`
	LogLevel        string        `koanf:"log-level" toml:"log-level"`
	LogFormat       string        `koanf:"log-format" toml:"log-format"`
}

// setting is one of them: its name, default, and what it means.
type setting struct {
	name  string
	value any
	help  string
}

// table is the single list of settings, in the order of the config file.
var table = []setting{
	{"data", "./numax-data", "`directory` for the identity and everything stored; one node each"},
	{"listen", []string{}, "`address` to listen on: a multiaddr or host:port; repeatable (default every interface, a free port)"},
	{"bootstrap", []string{}, "where to find nodes beyond the LAN: the `multiaddr` of one (ending in /p2p/<peer id>), a DNS name, or a file of those; repeatable"},
	{"network", "", "`name` of the open network to be part of (default: the one --data was last used for, or numax)"},
	{"dataset", []string{"default"}, "`name` of a dataset to replicate; repeatable; modules use the first"},
	{"interface", []string{}, "network interface by `name` on which to look for nodes; repeatable (default all but containers' and tunnels')"},
	{"reachability", "auto", "whether nodes elsewhere can connect to this one: auto, public (it serves others as relay and rendezvous) or private"},
	{"max-connections", 0, "connections above which those of least use are closed, down to half; 0 = 32, which a home router's table and a Raspberry Pi bear, or 128 on a public node, which others lean on"},
	{"network-memory", "", "`size` of the memory that all peers together may take, beyond which streams are refused (default 128MiB, an eighth of a small Raspberry Pi, or 512MiB on a public node)"},
	{"peer-streams", 128, "streams that one peer may have open each way; sync, gossip and membership take three, the rest are requests"},
	{"address-rate", 4, "new connections a second from one address, after a burst of 64: a household comes from one address, and so does a flood"},
	{"no-mdns", false, "do not look for nodes on the LAN and on this machine"},
	{"offline", false, "no network: state changes and is kept, and goes to the others the next time"},
	{"no-sync", false, "no network, and crdt_* calls answer -5"},
	{"api", "", "`host:port` of the API, or off (default 127.0.0.1:8420 or any free port)"},
	{"serve", "", "`host:port` where modules serve the web, without a token (default: under the API alone, at /m/NAME/)"},
	{"module-signer", []string{}, "public `key` (nxpub1…) of whom to trust: keep running modules only that one of them has signed; repeatable"},
	{"observability-listen", "", "`host:port` for /health, /ready and /metrics (default off)"},
	{"pprof", false, "serve /debug/pprof on the observability address too"},
	{"history-age", 7 * 24 * time.Hour, "how long a dataset's log is kept for nodes that come back; later ones get the whole state"},
	{"history-size", "256MiB", "`size` of a dataset's log above which it is cut sooner, down to the last hour"},
	{"shutdown-timeout", 30 * time.Second, "how long a graceful stop may take"},
	{"log-level", "info", "debug, info, warn or error"},
	{"log-format", "text", "text or json"},
}

// aliases are other spellings of flags.
var aliases = map[string]string{"datastore-path": "data", "peer": "bootstrap"}

func addSettings(f *pflag.FlagSet) {
	for _, s := range table {
		switch v := s.value.(type) {
		case string:
			f.String(s.name, v, s.help)
		case []string:
			f.StringArray(s.name, v, s.help)
		case bool:
			f.Bool(s.name, v, s.help)
		case int:
			f.Int(s.name, v, s.help)
		case time.Duration:
			f.Duration(s.name, v, s.help)
		}
	}
	f.String("config", "", "TOML `file` with these settings (see: numax-node config init)")
	f.CountP("verbose", "v", "log more: the same as --log-level debug")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if to, ok := aliases[name]; ok {
			name = to
		}
		return pflag.NormalizedName(name)
	})
}

// layer is one source of settings for koanf.
type layer map[string]any

// ReadBytes implements koanf.Provider.
func (layer) ReadBytes() ([]byte, error) { return nil, fmt.Errorf("not bytes") }

// Read implements koanf.Provider.
func (l layer) Read() (map[string]any, error) { return l, nil }

// loadSettings merges defaults, file, environment and flags, later ones first.
func loadSettings(f *pflag.FlagSet) (settings, error) {
	var s settings
	k := koanf.New("\x00") // names are flat
	defaults := layer{}
	for _, x := range table {
		defaults[x.name] = x.value
	}
	layers := []layer{defaults}
	if file, _ := f.GetString("config"); file != "" {
		l, err := readConfig(file)
		if err != nil {
			return s, err
		}
		layers = append(layers, l)
	}
	env, err := readEnv()
	if err != nil {
		return s, err
	}
	layers = append(layers, env, readFlags(f))
	for _, l := range layers {
		if err := k.Load(l, nil); err != nil {
			return s, err
		}
	}
	err = k.UnmarshalWithConf("", &s, koanf.UnmarshalConf{DecoderConfig: &mapstructure.DecoderConfig{
		Result: &s, TagName: "koanf", WeaklyTypedInput: true,
		DecodeHook: mapstructure.StringToTimeDurationHookFunc(),
	}})
	if err != nil {
		return s, usagef("settings: %w", err)
	}
	return s, nil
}

func readFlags(f *pflag.FlagSet) layer {
	l := layer{}
	f.Visit(func(x *pflag.Flag) {
		if i := slices.IndexFunc(table, func(s setting) bool { return s.name == x.Name }); i >= 0 {
			if many, ok := x.Value.(pflag.SliceValue); ok {
				l[x.Name] = many.GetSlice()
			} else {
				l[x.Name] = x.Value.String()
			}
		}
	})
	if n, err := f.GetCount("verbose"); err == nil && n > 0 {
		l["log-level"] = "debug"
	}
	return l
}

// readEnv reads NUMAX_LISTEN or NX_LISTEN for listen, and so on; lists are
// separated by commas.
func readEnv() (layer, error) {
	l := layer{}
	for _, s := range table {
		name := "NUMAX_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
		v, ok := os.LookupEnv(name)
		if !ok {
			name = strings.Replace(name, "NUMAX_", "NX_", 1)
			v, ok = os.LookupEnv(name)
		}
		if !ok {
			continue
		}
		var err error
		switch s.value.(type) {
		case []string:
			l[s.name] = strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
		case bool:
			l[s.name], err = strconv.ParseBool(v)
		case int:
			l[s.name], err = strconv.Atoi(v)
		case time.Duration:
			l[s.name], err = time.ParseDuration(v)
		default:
			l[s.name] = v
		}
		if err != nil {
			return nil, usagef("%s=%q in the environment: want a value such as %v", name, v, s.value)
		}
	}
	return l, nil
}

func readConfig(file string) (layer, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	l := layer{}
	if err := toml.Unmarshal(b, (*map[string]any)(&l)); err != nil {
		var where *toml.DecodeError
		if errors.As(err, &where) {
			row, col := where.Position()
			return nil, fmt.Errorf("config %s:%d:%d: %s", file, row, col, where.Error())
		}
		return nil, fmt.Errorf("config %s: %w", file, err)
	}
	for name, v := range l {
		i := slices.IndexFunc(table, func(s setting) bool { return s.name == name })
		if i < 0 {
			return nil, fmt.Errorf("config %s: unknown key %q: did you mean %q?", file, name, nearest(name))
		}
		if err := sameKind(table[i].value, v); err != nil {
			return nil, fmt.Errorf("config %s: %s: %w", file, name, err)
		}
	}
	return l, nil
}

func sameKind(want, got any) error {
	switch want.(type) {
	case []string:
		list, ok := got.([]any)
		for _, x := range list {
			if _, str := x.(string); !str {
				ok = false
			}
		}
		if !ok {
			return fmt.Errorf("want a list of strings, got %v", got)
		}
	case bool:
		if _, ok := got.(bool); !ok {
			return fmt.Errorf("want true or false, got %v", got)
		}
	case int:
		if _, ok := got.(int64); !ok {
			return fmt.Errorf("want a whole number, got %v", got)
		}
	case time.Duration:
		s, ok := got.(string)
		if _, err := time.ParseDuration(s); !ok || err != nil {
			return fmt.Errorf("want a duration such as \"30s\", got %v", got)
		}
	default:
		if _, ok := got.(string); !ok {
			return fmt.Errorf("want a string, got %v", got)
		}
	}
	return nil
}

// nearest is the setting whose name is closest to a mistyped one.
func nearest(name string) string {
	best, at := len(name)+100, ""
	for _, s := range table {
		if d := editDistance(name, s.name); d < best {
			best, at = d, s.name
		}
	}
	return at
}

// editDistance is the Levenshtein distance in bytes.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// nodeConfig is what the flags of a command, the environment and the config file
// say of a node.
func nodeConfig(cmd *cobra.Command) (node.Config, error) {
	s, err := loadSettings(cmd.Flags())
	if err != nil {
		return node.Config{}, err
	}
	return s.node()
}

// node is the configuration of a node, checked.
func (s *settings) node() (node.Config, error) {
	history, err := parseSize("history-size", s.HistorySize, 1<<40)
	if err != nil {
		return node.Config{}, err
	}
	var memory uint64
	if s.NetworkMemory != "" {
		if memory, err = parseSize("network-memory", s.NetworkMemory, 1<<40); err != nil {
			return node.Config{}, err
		}
	}
	var signers []module.PublicKey
	for _, text := range s.ModuleSigner {
		k, err := module.ParsePublicKey(text)
		if err != nil {
			return node.Config{}, usagef("module-signer: %w", err)
		}
		signers = append(signers, k)
	}
	c := node.Config{
		Limits:     node.Limits{Connections: s.MaxConnections, Memory: int64(memory), PeerStreams: s.PeerStreams, AddressRate: s.AddressRate},
		HistoryAge: s.HistoryAge, HistorySize: history,
		Data: s.Data, Listen: s.Listen, Bootstrap: s.Bootstrap, Network: s.Network, Datasets: s.Dataset,
		MDNS: !s.NoMDNS, Interface: s.Interface, Reachability: s.Reachability, Offline: s.Offline, NoSync: s.NoSync, API: s.API,
		Serve: s.Serve, Signers: signers, Observability: s.Observability, Pprof: s.Pprof, ShutdownTimeout: s.ShutdownTimeout, Version: version,
	}
	if err := c.Validate(); err != nil {
		return c, usageError{err}
	}
	return c, nil
}

func (s *settings) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(s.LogLevel)); err != nil {
		return nil, usagef("log-level %q: want debug, info, warn or error", s.LogLevel)
	}
	o := &slog.HandlerOptions{Level: level}
	switch s.LogFormat {
	case "text":
		return slog.New(slog.NewTextHandler(stderr, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(jsonErr, o)), nil
	}
	return nil, usagef("log-format %q: want text or json", s.LogFormat)
}
