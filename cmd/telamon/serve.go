package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"go.uber.org/zap"
)

// newServeCommand runs the proxy in the foreground.
func newServeCommand() *cobra.Command {
	var config, defaults string
	cmd := &cobra.Command{
		Use:   "serve --config FILE",
		Short: "Run the proxy in the foreground",
		Long: `serve runs the proxy in the foreground until it gets a signal.

TERM stops accepting, lets statements and transactions finish and exits; INT
exits at once. HUP reloads the configuration and reopens the log. USR2 refuses
new clients that come from one of proxy.lb_ips, so that a load balancer turns
to another proxy; USR1 ends that.`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case config == "" && defaults == "":
				return usageError(cmd, errors.New("which configuration? --config FILE is needed"))
			case config != "" && defaults != "" && config != defaults:
				return usageError(cmd, errors.New("--config and --defaults-file name different files"))
			case config == "":
				config = defaults
			}
			return serve(cmd, config)
		},
	}
	cmd.Flags().StringVar(&config, "config", "", "configuration file")
	cmd.Flags().StringVar(&defaults, "defaults-file", "", "the same, as Atlas called it")
	return cmd
}

func serve(cmd *cobra.Command, path string) error {
	cfg, warnings, err := loadConfig(path, cmd.ErrOrStderr())
	if err != nil {
		return err
	}
	log, err := newLogger(cfg.Log)
	if err != nil {
		return err
	}
	d, err := newDaemon(path, cfg, log)
	if err != nil {
		return err
	}
	// The signals are caught before the ports open: whoever sees a port open
	// may send one.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	defer signal.Stop(signals)
	if err := d.listen(); err != nil {
		return err
	}
	if cfg.Log.Path != "" { // on stderr they are already
		d.logWarnings(warnings)
	}
	log.Info("starting", zap.String("version", programVersion()), zap.String("config", path), zap.Int("pid", os.Getpid()))
	serving, stop := context.WithCancel(cmd.Context())
	defer stop()
	now, abort := context.WithCancel(context.Background())
	defer abort()
	done := make(chan error, 1)
	go func() { done <- d.run(serving, now) }()
	for {
		select {
		case err := <-done:
			log.Info("stopped")
			return err
		case sig := <-signals:
			d.signal(sig, stop, abort)
		}
	}
}

// signal does what a signal asks for.
func (d *daemon) signal(sig os.Signal, stop, abort context.CancelFunc) {
	d.log.Info("signal", zap.Stringer("signal", sig))
	switch sig {
	case syscall.SIGINT:
		abort()
		stop()
	case syscall.SIGTERM:
		stop()
	case syscall.SIGHUP:
		d.hangup(context.Background())
	case syscall.SIGUSR1:
		d.proxy.SetOffline(false)
	case syscall.SIGUSR2:
		d.proxy.SetOffline(true)
	}
}
