package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node/scaffold"
)

func newNew() *cobra.Command {
	cmd := &cobra.Command{
		Use: "new NAME", Short: "Make the folder of a new module, with its SDK",
		Example: "  numax-node new --lang rust thermo && cd thermo && numax-node build && numax-node run thermo.wasm",
		Args:    exactly(1, "a NAME for the module"),
		RunE: func(cmd *cobra.Command, args []string) error {
			lang, err := cmd.Flags().GetString("lang")
			if err != nil {
				return err
			}
			if lang == "" {
				return usagef("new: want --lang, one of %s", strings.Join(scaffold.Languages(), ", "))
			}
			if err := scaffold.New(args[0], lang); errors.Is(err, scaffold.ErrUsage) {
				return usageError{err}
			} else if err != nil {
				return err
			}
			return show(cmd, map[string]string{"dir": args[0]},
				fmt.Sprintf("%s is made: see %s", args[0], filepath.Join(args[0], "README.md")))
		},
	}
	cmd.Flags().String("lang", "", strings.Join(scaffold.Languages(), ", "))
	addJSON(cmd)
	return cmd
}

func newBuild() *cobra.Command {
	cmd := &cobra.Command{
		Use: "build [DIR]", Short: "Build a module with the tools of its language",
		Long: "Build compiles the module in DIR, the current folder by default, and puts the binary where its module.toml\n" +
			"says, DIR/NAME.wasm by default.",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("build: want at most one folder, got %d", len(args))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			file, err := scaffold.Build(ctx, append(args, ".")[0], stderr)
			if err != nil {
				return err
			}
			return show(cmd, map[string]string{"wasm": file}, file)
		},
	}
	addJSON(cmd)
	return cmd
}
