package node

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/numax-mesh/numax/crdt/replica"
	"github.com/numax-mesh/numax/node/module"
	"github.com/numax-mesh/numax/p2p"
)

// Files of a data directory.
const (
	identityFile = "identity.pem"
	storeDir     = "db"
	codeDir      = "cache"
)

// Limits are what peers may take of a node.
type Limits = p2p.Limits

// Config of a node. The zero values of the optional fields are the defaults
// of the command.
type Config struct {
	Data      string   // data directory
	Listen    []string // p2p.ParseListen; empty: every interface, a free port
	Bootstrap []string // p2p.CheckBootstrap
	Network   string   // name of the open network; "" = the directory's last, or DefaultNetwork
	Datasets  []string // replicated datasets; guests use the first
	MDNS      bool     // look for nodes on this machine and the LAN
	Interface []string // on which to look for nodes; empty: those of the LAN
	Offline   bool     // no network
	NoSync    bool     // no network, and crdt_* calls answer -5

	Reachability string // p2p.Reachability; "" = p2p.Auto
	Limits       Limits // of what peers may take; zero fields mean the defaults

	API           string // host:port, "off", or "" for the default
	Serve         string // host:port where modules serve the web; "" = under the API alone
	Observability string // host:port; "" = off
	Pprof         bool   // serve /debug/pprof there too

	// How much of the log of each dataset is kept for peers that come back; 0 =
	// replica.DefaultRetention.
	HistoryAge  time.Duration // at least a minute
	HistorySize uint64        // bytes

	// Signers are keys one of which must have signed a module that the node is to
	// keep running; none = any module may.
	Signers []module.PublicKey

	ShutdownTimeout time.Duration
	Version         string // of the build
}

// Validate checks everything that can be checked without acting.
func (c *Config) Validate() error {
	if c.Data == "" {
		return fmt.Errorf("data: no directory given")
	}
	if len(c.Network) > replica.MaxDatasetName {
		return fmt.Errorf("network: want a name of at most %d bytes", replica.MaxDatasetName)
	}
	if len(c.Datasets) == 0 {
		return fmt.Errorf("dataset: want at least one name")
	}
	for _, d := range c.Datasets {
		if d == "" || len(d) > replica.MaxDatasetName {
			return fmt.Errorf("dataset %q: want a name of 1 to %d bytes", d, replica.MaxDatasetName)
		}
	}
	for _, s := range c.Listen {
		if _, err := p2p.ParseListen(s); err != nil {
			return err
		}
	}
	for _, s := range c.Bootstrap {
		if err := p2p.CheckBootstrap(s); err != nil {
			return err
		}
	}
	if err := p2p.Reachability(c.Reachability).Check(); err != nil {
		return err
	}
	if err := c.Limits.Check(); err != nil {
		return err
	}
	if c.HistoryAge != 0 && c.HistoryAge < minHistoryAge {
		return fmt.Errorf("history-age: %v is too short, want at least %v: what is cut before peers have it costs them the whole state", c.HistoryAge, minHistoryAge)
	}
	if c.ShutdownTimeout < 0 {
		return fmt.Errorf("shutdown-timeout: %v is negative", c.ShutdownTimeout)
	}
	return nil
}

// minHistoryAge is more than entries take to reach peers that are there.
const minHistoryAge = time.Minute

func (c *Config) file(name string) string { return filepath.Join(c.Data, name) }

func (c *Config) networked() bool { return !c.Offline && !c.NoSync }
