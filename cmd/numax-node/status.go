package main

import (
	"fmt"
	"maps"
	"os"
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
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintf(w, "peer id\t%s\n", s.PeerID)
	fmt.Fprintf(w, "version\t%s\n", s.Version)
	if s.Closed {
		fmt.Fprintf(w, "network\t%s (closed; this device is %s)\n", s.Network, or(s.Role, "no member"))
	} else {
		fmt.Fprintf(w, "network\t%s (open)\n", s.Network)
	}
	fmt.Fprintf(w, "up for\t%s\n", time.Since(s.Started).Round(time.Second))
	fmt.Fprintf(w, "peers\t%d\n", s.Peers)
	fmt.Fprintf(w, "store\t%d bytes\n", s.Store)
	for _, a := range s.Addrs {
		fmt.Fprintf(w, "address\t%s\n", a)
	}
	for _, d := range s.Datasets {
		fmt.Fprintf(w, "dataset\t%s: %s by %s, digest %s\n", d.Name, count(d.Ops, "op"), count(uint64(d.Authors), "author"), d.Digest)
	}
	for _, m := range s.Modules {
		may := "may do nothing but compute"
		if len(m.Grants) > 0 {
			may = "may " + strings.Join(m.Grants, "; ")
		}
		fmt.Fprintf(w, "module\t%s %s: %s; %s\n", m.Name, m.Version, m.State, may)
	}
	if s.Rejected > 0 {
		fmt.Fprintf(w, "rejected\t%d malformed or forged entries\n", s.Rejected)
	}
	for _, d := range s.Datasets {
		for _, f := range d.Forked {
			fmt.Fprintf(w, "FORKED\t%s: %s signed two logs (a copied or restored data directory?); nothing more is taken from it\n", d.Name, f)
		}
		for _, a := range slices.Sorted(maps.Keys(d.Clocks)) {
			ahead, way := time.Duration(d.Clocks[a]*float64(time.Second)).Round(time.Second), "ahead of"
			if ahead < 0 {
				ahead, way = -ahead, "behind"
			}
			fmt.Fprintf(w, "clock\t%s: that of %s is %v %s this node's\n", d.Name, a, ahead, way)
		}
		if len(d.Forked) > 0 {
			fmt.Fprintf(w, "\tpeers may hold different halves: numax-node dataset resync --dataset %s --from PEER takes over the state of one\n", d.Name)
		}
	}
	if s.Failure != "" {
		fmt.Fprintf(w, "FAILING\t%s\n", s.Failure)
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
				_, err := fmt.Println("no peers")
				return err
			}
			w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "PEER ID\tDEVICE\tREACHED\tRTT\tSTATE\tADDRESS")
			for _, p := range peers {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", p.ID, or(p.Device, "-"), p.Way, milliseconds(p.RTT), peerState(p), p.Addr)
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
