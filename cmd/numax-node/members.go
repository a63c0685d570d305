package main

import (
	"errors"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node/api"
)

func newMembers() *cobra.Command {
	cmd := &cobra.Command{
		Use: "members", Short: "Show who takes part, let devices in or put them out, forget who is gone for good",
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(membersList(), membersApprove(), membersRevoke(), membersForget())
	return cmd
}

func membersList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls", Short: "List the authors of a dataset and, in a closed network, the devices", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, dataset, done, err := open(cmd)
			if err != nil {
				return err
			}
			all, err := a.Members(cmd.Context(), dataset)
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(all)
			}
			w := tabwriter.NewWriter(stdout, 0, 4, 2, ' ', 0)
			if !slices.ContainsFunc(all, func(m api.Member) bool { return m.Device != "" }) { // an open network
				_ = say(w, "MEMBER\tOPS\tSTATE\n")
				for _, m := range all {
					_ = say(w, "%s\t%d\t%s\n", m.Name, m.Ops, memberState(m))
				}
				return w.Flush()
			}
			_ = say(w, "MEMBER\tDEVICE\tROLE\tOPS\tSTATE\n")
			for _, m := range all {
				_ = say(w, "%s\t%s\t%s\t%d\t%s\n", m.Name, or(m.Device, "-"), or(m.Role, "-"), m.Ops, memberState(m))
			}
			return w.Flush()
		},
	}
	addObject(cmd)
	return cmd
}

func memberState(m api.Member) string {
	switch {
	case m.Waiting:
		return "waits to be approved"
	case m.Revoked:
		return "revoked"
	case m.Expires != nil && m.Expires.Before(time.Now()):
		return "expired on " + m.Expires.Format(time.DateOnly)
	case m.Self:
		return "this node"
	case m.Forked:
		return "forked: signed two logs"
	case m.Retired:
		return "forgotten"
	}
	return ""
}

func membersApprove() *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use: "approve DEVICE", Short: "Let a device in that waits",
		Long: "Let a device in that waits: one that runs numax-node join with a token of network show. DEVICE is its name,\n" +
			"or the last 6 or more characters of its peer id, as members ls shows them. Roles: admin, writer, reader, relay.",
		Args: exactly(1, "DEVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := client(cmd) // only a running node knows who waits
			if err != nil {
				return err
			}
			m, err := c.Approve(cmd.Context(), args[0], role)
			if err != nil {
				return err
			}
			return show(cmd, m, "%s is a member: %s", m.Device, m.Role)
		},
	}
	addObject(cmd)
	cmd.Flags().StringVar(&role, "role", "writer", "`role` of the device")
	return cmd
}

func membersRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke DEVICE", Short: "Put a device out of a closed network",
		Long: "Put a device out of a closed network: it is disconnected from every member in reach, and nothing more is taken\n" +
			"from it. What members had of its writes before they heard of it stands. DEVICE is its name, or the last\n" +
			"6 or more characters of its peer id, as members ls shows them. What is written from now on is encrypted with a\n" +
			"key that it does not get. A member revokes itself to leave; an administrator can revoke one that left, too.",
		Args: exactly(1, "DEVICE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, _, done, err := open(cmd)
			if err != nil {
				return err
			}
			m, err := a.Revoke(cmd.Context(), args[0])
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			return show(cmd, m, "revoked %s %s", m.Device, m.Name)
		},
	}
	addObject(cmd)
	return cmd
}

func membersForget() *cobra.Command {
	cmd := &cobra.Command{
		Use: "forget MEMBER", Short: "Wait no more for a member that is gone for good",
		Long: "Wait no more for a member that is gone for good. Deleted fields and elements are kept until every member\n" +
			"has heard of the deletion; one that never comes back holds that up. MEMBER is a name of members ls, or the\n" +
			"end of one. If the device does come back, give it a new --data directory.",
		Args: exactly(1, "MEMBER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, dataset, done, err := open(cmd)
			if err != nil {
				return err
			}
			m, err := a.Forget(cmd.Context(), dataset, args[0])
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			return show(cmd, m, "forgot %s", m.Name)
		},
	}
	addObject(cmd)
	return cmd
}

func newDataset() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dataset", Short: "Mend a dataset", Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(datasetResync())
	return cmd
}

func datasetResync() *cobra.Command {
	cmd := &cobra.Command{
		Use: "resync --from PEER", Short: "Make the running node's state of a dataset that of a connected peer",
		Long: "Make the running node's state of a dataset that of a connected peer: for when a member forked its log (see\n" +
			"status) and nodes hold different halves. What this node's log has and the peer's state has not, stays.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			peer, err := cmd.Flags().GetString("from")
			if err != nil || peer == "" {
				return usagef("dataset resync: say from whom, with --from PEER: see numax-node peers")
			}
			s, err := loadSettings(cmd.Flags())
			if err != nil {
				return err
			}
			c, err := dial(&s)
			if err != nil {
				return err
			}
			if err := c.Resync(cmd.Context(), s.Dataset[0], peer); err != nil {
				return err
			}
			return show(cmd, map[string]string{"dataset": s.Dataset[0], "from": peer},
				"dataset %s is in the state of %s", s.Dataset[0], peer)
		},
	}
	cmd.Flags().String("from", "", "`peer id` of a connected peer")
	addObject(cmd)
	return cmd
}
