package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/numax-mesh/numax/node"
)

func newUp() *cobra.Command {
	cmd := &cobra.Command{
		Use: "up", Short: "Run a node until it is stopped (the default command)", Args: noArgs, RunE: runUp,
	}
	addSettings(cmd.Flags())
	addJSON(cmd)
	return cmd
}

func runUp(cmd *cobra.Command, _ []string) error {
	n, err := openNode(cmd)
	if err != nil {
		return err
	}
	return n.serve(context.Background(), func(ctx context.Context) error {
		if err := n.printReady(wantsJSON(cmd)); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	})
}

// openedNode is a node with what the command needs to end it.
type openedNode struct {
	*node.Node
	cfg node.Config
	log *slog.Logger
}

func openNode(cmd *cobra.Command) (*openedNode, error) {
	s, err := loadSettings(cmd.Flags())
	if err != nil {
		return nil, err
	}
	cfg, err := s.node()
	if err != nil {
		return nil, err
	}
	log, err := s.logger()
	if err != nil {
		return nil, err
	}
	slog.SetDefault(log)
	n, err := node.Open(cfg, log)
	if err != nil {
		return nil, err
	}
	switch network := n.Network(); {
	case cfg.Offline || cfg.NoSync:
	case network.Closed:
		log.Info("this network is closed: only members take part", "network", network.Name, "device", network.Device, "role", network.Role)
	default:
		log.Info("this network is open: any node that can reach this one and uses the same --network reads and writes its datasets; "+
			"numax-node network create NAME makes a closed one", "network", network.Name)
	}
	return &openedNode{n, cfg, log}, nil
}

// errForced ends the process when a stop takes too long, or was asked for
// twice.
var errForced = errors.New("stopped before everything was written: what commit acknowledged is on disk")

// serve runs the node and act until act returns or a signal comes; then it
// stops the node gracefully, within the shutdown timeout. A second signal does
// not wait.
func (n *openedNode) serve(ctx context.Context, act func(context.Context) error) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)

	ctx, stop := context.WithCancel(ctx) // ends act
	defer stop()
	running, stopNode := context.WithCancel(context.WithoutCancel(ctx))
	defer stopNode()
	nodeDone := make(chan error, 1)
	go func() { nodeDone <- n.Run(running) }()
	actDone := make(chan error, 1)
	go func() { actDone <- act(ctx) }()

	var actErr error
	select {
	case actErr = <-actDone:
	case <-signals:
		stop()
		select {
		case actErr = <-actDone:
		case <-signals:
			return errForced
		case <-time.After(n.cfg.ShutdownTimeout):
			return errForced
		}
	case err := <-nodeDone:
		return err
	}
	stopNode()
	select {
	case err := <-nodeDone:
		return errors.Join(actErr, err)
	case <-signals:
		return errForced
	case <-time.After(n.cfg.ShutdownTimeout):
		return errForced
	}
}

type readyEvent struct {
	Event         string   `json:"event"`
	PeerID        string   `json:"peer_id"`
	Addrs         []string `json:"addrs"`
	API           string   `json:"api"`
	Serve         string   `json:"serve,omitempty"`
	Observability string   `json:"observability,omitempty"`
}

func (n *openedNode) printReady(asJSON bool) error {
	e := readyEvent{"ready", n.ID(), n.Addrs(), n.API(), n.Serving(), n.Observability()}
	if asJSON {
		return printJSON(e)
	}
	line := "ready " + e.PeerID
	if e.API != "" {
		line += " api=" + e.API
	}
	if e.Serve != "" {
		line += " serve=http://" + e.Serve
	}
	if e.Observability != "" {
		line += " observability=" + e.Observability
	}
	for _, a := range e.Addrs {
		line += " " + a
	}
	return say(stdout, "%s\n", line)
}

// waiting shows on a terminal that something takes its time; in a pipe it is
// quiet.
func waiting(ctx context.Context, d time.Duration, what string) {
	end := time.NewTimer(d)
	defer end.Stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	show := errOnTerminal()
	began := time.Now()
	for {
		select {
		case <-tick.C:
			if show {
				progress(fmt.Sprintf("%s: %s of %s ", what, time.Since(began).Round(time.Second), d))
			}
			continue
		case <-end.C:
		case <-ctx.Done():
		}
		if show {
			progress(strings.Repeat(" ", len(what)+24))
			progress("")
		}
		return
	}
}
