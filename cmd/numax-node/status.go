package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node/api"
)

func newStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use: "status", Short: "Show what the running node is and holds", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := client(cmd)
			if err != nil {
				return err
			}
			s, err := c.Status(cmd.Context())
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(s)
			}
			return printStatus(s)
		},
	}
	addObject(cmd)
	return cmd
}

func printStatus(s api.Status) error {
	w := tabwriter.NewWriter(stdout, 0, 4, 2, ' ', 0)
	_ = say(w, "peer id\t%s\n", s.PeerID)
	_ = say(w, "version\t%s\n", s.Version)
	if s.Closed {
		_ = say(w, "network\t%s (closed; this device is %s)\n", s.Network, or(s.Role, "no member"))
	} else {
		_ = say(w, "network\t%s (open)\n", s.Network)
	}
	_ = say(w, "up for\t%s\n", time.Since(s.Started).Round(time.Second))
	_ = say(w, "peers\t%d\n", s.Peers)
	_ = say(w, "store\t%d bytes\n", s.Store)
	for _, a := range s.Addrs {
		_ = say(w, "address\t%s\n", a)
	}
	for _, d := range s.Datasets {
		_ = say(w, "dataset\t%s: %s by %s, digest %s\n", d.Name, count(d.Ops, "op"), count(uint64(d.Authors), "author"), d.Digest)
	}
	for _, m := range s.Modules {
		may := "may do nothing but compute"
		if len(m.Grants) > 0 {
			may = "may " + strings.Join(m.Grants, "; ")
		}
		_ = say(w, "module\t%s %s: %s; %s\n", m.Name, m.Version, m.State, may)
	}
	for _, l := range s.Leftovers {
		_ = say(w, "left over\t%s of module %s, which was removed: numax-node module rm %s --purge deletes it\n", leftText(l), l.Module, l.Module)
	}
	if s.Rejected > 0 {
		_ = say(w, "rejected\t%d malformed or forged entries\n", s.Rejected)
	}
	for _, d := range s.Datasets {
		for _, f := range d.Forked {
			_ = say(w, "FORKED\t%s: %s signed two logs (a copied or restored data directory?); nothing more is taken from it\n", d.Name, f)
		}
		for _, a := range slices.Sorted(maps.Keys(d.Clocks)) {
			ahead, way := time.Duration(d.Clocks[a]*float64(time.Second)).Round(time.Second), "ahead of"
			if ahead < 0 {
				ahead, way = -ahead, "behind"
			}
			_ = say(w, "clock\t%s: that of %s is %v %s this node's\n", d.Name, a, ahead, way)
		}
		if len(d.Forked) > 0 {
			_ = say(w, "\tpeers may hold different halves: numax-node dataset resync --dataset %s --from PEER takes over the state of one\n", d.Name)
		}
	}
	for _, d := range s.Datasets {
		if d.Refused > 0 {
			_ = say(w, "full\t%s: no room for %d authors, whose entries are not taken: numax-node members forget frees the slots of those that are gone\n", d.Name, d.Refused)
		}
		for _, peer := range d.RefusedBy {
			_ = say(w, "refused\t%s: peer %s has no room for this node's entries\n", d.Name, peer)
		}
	}
	if s.Failure != "" {
		_ = say(w, "FAILING\t%s\n", s.Failure)
	}
	return w.Flush()
}

func newPeers() *cobra.Command {
	cmd := &cobra.Command{
		Use: "peers", Short: "Show the connected peers and how far they are", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := client(cmd)
			if err != nil {
				return err
			}
			peers, err := c.Peers(cmd.Context())
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(peers)
			}
			if len(peers) == 0 {
				return say(stdout, "no peers\n")
			}
			w := tabwriter.NewWriter(stdout, 0, 4, 2, ' ', 0)
			_ = say(w, "PEER ID\tDEVICE\tREACHED\tRTT\tSTATE\tADDRESS\n")
			for _, p := range peers {
				_ = say(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, or(p.Device, "-"), p.Way, milliseconds(p.RTT), peerState(p), p.Addr)
			}
			return w.Flush()
		},
	}
	addObject(cmd)
	return cmd
}

// milliseconds is a round-trip time; a relayed peer's is measured by ping alone.
func milliseconds(rtt float64) string {
	if rtt == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f ms", rtt)
}

func peerState(p api.Peer) string {
	switch {
	case !p.Member:
		return "not a member"
	case !p.Sync:
		return "no sync stream"
	case p.Equal:
		return "equal"
	case p.Behind > 0:
		var lags []string
		for _, d := range slices.Sorted(maps.Keys(p.Lag)) {
			if p.Lag[d] > 0 {
				lags = append(lags, fmt.Sprintf("%s behind in %s", count(p.Lag[d], "op"), d))
			}
		}
		return strings.Join(lags, ", ")
	}
	return "syncing"
}

func client(cmd *cobra.Command) (*api.Client, error) {
	s, err := loadSettings(cmd.Flags())
	if err != nil {
		return nil, err
	}
	return dial(&s)
}

func count(n uint64, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}
