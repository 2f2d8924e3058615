package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// formatVersion changes when older JSON can no longer be compared.
const formatVersion = 1

// results are one run. Its JSON form is what -compare reads.
type results struct {
	Format      int          `json:"format"`
	Time        time.Time    `json:"time"`
	Machine     machine      `json:"machine"`
	Backend     string       `json:"backend"`
	Repetitions int          `json:"repetitions"`
	Seconds     float64      `json:"seconds"` // of one repetition
	Cells       []*cell      `json:"cells"`
	Idle        []idleResult `json:"idle,omitempty"`
	Errors      []string     `json:"errors,omitempty"`
}

type machine struct {
	CPUs   int    `json:"cpus"`
	Model  string `json:"model"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

// cell is one workload at one number of connections on one target.
type cell struct {
	Workload    string   `json:"workload"`
	Connections int      `json:"connections"`
	Target      string   `json:"target"`
	Error       string   `json:"error,omitempty"`
	Samples     []sample `json:"samples"`
	Median      sample   `json:"median"` // of each figure on its own
}

// idleResult is a proxy's memory at a number of idle clients, in bytes.
type idleResult struct {
	Target    string  `json:"target"`
	Clients   int     `json:"clients"`
	Empty     int64   `json:"rss_without_clients"`
	RSS       int64   `json:"rss"`
	PerClient float64 `json:"rss_per_client"`
}

func newResults(opts *options, servers *backend) *results {
	return &results{
		Format: formatVersion, Time: time.Now().UTC().Truncate(time.Second), Machine: thisMachine(),
		Backend: servers.name, Repetitions: opts.repetitions, Seconds: opts.duration.Seconds(),
	}
}

func thisMachine() machine {
	m := machine{CPUs: runtime.NumCPU(), Go: runtime.Version()}
	var uname unix.Utsname
	if unix.Uname(&uname) == nil {
		m.Kernel = unix.ByteSliceToString(uname.Release[:])
	}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := strings.Cut(string(text), "model name")
		model, _, _ := strings.Cut(strings.TrimLeft(rest, "\t :"), "\n")
		m.Model = model
	}
	return m
}

// summarize fills in ratios and medians.
func (r *results) summarize() {
	for _, c := range r.Cells {
		direct, haproxy := r.sibling(c, targetDirect), r.sibling(c, targetHAProxy)
		for i := range c.Samples {
			c.Samples[i].QPSToDirect = ratio(c, direct, i, func(s sample) float64 { return s.QPS })
			c.Samples[i].CPUToHAProxy = ratio(c, haproxy, i, func(s sample) float64 { return s.CPU })
		}
		c.Median = sample{
			QPS: c.median(func(s sample) float64 { return s.QPS }),
			P50: c.median(func(s sample) float64 { return s.P50 }), P99: c.median(func(s sample) float64 { return s.P99 }),
			User: c.median(func(s sample) float64 { return s.User }), System: c.median(func(s sample) float64 { return s.System }),
			CPU: c.median(func(s sample) float64 { return s.CPU }), Backend: c.median(func(s sample) float64 { return s.Backend }),
			QPSToDirect:  c.median(func(s sample) float64 { return s.QPSToDirect }),
			CPUToHAProxy: c.median(func(s sample) float64 { return s.CPUToHAProxy }),
		}
	}
}

func (c *cell) median(of func(sample) float64) float64 {
	values := make([]float64, len(c.Samples))
	for i, s := range c.Samples {
		values[i] = of(s)
	}
	return median(values)
}

// median is 0 for no values.
func median(values []float64) float64 {
	n := len(values)
	if n == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// sibling is the cell of another target in the same place; nil if there is none.
func (r *results) sibling(c *cell, target string) *cell {
	for _, other := range r.Cells {
		if other.Workload == c.Workload && other.Connections == c.Connections && other.Target == target {
			return other
		}
	}
	return nil
}

// ratio compares repetition i of two cells.
func ratio(c, base *cell, i int, of func(sample) float64) float64 {
	if base == nil || i >= len(base.Samples) || of(base.Samples[i]) == 0 {
		return 0
	}
	return of(c.Samples[i]) / of(base.Samples[i])
}

func (r *results) print(to io.Writer) {
	fmt.Fprintf(to, "backend %s; %d CPUs (%s), Linux %s, %s; medians of %d interleaved repetitions of %gs\n",
		r.Backend, r.Machine.CPUs, r.Machine.Model, r.Machine.Kernel, r.Machine.Go, r.Repetitions, r.Seconds)
	r.printCells(to)
	r.printIdle(to)
	for _, err := range r.Errors {
		fmt.Fprintf(to, "FAILED: %s\n", err)
	}
}

func (r *results) printCells(to io.Writer) {
	if len(r.Cells) == 0 {
		return
	}
	fmt.Fprint(to, "CPU: milliseconds of the proxy process per 1000 statements; latency: microseconds per operation\n\n")
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "workload\tclients\ttarget\tstmts/s\t/direct\tp50\tp99\tuser\tsys\tCPU\t/haproxy\tspread\tbackend CPU\t")
	for _, c := range r.Cells {
		if c.Error != "" {
			fmt.Fprintf(w, "%s\t%d\t%s\tFAILED\t\n", c.Workload, c.Connections, c.Target)
			continue
		}
		m := c.Median
		fmt.Fprintf(w, "%s\t%d\t%s\t%.0f\t%s\t%.0f\t%.0f\t", c.Workload, c.Connections, c.Target, m.QPS, figure(m.QPSToDirect), m.P50, m.P99)
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.1f\t\n", figure(m.User), figure(m.System), figure(m.CPU), figure(m.CPUToHAProxy), c.spreadText(), m.Backend)
	}
	_ = w.Flush()
	fmt.Fprintln(to)
	for _, c := range r.Cells {
		if c.Error != "" {
			fmt.Fprintf(to, "FAILED: %s, %d clients, %s: %s\n", c.Workload, c.Connections, c.Target, c.Error)
		}
	}
}

func (r *results) printIdle(to io.Writer) {
	if len(r.Idle) == 0 {
		return
	}
	fmt.Fprint(to, "Memory (RSS) at idle clients that ran one statement each; kernel socket memory is not in it\n\n")
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "target\tclients\tRSS empty MiB\tRSS MiB\tKiB/client\t")
	for _, i := range r.Idle {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%.1f\t\n", i.Target, i.Clients, float64(i.Empty)/(1<<20), float64(i.RSS)/(1<<20), i.PerClient/(1<<10))
	}
	_ = w.Flush()
	fmt.Fprintln(to)
}

// figure prints a number with two decimals, and a dash for what does not apply.
func figure(v float64) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f", v)
}

// spreadText is a dash where a single repetition says nothing about it.
func (c *cell) spreadText() string {
	if len(c.Samples) < 2 {
		return "-"
	}
	return percent(c.spread(qpsFigure))
}

func percent(v float64) string { return fmt.Sprintf("%.0f%%", v*100) }

func (r *results) save(path string) error {
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

func loadResults(path string) (*results, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var r results
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if r.Format != formatVersion {
		return nil, fmt.Errorf("%s has format %d, want %d", path, r.Format, formatVersion)
	}
	return &r, nil
}

// failure is an error if anything asked for could not be measured.
func (r *results) failure() error {
	failed := len(r.Errors)
	for _, c := range r.Cells {
		if c.Error != "" {
			failed++
		}
	}
	if failed > 0 {
		return errors.New("some measurements failed")
	}
	return nil
}
