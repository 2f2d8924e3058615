package admin

import "github.com/prometheus/client_golang/prometheus"

// Collector turns what Deps shows into metrics, read at scrape time.
type Collector struct {
	deps    Deps
	version string
}

// NewCollector returns a collector to register once. version goes to
// telamon_build_info.
func NewCollector(version string, deps Deps) *Collector {
	return &Collector{deps: deps.complete(), version: version}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(chan<- prometheus.Metric) {}
