package localserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// Cluster is a primary and its replicas, connected by GTID replication.
// server_id is 1 on the primary, 2 and up on the replicas.
type Cluster struct {
	Primary  *Server
	Replicas []*Server

	dir string
}

// ClusterOptions describe a cluster.
type ClusterOptions struct {
	Flavour  Flavour
	Replicas int
	Args     []string             // further options of every server
	TLS      *TLS                 // of every server, as in Options
	Plain    bool                 // of every server, as in Options
	Progress func(message string) // told about every step; may be nil; called from one goroutine at a time
}

// StartCluster starts all servers and returns when every replica has applied all
// that the primary has. The caller must Close it.
func StartCluster(ctx context.Context, opts ClusterOptions) (_ *Cluster, err error) {
	progress := opts.Progress
	if progress == nil {
		progress = func(string) {}
	}
	bin, err := find(opts.Flavour)
	if err != nil {
		return nil, err
	}
	dir, err := makeDir(opts.Plain)
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	progress(fmt.Sprintf("initialising %s in %s", opts.Flavour, dir))
	from, release, err := template(ctx, opts.Flavour, bin, opts.Plain)
	if err != nil {
		return nil, err
	}
	progress(fmt.Sprintf("starting a primary and %d replicas", opts.Replicas))
	servers, err := startCopies(ctx, opts, bin, from, dir)
	err = errors.Join(err, release())
	for i, s := range servers {
		switch {
		case s == nil:
		case i == 0:
			c.Primary = s
		default:
			c.Replicas = append(c.Replicas, s)
		}
	}
	if err != nil {
		return nil, err
	}
	progress("connecting the replicas to the primary")
	if err := c.replicate(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// startCopies starts the primary (index 0) and the replicas at once, in dir and on
// copies of a template. With an error it still returns those that run.
func startCopies(ctx context.Context, opts ClusterOptions, bin binaries, from, dir string) ([]*Server, error) {
	servers := make([]*Server, opts.Replicas+1)
	err := inParallel(len(servers), func(i int) error {
		own := filepath.Join(dir, fmt.Sprintf("server%d", i+1))
		if err := os.Mkdir(own, 0o755); err != nil {
			return err
		}
		if err := copyData(ctx, from, own); err != nil {
			return err
		}
		var err error
		servers[i], err = newServer(ctx, Options{Flavour: opts.Flavour, ServerID: uint32(i + 1), Args: opts.Args, TLS: opts.TLS, Plain: opts.Plain}, bin, own)
		return err
	})
	return servers, err
}

func (c *Cluster) replicate(ctx context.Context) error {
	if err := c.Primary.resetGTIDs(ctx); err != nil {
		return err
	}
	if err := c.Primary.Exec(ctx, "CREATE DATABASE "+AppSchema); err != nil {
		return err
	}
	err := inParallel(len(c.Replicas), func(i int) error { return c.Replicas[i].Follow(ctx, c.Primary) })
	if err != nil {
		return err
	}
	return c.WaitCaughtUp(ctx)
}

// Servers are the primary and then the replicas.
func (c *Cluster) Servers() []*Server {
	return append([]*Server{c.Primary}, c.Replicas...)
}

// WaitCaughtUp returns when every replica has applied what the primary has
// written until now.
func (c *Cluster) WaitCaughtUp(ctx context.Context) error {
	position, err := c.Primary.Position(ctx)
	if err != nil {
		return err
	}
	return inParallel(len(c.Replicas), func(i int) error { return c.Replicas[i].WaitFor(ctx, position) })
}

// Close kills all servers and removes their data.
func (c *Cluster) Close() error {
	var errs []error
	for _, s := range c.Servers() {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	return errors.Join(append(errs, os.RemoveAll(c.dir))...)
}

// inParallel runs f(0) to f(n-1) at once and joins their errors.
func inParallel(n int, f func(i int) error) error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
