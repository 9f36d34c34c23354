// Command waybill is the daemon and everything that people do with it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"os/user"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"waybill/cmd/internal/admin"
	"waybill/cmd/internal/config"
)

func main() {
	ctx, stop := onSignals(context.Background())
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, terminal: isTerminal(os.Stdin), zone: time.Local, now: time.Now, by: person()}
	code := a.execute(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// onSignals returns a context that ends with the first SIGINT or SIGTERM. The second ends the process.
func onSignals(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
			return
		}
		second := <-signals
		fmt.Fprintln(os.Stderr, "waybill: second signal, ending at once; what was under way is verified at the next start")
		os.Exit(128 + int(second.(syscall.Signal)))
	}()
	return ctx, func() { signal.Stop(signals); cancel() }
}

// app is what every command shares: where it reads and writes, and the flags that all have.
type app struct {
	in       io.Reader
	out, err io.Writer
	terminal bool           // a person can answer
	zone     *time.Location // of the times that people read
	now      func() time.Time
	by       string // who decides, for the audit

	configFile string
	json       bool
}

// commands is the registration table, in the order of the help.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		runCommand(a),
		checkCommand(a),
		planCommand(a),
		statusCommand(a),
		eventsCommand(a),
		traceCommand(a),
		caseCommand(a),
		exceptionsCommand(a),
		laneCommand(a),
		sinkCommand(a),
		reloadCommand(a),
		reportCommand(a),
		xrefCommand(a),
		masterCommand(a),
		auditCommand(a),
		snapshotCommand(a),
		checkpointCommand(a),
		replayCommand(a),
		mapCommand(a),
		demoCommand(a),
		versionCommand(a),
	}
}

// execute runs one command and returns the exit code.
func (a *app) execute(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !errors.As(err, new(shownError)) {
		a.report(err)
	}
	return exitCode(err)
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "waybill",
		Short: "Keeps the ERP right from the logs of the dispatch and billing databases",
		Long: `Waybill tails the logs of the dispatch and billing databases, turns row changes into business events, and
delivers customers and invoices to the ERP, each exactly once and in order.

Start with:  waybill check   then  waybill plan   then  waybill run`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          subcommands,
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return &usageError{err.Error(), c.CommandPath() + " --help"} })
	root.CompletionOptions.DisableDefaultCmd = true
	standard := os.Getenv("WAYBILL_CONFIG")
	if standard == "" {
		standard = "waybill.yaml"
	}
	root.PersistentFlags().StringVarP(&a.configFile, "config", "c", standard, "configuration file (or $WAYBILL_CONFIG)")
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON for programs instead of text for people")
	root.AddCommand(a.commands()...)
	return root
}

// subcommands is the RunE of a command that only groups others.
func subcommands(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return usage(c.CommandPath()+" --help", "%s has no command %q; %s", c.CommandPath(), args[0], meant(args[0], names))
}

// load reads the configuration that -c names.
func (a *app) load() (*config.Config, error) { return config.Load(a.configFile) }

// daemon returns a client of the running daemon. Nothing is opened before the first call.
func (a *app) daemon() (*admin.Client, error) {
	c, err := a.load()
	if err != nil {
		return nil, err
	}
	return admin.Dial(c.Admin.Socket, a.configFile), nil
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// person names who gives the command: user@host.
func person() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if sudo := os.Getenv("SUDO_USER"); sudo != "" && name == "root" {
		name = sudo + " (root)"
	}
	if host, err := os.Hostname(); err == nil {
		name += "@" + host
	}
	return name
}
