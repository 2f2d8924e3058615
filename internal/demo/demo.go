// Package demo shows on one machine what Telamon does: a primary with two
// replicas, the proxy in front of them, and a dozen statements with the server
// that answered each and the reason.
package demo

import (
	"context"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/telamondb/telamon/internal/localproxy"
	"github.com/telamondb/telamon/internal/localserver"
)

// Options say what to run and where. All fields are required.
type Options struct {
	Binary                string // the telamon program
	Listen, Console, HTTP string // addresses of the proxy
	Once                  bool   // end after the table instead of staying up
	Out                   io.Writer
	Explain               func(reason string) string // a reason of SHOW ROUTES in a sentence
}

// Run runs the demo. Without Once it stays up until ctx ends, which is no error
// then. Nothing is left running and no file is left behind when it returns.
func Run(ctx context.Context, opts Options) error {
	d := &demo{Options: opts, begin: time.Now()}
	if err := d.checkPorts(); err != nil {
		return err
	}
	if err := d.provideMariaDB(ctx); err != nil {
		return err
	}
	return d.withServers(ctx)
}

type demo struct {
	Options
	begin time.Time
}

// step prints one line of progress.
func (d *demo) step(format string, args ...any) {
	fmt.Fprintf(d.Out, "%5.1f s  %s\n", time.Since(d.begin).Seconds(), fmt.Sprintf(format, args...))
}

// checkPorts fails early and names the flag to use.
func (d *demo) checkPorts() error {
	for _, p := range []struct{ flag, address string }{
		{"--listen", d.Listen}, {"--console", d.Console}, {"--http", d.HTTP},
	} {
		l, err := net.Listen("tcp", p.address)
		if err != nil {
			return fmt.Errorf("%w: stop what uses it, or choose another address with %s HOST:PORT", err, p.flag)
		}
		l.Close()
	}
	return nil
}

func (d *demo) provideMariaDB(ctx context.Context) error {
	if localserver.Available(localserver.MariaDB) == nil {
		return nil
	}
	d.step("MariaDB is not installed here: installing Debian's")
	return localserver.Install(ctx, localserver.MariaDB, d.Out)
}

func (d *demo) withServers(ctx context.Context) (err error) {
	cluster, err := localserver.StartCluster(ctx, localserver.ClusterOptions{
		Flavour: localserver.MariaDB, Replicas: 2, Plain: true,
		Progress: func(message string) { d.step("%s", message) },
	})
	if err != nil {
		return err
	}
	defer func() {
		d.step("stopping the servers and removing their data")
		if closeErr := cluster.Close(); err == nil {
			err = closeErr
		}
	}()
	d.step("starting telamon on %s, console on %s, HTTP on %s", d.Listen, d.Console, d.HTTP)
	proxy, err := localproxy.Start(ctx, d.Binary, localproxy.Config{
		Listen: d.Listen, Console: d.Console, HTTP: d.HTTP,
		Backends: localproxy.Backends(cluster, 1, 5),
	})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := proxy.Close(); err == nil {
			err = closeErr
		}
	}()
	if err := d.awaitBackends(ctx, proxy, cluster); err != nil {
		return err
	}
	if err := d.show(ctx, proxy, cluster); err != nil {
		return err
	}
	if d.Once {
		return nil
	}
	return d.stayUp(ctx, proxy, cluster)
}

// awaitBackends waits until the proxy has found every server healthy.
func (d *demo) awaitBackends(ctx context.Context, proxy *localproxy.Proxy, cluster *localserver.Cluster) error {
	d.step("waiting until telamon has checked all servers")
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, s := range cluster.Servers() {
		for {
			state, err := proxy.BackendState(ctx, s.Addr())
			if err != nil {
				return err
			}
			if state == "up" {
				break
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("telamon says that %s is %q; its log ends with:\n%s", s, state, proxy.LogTail(20))
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	return nil
}

// stayUp tells how to connect and waits for the end of ctx.
func (d *demo) stayUp(ctx context.Context, proxy *localproxy.Proxy, cluster *localserver.Cluster) error {
	host, port := split(d.Listen)
	consoleHost, consolePort := split(d.Console)
	fmt.Fprintf(d.Out, `
Everything stays up until Ctrl-C. From another terminal:

  the application's view   mariadb -h%s -P%s -u%s -p%s %s
  the DBA's console        mariadb -h%s -P%s -u%s -p%s -e "SELECT * FROM backends"
  why does it go there?    mariadb -h%s -P%s -u%s -p%s -e "EXPLAIN ROUTE SELECT 1 FOR UPDATE"
  status page              http://%s/   (%s / %s)

  servers, past the proxy:
`,
		host, port, localserver.AppUser, localserver.AppPassword, localserver.AppSchema,
		consoleHost, consolePort, localproxy.ConsoleUser, localproxy.ConsolePassword,
		consoleHost, consolePort, localproxy.ConsoleUser, localproxy.ConsolePassword,
		d.HTTP, localproxy.HTTPUser, localproxy.HTTPPassword)
	for _, s := range cluster.Servers() {
		fmt.Fprintf(d.Out, "    %-10s mariadb -h127.0.0.1 -P%d -u%s -p%s   (kill -9 %d and see what happens)\n",
			nameOf(s), s.Port(), localserver.DBAUser, localserver.DBAPassword, s.PID())
	}
	select {
	case <-ctx.Done():
		fmt.Fprintln(d.Out)
		return nil
	case <-proxy.Done():
		return fmt.Errorf("telamon has ended (%v); its log ends with:\n%s", proxy.Err(), proxy.LogTail(20))
	}
}

func split(address string) (host, port string) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return address, ""
	}
	return host, port
}

// nameOf is what the demo calls a server of its cluster.
func nameOf(s *localserver.Server) string {
	if s.ServerID() == 1 {
		return "primary"
	}
	return fmt.Sprintf("replica %d", s.ServerID()-1)
}
