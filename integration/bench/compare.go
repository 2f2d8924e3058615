package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// figureKind is one measured figure of a cell.
type figureKind struct {
	name   string
	of     func(sample) float64
	better int // +1: more is better, -1: less is
}

var (
	qpsFigure = figureKind{"stmts/s", func(s sample) float64 { return s.QPS }, +1}
	p50Figure = figureKind{"p50", func(s sample) float64 { return s.P50 }, -1}
	p99Figure = figureKind{"p99", func(s sample) float64 { return s.P99 }, -1}
	cpuFigure = figureKind{"CPU", func(s sample) float64 { return s.CPU }, -1}
	// The ratios hold across machines better than the figures do.
	qpsRatio = figureKind{"stmts/direct", func(s sample) float64 { return s.QPSToDirect }, +1}
	cpuRatio = figureKind{"CPU/haproxy", func(s sample) float64 { return s.CPUToHAProxy }, -1}
)

// comparedFigures are those a comparison shows.
func comparedFigures(target string) []figureKind {
	switch target {
	case targetDirect:
		return []figureKind{qpsFigure, p50Figure, p99Figure}
	case targetHAProxy:
		return []figureKind{qpsFigure, p50Figure, p99Figure, cpuFigure, qpsRatio}
	}
	return []figureKind{qpsFigure, p50Figure, p99Figure, cpuFigure, qpsRatio, cpuRatio}
}

const (
	// smallestBound is the difference between two runs below which nothing is
	// called a change, however well the repetitions of each agree.
	smallestBound = 0.03
	// singleSpread stands for the spread of a run with one repetition.
	singleSpread = 0.15
)

// spread is half the distance between the extremes of the repetitions,
// relative to their median.
func (c *cell) spread(f figureKind) float64 {
	if len(c.Samples) < 2 {
		return singleSpread
	}
	low, high := math.Inf(1), math.Inf(-1)
	for _, s := range c.Samples {
		low, high = min(low, f.of(s)), max(high, f.of(s))
	}
	m := c.median(f.of)
	if m == 0 {
		return 0
	}
	return (high - low) / 2 / m
}

// change is how one figure of one cell differs between two runs.
type change struct {
	workload    string
	connections int
	target      string
	figure      string
	old, new    float64
	relative    float64
	bound       float64 // of noise: the ranges of the two runs' repetitions overlap within it
	verdict     string  // "", "better" or "worse"
}

// compareResults lists the figures that both runs have.
func compareResults(old, fresh *results) []change {
	var changes []change
	for _, now := range fresh.Cells {
		i := slices.IndexFunc(old.Cells, func(c *cell) bool {
			return c.Workload == now.Workload && c.Connections == now.Connections && c.Target == now.Target
		})
		if i < 0 || now.Error != "" || old.Cells[i].Error != "" {
			continue
		}
		before := old.Cells[i]
		for _, f := range comparedFigures(now.Target) {
			a, b := before.median(f.of), now.median(f.of)
			if a <= 0 || b <= 0 {
				continue
			}
			bound := max(smallestBound, before.spread(f)+now.spread(f))
			changes = append(changes, newChange(now.Workload, now.Connections, now.Target, f.name, a, b, bound, f.better))
		}
	}
	for _, now := range fresh.Idle {
		for _, before := range old.Idle {
			if before.Target == now.Target && before.Clients == now.Clients && before.PerClient > 0 {
				changes = append(changes, newChange("idle", now.Clients, now.Target, "RSS/client", before.PerClient, now.PerClient, singleSpread, -1))
			}
		}
	}
	return changes
}

func newChange(workload string, connections int, target, name string, a, b, bound float64, better int) change {
	c := change{workload: workload, connections: connections, target: target, figure: name, old: a, new: b, relative: b/a - 1, bound: bound}
	switch {
	case math.Abs(c.relative) <= bound:
	case c.relative > 0 == (better > 0):
		c.verdict = "better"
	default:
		c.verdict = "worse"
	}
	return c
}

// printComparison shows every figure that both runs have, old to new.
func printComparison(to io.Writer, old, fresh *results) {
	fmt.Fprintf(to, "changes since %s (%s on %d CPUs, backend %s); noise is half the range of the repetitions of both runs, at least %s\n\n",
		old.Time.Format("2006-01-02 15:04"), old.Machine.Model, old.Machine.CPUs, old.Backend, percent(smallestBound))
	if old.Machine != fresh.Machine || old.Backend != fresh.Backend {
		fmt.Fprint(to, "WARNING: machine, kernel, Go version or backend differ: compare the ratios to direct and HAProxy instead\n\n")
	}
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "workload\tclients\ttarget\tfigure\told\tnew\tchange\tnoise\t\t")
	for _, c := range compareResults(old, fresh) {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%+.1f%%\t±%.1f%%\t%s\t\n",
			c.workload, c.connections, c.target, c.figure, short(c.old), short(c.new), c.relative*100, c.bound*100, c.verdict)
	}
	_ = w.Flush()
}

// short prints a figure with no more digits than mean something.
func short(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func compareFiles(args []string, stdout io.Writer) error {
	if len(args) != 2 {
		return fmt.Errorf("%w: bench compare OLD NEW", errUsage)
	}
	old, err := loadResults(args[0])
	if err != nil {
		return err
	}
	fresh, err := loadResults(args[1])
	if err != nil {
		return err
	}
	printComparison(stdout, old, fresh)
	return nil
}
