package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node"
	"github.com/numax-mesh/numax/node/api"
)

// Snapshots without a name of their own lie here, below --data.
const (
	snapshotsDir = "snapshots"
	snapshotExt  = ".numax"
)

func newSnapshot() *cobra.Command {
	cmd := &cobra.Command{
		Use: "snapshot", Short: "Write and restore a dataset as one file",
		Long: "Write and restore a dataset as one file: its objects and versions, and the db_* keys of the node, signed by\n" +
			"it. It is not encrypted, also in a closed network: keep it as you keep --data. A restore joins the file with\n" +
			"what is there, and the node goes on as a new author.",
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(snapshotCreate(), snapshotList(), snapshotVerify(), snapshotRestore())
	return cmd
}

func snapshotCreate() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create [FILE]", Short: "Write a snapshot, with or without a running node",
		Args: atMostOne("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := loadSettings(cmd.Flags())
			if err != nil {
				return err
			}
			a, dataset, done, err := open(cmd)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				dir := filepath.Join(s.Data, snapshotsDir)
				if err := os.MkdirAll(dir, 0o700); err != nil {
					return errors.Join(err, done())
				}
				name := strings.Map(fileRune, dataset) + time.Now().UTC().Format("-20060102T150405.000Z") + snapshotExt
				args = []string{filepath.Join(dir, name)}
			}
			err = toFile(args, nil, func(w io.Writer) error { return a.Snapshot(cmd.Context(), dataset, w) })
			if err := errors.Join(err, done()); err != nil || args[0] == "-" {
				return err
			}
			info, err := inspect(args[0], false)
			if err != nil {
				return err
			}
			return show(cmd, info, "%s", args[0])
		},
	}
	addObject(cmd)
	return cmd
}

// fileRune keeps what every file system takes in a name.
func fileRune(r rune) rune {
	if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '.' {
		return r
	}
	return '_'
}

func snapshotList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Short: "List the snapshots below --data", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := loadSettings(cmd.Flags())
			if err != nil {
				return err
			}
			files, err := filepath.Glob(filepath.Join(s.Data, snapshotsDir, "*"+snapshotExt))
			if err != nil {
				return err
			}
			all := []api.Snapshot{}
			for _, f := range files {
				info, err := inspect(f, false)
				if err != nil {
					_ = say(stderr, "numax-node: %s\n", oneLine(err.Error()))
					continue
				}
				all = append(all, info)
			}
			if wantsJSON(cmd) {
				return printJSON(all)
			}
			if len(all) == 0 {
				return say(stdout, "no snapshots\n")
			}
			w := tabwriter.NewWriter(stdout, 0, 4, 2, ' ', 0)
			_ = say(w, "DATASET\tTIME\tOPS\tBYTES\tFILE\n")
			for _, i := range all {
				_ = say(w, "%s\t%s\t%d\t%d\t%s\n", i.Dataset, i.Time.Format(time.DateTime), i.Ops, i.Bytes, i.File)
			}
			return w.Flush()
		},
	}
	addObject(cmd)
	return cmd
}

func inspect(file string, verify bool) (api.Snapshot, error) {
	f, err := os.Open(file)
	if err != nil {
		return api.Snapshot{}, err
	}
	defer f.Close()
	info, err := node.SnapshotInfo(f, verify)
	if err != nil {
		return info, fmt.Errorf("%s: %w", file, err)
	}
	stat, err := f.Stat()
	if err == nil {
		info.File, info.Bytes = file, stat.Size()
	}
	return info, err
}

func snapshotVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use: "verify FILE", Short: "Check that a snapshot is whole, readable and as its maker signed it",
		Args: exactly(1, "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := inspect(args[0], true)
			if err != nil {
				return err
			}
			return show(cmd, info, "ok: dataset %s, %s by %s in %s, made %s by %s", info.Dataset, count(info.Ops, "op"),
				count(uint64(info.Authors), "author"), count(info.Rows, "row"), info.Time.Format(time.DateTime), info.By)
		},
	}
	addJSON(cmd)
	return cmd
}

func snapshotRestore() *cobra.Command {
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Join a snapshot with the data of --data, on which no node may be running",
		Long: "Join a snapshot with the data of --data, which is made if there is none and on which no node may be\n" +
			"running. What is there and not in the snapshot stays. The node goes on as a new author.",
		Args: exactly(1, "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := nodeConfig(cmd)
			if err != nil {
				return err
			}
			f, err := os.Open(args[0])
			if err != nil {
				if errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("snapshot %s: there is no such file", args[0])
				}
				return err
			}
			defer f.Close()
			// Nothing is made for a file that is no snapshot, or of another network.
			is, err := inspect(args[0], true)
			if err == nil {
				err = node.CheckRestore(cfg, is)
			}
			if err != nil {
				return err
			}
			cfg.Datasets = nil // that of the snapshot
			d, closer, err := node.OpenData(cfg, false)
			if err != nil {
				return err
			}
			info, err := d.Restore(cmd.Context(), f)
			if err := errors.Join(err, closer.Close()); err != nil {
				return err
			}
			return show(cmd, info, "restored dataset %s: %s by %s; start the node with --dataset %s\n"+
				"it writes on as a new member; if its former self is gone for good: numax-node members forget", info.Dataset,
				count(info.Ops, "op"), count(uint64(info.Authors), "author"), info.Dataset)
		},
	}
	addObject(cmd)
	return cmd
}
