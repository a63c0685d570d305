package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"rsc.io/qr"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

func newNetwork() *cobra.Command {
	cmd := &cobra.Command{
		Use: "network", Short: "Make a network that only members take part in", Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(networkCreate(), networkShow())
	return cmd
}

func networkCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Found a closed network, with this device as its first administrator",
		Long: "Found a closed network, with this device as its first administrator. Others get in by invite (invite create,\n" +
			"then join), and out by members revoke. What members write is encrypted. What the data directory holds of an\n" +
			"open network stays in that one: data export and import take it over.",
		Args: exactly(1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := nodeConfig(cmd)
			if err != nil {
				return err
			}
			name, err := deviceName(cmd)
			if err != nil {
				return err
			}
			n, err := node.FoundNetwork(cfg, args[0], name)
			if err != nil {
				return err
			}
			return show(cmd, n, "closed network %s: this device, %s, is its administrator\n"+
				"start it with numax-node up, and let others in with numax-node invite create", n.Name, n.Device)
		},
	}
	addDevice(cmd)
	return cmd
}

func networkShow() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show", Short: "Show the network, and a token with which a device can ask to be let in", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, _, done, err := open(cmd)
			if err != nil {
				return err
			}
			n, err := a.Network(cmd.Context())
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(n)
			}
			w := tabwriter.NewWriter(stdout, 0, 4, 2, ' ', 0)
			_ = say(w, "network\t%s\n", n.Name)
			_ = say(w, "id\t%s\n", n.ID)
			if !n.Closed {
				_ = say(w, "open\tanybody may take part\n")
				return w.Flush()
			}
			_ = say(w, "closed\t%s\n", count(uint64(n.Members), "member"))
			_ = say(w, "this device\t%s, %s\n", n.Device, or(n.Role, "no member"))
			_ = say(w, "token to ask with\t%s\n", n.Token)
			return w.Flush()
		},
	}
	addObject(cmd)
	return cmd
}

func newInvite() *cobra.Command {
	cmd := &cobra.Command{
		Use: "invite", Short: "Let devices into a closed network", Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(inviteCreate(), inviteList(), inviteWithdraw())
	return cmd
}

func inviteCreate() *cobra.Command {
	var uses int
	var role string
	var expires time.Duration
	cmd := &cobra.Command{
		Use: "create", Short: "Make a token that lets a device in",
		Long: "Make a token that lets a device in: there, numax-node join TOKEN. Whoever has it first, comes in; send it as\n" +
			"you would a password. Any administrator's running node takes it. Roles: admin, writer, reader, and relay,\n" +
			"which stores and forwards what it cannot read.",
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, _, done, err := open(cmd)
			if err != nil {
				return err
			}
			i := api.Invite{Role: role, Uses: uses}
			if expires > 0 {
				t := time.Now().Add(expires)
				i.Expires = &t
			} else if expires < 0 {
				err = usagef("invite create: --expires %v: want a time ahead, or 0 for none", expires)
			}
			if err == nil {
				i, err = a.Invite(cmd.Context(), i)
			}
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(i)
			}
			if onTerminal() {
				_ = say(stdout, "%s", text(qrText(i.Token)))
			}
			return say(stdout, "%s\n", i.Token)
		},
	}
	addObject(cmd)
	cmd.Flags().IntVar(&uses, "uses", 1, "how many devices it lets in")
	cmd.Flags().StringVar(&role, "role", "writer", "`role` of who comes in")
	cmd.Flags().DurationVar(&expires, "expires", 24*time.Hour, "how long it can be used; 0 for ever")
	return cmd
}

// qrBorder is how many light modules are around a code: less than the standard's
// four, which phones do without.
const qrBorder = 2

// qrText draws a token, in upper case, which takes less room: two modules to a
// character, light on a dark terminal. "" if it is too long.
func qrText(token string) string {
	code, err := qr.Encode(strings.ToUpper(token), qr.L)
	if err != nil {
		return ""
	}
	var b strings.Builder
	for y := -qrBorder; y < code.Size+qrBorder; y += 2 {
		for x := -qrBorder; x < code.Size+qrBorder; x++ {
			switch upper, lower := code.Black(x, y), code.Black(x, y+1); {
			case upper && lower:
				b.WriteByte(' ')
			case upper:
				b.WriteRune('▄')
			case lower:
				b.WriteRune('▀')
			default:
				b.WriteRune('█')
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func inviteList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ls", Short: "List the invites and how often they were used", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, _, done, err := open(cmd)
			if err != nil {
				return err
			}
			all, err := a.Invites(cmd.Context())
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(all)
			}
			w := tabwriter.NewWriter(stdout, 0, 4, 2, ' ', 0)
			_ = say(w, "INVITE\tROLE\tUSED\tEXPIRES\n")
			for _, i := range all {
				expires := "never"
				switch {
				case i.Closed:
					expires = "withdrawn"
				case i.Expires != nil:
					expires = i.Expires.Format(time.DateTime)
				}
				_ = say(w, "%s\t%s\t%d of %d\t%s\n", i.ID, i.Role, i.Used, i.Uses, expires)
			}
			return w.Flush()
		},
	}
	addObject(cmd)
	return cmd
}

func inviteWithdraw() *cobra.Command {
	cmd := &cobra.Command{
		Use: "withdraw INVITE", Short: "End an invite; who came by it stays", Args: exactly(1, "INVITE, an id of invite ls or its beginning"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, _, done, err := open(cmd)
			if err != nil {
				return err
			}
			i, err := a.Withdraw(cmd.Context(), args[0])
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			return show(cmd, i, "withdrew %s", i.ID)
		},
	}
	addObject(cmd)
	return cmd
}

func newJoin() *cobra.Command {
	var wait time.Duration
	cmd := &cobra.Command{
		Use: "join TOKEN", Short: "Make this device a member of a closed network",
		Long: "Make this device a member of a closed network, with a token of invite create, or of network show and an\n" +
			"administrator's approval. An administrator's node has to be running, on this LAN or at an address of the token.\n" +
			"With - in place of TOKEN it is read from standard input, one line: other users of this machine can see the\n" +
			"arguments of a command while it runs.",
		Args: exactly(1, "TOKEN, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			token, err := secretArg(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			s, err := loadSettings(cmd.Flags())
			if err != nil {
				return err
			}
			cfg, err := s.node()
			if err != nil {
				return err
			}
			log, err := s.logger()
			if err != nil {
				return err
			}
			name, err := deviceName(cmd)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, wait)
			defer cancel()
			waiting := func() {
				_ = say(stderr, "waiting to be approved: an administrator runs numax-node members approve %q\n", name)
			}
			n, err := node.JoinNetwork(ctx, cfg, token, name, waiting, log)
			if err != nil {
				return err
			}
			return show(cmd, n, "%s is a member of %s: %s\nstart it with numax-node up", n.Device, n.Name, n.Role)
		},
	}
	addSettings(cmd.Flags())
	addName(cmd)
	addJSON(cmd)
	cmd.Flags().DurationVar(&wait, "wait", time.Minute, "how long to look for who can decide")
	return cmd
}

// maxSecretLine is the longest line that secretArg reads, in bytes: a token has at most
// half of it.
const maxSecretLine = 8 << 10

// secretArg is an argument that others must not see, or the first line of standard input
// in its place, if the argument is "-".
func secretArg(in io.Reader, arg string) (string, error) {
	if arg != "-" {
		return arg, nil
	}
	line, err := bufio.NewReader(io.LimitReader(in, maxSecretLine)).ReadString('\n')
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return "", fmt.Errorf("read standard input: %w", err)
	case err != nil && len(line) == maxSecretLine:
		return "", usagef("-: standard input begins with a line of more than %d bytes: want a token", maxSecretLine)
	case strings.TrimSpace(line) == "":
		return "", usagef("-: standard input has nothing in its first line: want a token")
	}
	return strings.TrimSpace(line), nil
}

// addDevice adds the flags of commands about the device itself.
func addDevice(cmd *cobra.Command) {
	addObject(cmd)
	addName(cmd)
}

func addName(cmd *cobra.Command) {
	cmd.Flags().String("name", "", "`name` of this device for the others (default the host's name)")
}

func deviceName(cmd *cobra.Command) (string, error) {
	name, err := cmd.Flags().GetString("name")
	if err == nil && name == "" {
		name, err = os.Hostname()
	}
	return name, err
}
