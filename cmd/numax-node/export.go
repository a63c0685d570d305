package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

func dataExport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "export [FILE]", Short: "Write every object's value, a line of JSON each, to FILE or standard output",
		Args: atMostOne("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			a, dataset, done, err := open(cmd)
			if err != nil {
				return err
			}
			err = toFile(args, jsonOut, func(w io.Writer) error { return a.Export(cmd.Context(), dataset, w) })
			return errors.Join(err, done())
		},
	}
	addObject(cmd)
	return cmd
}

func dataImport() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import [FILE]", Short: "Bring objects to the values of an export, from FILE or standard input",
		Long: "Bring objects to the values of an export, from FILE or standard input. Registers and map fields are set,\n" +
			"set elements added, counters counted by the difference, empty sequences filled. What is here and not in\n" +
			"the export stays. Doing it twice changes nothing more.",
		Args: atMostOne("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			in := io.Reader(os.Stdin)
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fmt.Errorf("import: %w", err)
				}
				defer f.Close()
				in = f
			}
			a, dataset, done, err := open(cmd)
			if err != nil {
				return err
			}
			r, err := a.Import(cmd.Context(), dataset, in)
			if err := errors.Join(err, done()); err != nil {
				return err
			}
			return show(cmd, r, "%s changed, %d left as they are", count(uint64(r.Changed), "object"), r.Left)
		},
	}
	addObject(cmd)
	return cmd
}

func atMostOne(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usagef("%s: want at most %s", within(cmd), what)
		}
		return nil
	}
}

// toFile lets write write a file that is there whole or not at all; standard
// output without a name, or with -: to out, or as bytes if that is nil.
func toFile(args []string, out io.Writer, write func(io.Writer) error) (err error) {
	if len(args) == 0 || args[0] == "-" {
		if out == nil {
			if out, err = rawOut(); err != nil {
				return err
			}
		}
		return write(out)
	}
	part := args[0] + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is being written by another command, or was left by one that was killed: remove it", part)
	}
	if err != nil {
		return err
	}
	err = write(f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(part, args[0])
	}
	if err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return nil
}
