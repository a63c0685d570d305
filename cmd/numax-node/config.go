package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const defaultConfigFile = "numax.toml"

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Write, check and show the configuration", Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(configInit(), configValidate(), configShow())
	return cmd
}

func configInit() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "init [FILE]", Short: "Write a config file with every setting and its default (FILE: " + defaultConfigFile + "; - for stdout)",
		Args: atMostFile,
		RunE: func(_ *cobra.Command, args []string) error {
			file := fileArg(args)
			if file == "-" {
				err := say(stdout, "%s", text(configText()))
				return err
			}
			mode := os.O_WRONLY | os.O_CREATE | os.O_EXCL
			if force {
				mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
			}
			f, err := os.OpenFile(file, mode, 0o644)
			if errors.Is(err, fs.ErrExist) {
				return fmt.Errorf("config init: %s is there already: use --force to overwrite it", file)
			}
			if err != nil {
				return fmt.Errorf("config init: %w", err)
			}
			_, err = f.WriteString(configText())
			if err := errors.Join(err, f.Close()); err != nil {
				return fmt.Errorf("config init: %w", err)
			}
			err = say(stdout, "wrote %s\n", file)
			return err
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "overwrite the file")
	return cmd
}

func atMostFile(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usagef("%s: want at most one FILE", cmd.CommandPath())
	}
	return nil
}

func fileArg(args []string) string {
	if len(args) == 0 {
		return defaultConfigFile
	}
	return args[0]
}

// configText is a config file with every setting at its default.
func configText() string {
	var b strings.Builder
	b.WriteString("# Configuration of numax-node. Flags and NUMAX_* variables win over this file.\n")
	for _, s := range table {
		fmt.Fprintf(&b, "\n# %s\n", strings.ReplaceAll(s.help, "`", ""))
		v := s.value
		if d, ok := v.(time.Duration); ok {
			v = d.String()
		}
		line, err := toml.Marshal(map[string]any{s.name: v})
		if err != nil {
			panic(err) // the table is a constant
		}
		b.Write(line)
	}
	return b.String()
}

func configValidate() *cobra.Command {
	return &cobra.Command{
		Use: "validate [FILE]", Short: "Check a config file (FILE: " + defaultConfigFile + ")", Args: atMostFile,
		RunE: func(_ *cobra.Command, args []string) error {
			file := fileArg(args)
			f := pflag.NewFlagSet("", pflag.ContinueOnError)
			addSettings(f)
			if err := f.Set("config", file); err != nil {
				return err
			}
			s, err := loadSettings(f)
			if err == nil {
				_, err = s.node()
			}
			if err == nil {
				_, err = s.logger()
			}
			if err != nil {
				return fmt.Errorf("%w", plain(err))
			}
			err = say(stdout, "%s: ok\n", file)
			return err
		},
	}
}

// plain takes the usage mark off an error: a wrong file is a failure, not a
// wrong command line.
func plain(err error) error {
	var u usageError
	if errors.As(err, &u) {
		return u.err
	}
	return err
}

func configShow() *cobra.Command {
	var effective bool
	cmd := &cobra.Command{
		Use: "show", Short: "Print the settings; --effective merges file, environment and flags", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !effective && !cmd.Flags().Changed("config") {
				err := say(stdout, "%s", text(configText()))
				return err
			}
			s, err := loadSettings(cmd.Flags())
			if err != nil {
				return err
			}
			if _, err := s.node(); err != nil {
				return err
			}
			out := make(map[string]any, len(table))
			b, err := toml.Marshal(shown(s))
			if err != nil {
				return err
			}
			if err := toml.Unmarshal(b, &out); err != nil {
				return err
			}
			if wantsJSON(cmd) {
				return printJSON(out)
			}
			_, err = stdout.Write(b)
			return err
		},
	}
	addSettings(cmd.Flags())
	addJSON(cmd)
	cmd.Flags().BoolVar(&effective, "effective", false, "merge defaults, file, environment and flags")
	return cmd
}

// shown is settings with durations as a config file has them.
func shown(s settings) any {
	type plainSettings settings
	return struct {
		plainSettings
		HistoryAge      string `toml:"history-age"`
		ShutdownTimeout string `toml:"shutdown-timeout"`
	}{plainSettings(s), s.HistoryAge.String(), s.ShutdownTimeout.String()}
}
