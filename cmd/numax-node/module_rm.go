package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

func (o offlineModules) RemoveModule(ctx context.Context, name string, purge bool) (api.Leftover, error) {
	return node.RemoveModule(ctx, o.cfg, name, purge)
}

func moduleRm() *cobra.Command {
	var purge, keep bool
	cmd := onNode(&cobra.Command{
		Use: "rm NAME", Short: "End a module for good; keep or delete its private keys and blobs",
		Long: "End a module for good, and drop the messages it sent that nobody has taken yet. What it wrote in datasets stays.\n" +
			"Its private keys (db_*) and its blobs stay too, and a module that is added under this name has them, unless\n" +
			"--purge deletes them; that works later as well. On a terminal it asks. status shows what is left.",
		Example: "  numax-node module rm sensor --purge",
		Args:    exactly(1, "NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if purge && keep {
				return usagef("module rm: --purge deletes what --keep keeps: give one of them")
			}
			a, _, err := openModules(cmd)
			if err != nil {
				return err
			}
			if !purge && !keep && isTerminal(os.Stdin) && !isNull(os.Stdin) {
				purge, err = confirm(os.Stdin, stderr, "Delete the private keys and blobs of "+args[0]+" too?")
				if err != nil {
					return err
				}
			}
			left, err := a.RemoveModule(cmd.Context(), args[0], purge)
			if err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(left)
			}
			if left.Empty() {
				return nil
			}
			return say(stdout, "%s is removed; what stays is %s: numax-node module rm %s --purge deletes it\n", left.Module, leftText(left), left.Module)
		},
	})
	cmd.Flags().BoolVar(&purge, "purge", false, "delete the module's private keys and blobs, also when it was removed before")
	cmd.Flags().BoolVar(&keep, "keep", false, "keep them, and do not ask")
	return cmd
}

// confirm asks a person, whose answer is no unless it begins with y.
func confirm(in io.Reader, out io.Writer, question string) (bool, error) {
	if err := say(out, "%s [y/N] ", question); err != nil {
		return false, err
	}
	line, err := bufio.NewReader(in).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("read the answer: %w", err)
	}
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(line)), "y"), nil
}

// leftText says what is kept of a module.
func leftText(l api.Leftover) string {
	var parts []string
	if l.Keys > 0 {
		parts = append(parts, count(uint64(l.Keys), "private key"))
	}
	if l.Blobs > 0 {
		parts = append(parts, fmt.Sprintf("%s (%d bytes)", count(uint64(l.Blobs), "blob"), l.BlobBytes))
	}
	if l.Messages > 0 {
		parts = append(parts, count(uint64(l.Messages), "message"))
	}
	return strings.Join(parts, ", ")
}
