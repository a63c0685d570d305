package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node/module"
)

func newModule() *cobra.Command {
	cmd := &cobra.Command{
		Use: "module", Short: "Keep modules running; look into them, pack, sign and verify them",
		Long: "Keep modules running on the node of --data, also when none runs just now: what is added, started and stopped\n" +
			"holds when a node starts there. PATH is a folder with " + module.ManifestName + ", or a bundle (" + module.BundleExt + "). What looks into modules,\n" +
			"packs, signs and verifies needs no node, and takes a .wasm by itself too.",
		Args: noSubcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(moduleAdd(), moduleLs(), moduleRm(), moduleLogs(), moduleReload(),
		moduleAct("start", "Run a module that was stopped", moduleAccess.StartModule),
		moduleAct("stop", "End a module, until it is started again", moduleAccess.StopModule),
		moduleAct("restart", "End a module and begin it anew; also one that was given up", moduleAccess.RestartModule),
		moduleInspect(), modulePack(), moduleKeygen(), moduleSign(), moduleVerify())
	return cmd
}

func moduleInspect() *cobra.Command {
	cmd := &cobra.Command{
		Use: "inspect PATH", Short: "Show what a module is, asks for, lacks, and who signed it",
		Args: exactly(1, "PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := module.Open(args[0])
			if err != nil {
				return err
			}
			b, err := module.ReadBinary(p.Wasm)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			v := viewOf(p, b)
			if wantsJSON(cmd) {
				return printJSON(v)
			}
			return v.print(stdout)
		},
	}
	addJSON(cmd)
	return cmd
}

func modulePack() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "pack DIR", Short: "Make a bundle of a folder with " + module.ManifestName,
		Long: "Make a bundle of a folder: " + module.ManifestName + ", the binary and the files it names, and the signatures if there\n" +
			"are any. The bundle has the hash of the folder. A bundle of that name is replaced.",
		Args: exactly(1, "DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			p, err := module.Open(args[0])
			if err != nil {
				return err
			}
			b, err := p.Bundle()
			if err != nil {
				return err
			}
			if out == "" {
				out = p.Manifest.Name + module.BundleExt
			}
			if err := writeShared(out, b); err != nil || out == "-" {
				return err
			}
			return show(cmd, map[string]any{"file": out, "hash": hash(p), "bytes": len(b)}, out)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "`file` to write, - for standard output (default NAME"+module.BundleExt+" here)")
	addJSON(cmd)
	return cmd
}

func moduleKeygen() *cobra.Command {
	cmd := &cobra.Command{
		Use: "keygen FILE", Short: "Make a key to sign modules with, and print its public key",
		Long: "Make a key to sign modules with, and print its public key, which is what others need. Keep the file: whoever\n" +
			"has it can sign as you.",
		Args: exactly(1, "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			k, err := module.GenerateKey()
			if err == nil {
				err = k.Write(args[0])
			}
			if err != nil {
				return err
			}
			return show(cmd, map[string]any{"file": args[0], "public_key": k.Public()}, "%s", k.Public())
		},
	}
	addJSON(cmd)
	return cmd
}

func moduleSign() *cobra.Command {
	var keyFile string
	var detached bool
	cmd := &cobra.Command{
		Use: "sign PATH --key FILE", Short: "Sign what is in a module",
		Long: "Sign what is in a module. The signature goes into the bundle or folder (" + module.SignaturesName + "); for a .wasm, and with\n" +
			"--detached, into PATH" + module.SignaturesExt + ". Signatures by others stay.",
		Args: exactly(1, "PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keyFile == "" {
				return usagef("%s: want --key FILE: make one with numax-node module keygen FILE", within(cmd))
			}
			k, err := module.ReadKey(keyFile)
			if err != nil {
				return err
			}
			p, err := module.Open(args[0])
			if err != nil {
				return err
			}
			p.Add(p.Sign(k))
			file, err := writeSigned(p, detached)
			if err != nil {
				return err
			}
			return show(cmd, map[string]any{"file": file, "hash": hash(p), "public_key": k.Public()}, "signed %s as %s in %s", hash(p), k.Public(), file)
		},
	}
	cmd.Flags().StringVar(&keyFile, "key", "", "`file` with the key, made by module keygen")
	cmd.Flags().BoolVar(&detached, "detached", false, "write PATH"+module.SignaturesExt+" and leave a bundle as it is")
	addJSON(cmd)
	return cmd
}

// writeSigned puts the signatures where Open finds them, and says where.
func writeSigned(p *module.Package, detached bool) (file string, err error) {
	info, err := os.Stat(p.Path)
	if err != nil {
		return "", err
	}
	var b []byte
	switch file = p.Path; {
	case info.IsDir() && detached:
		return "", usagef("module sign: a folder has its signatures in it: leave out --detached")
	case info.IsDir():
		file = filepath.Join(file, module.SignaturesName)
		b, err = p.EncodeSignatures()
	case detached || p.Manifest == nil:
		file += module.SignaturesExt
		b, err = p.EncodeSignatures()
	default:
		b, err = p.Bundle()
	}
	if err != nil {
		return "", err
	}
	return file, writeShared(file, b)
}

func moduleVerify() *cobra.Command {
	var public []string
	cmd := &cobra.Command{
		Use: "verify PATH --key PUBLIC-KEY…", Short: "Check that one of the keys signed what is in a module",
		Args: exactly(1, "PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(public) == 0 {
				return usagef("%s: want --key PUBLIC-KEY, which module keygen printed", within(cmd))
			}
			keys := make([]module.PublicKey, len(public))
			for i, t := range public {
				var err error
				if keys[i], err = module.ParsePublicKey(t); err != nil {
					return usagef("%s: --key %q: %w", within(cmd), t, err)
				}
			}
			p, err := module.Open(args[0])
			if err == nil {
				err = p.Verify(keys)
			}
			if err != nil {
				return err
			}
			return show(cmd, map[string]any{"hash": hash(p), "signed_by": p.SignedBy()}, "ok: %s is signed by %s", hash(p), strings.Join(texts(p.SignedBy()), ", "))
		},
	}
	cmd.Flags().StringArrayVar(&public, "key", nil, "public `key`, nxpub1…; repeatable, one is enough")
	addJSON(cmd)
	return cmd
}

// writeShared writes a file for others to read: there is no secret in a module.
func writeShared(file string, b []byte) error {
	err := toFile([]string{file}, nil, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
	if err != nil || file == "-" {
		return err
	}
	return os.Chmod(file, 0o644)
}

func hash(p *module.Package) string { return hex.EncodeToString(p.Hash[:]) }

func texts[T fmt.Stringer](list []T) []string {
	all := make([]string, len(list))
	for i, x := range list {
		all[i] = x.String()
	}
	return all
}
