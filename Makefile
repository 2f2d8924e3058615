SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

GO       ?= go
VERSION  ?= $(shell git describe --tags --match 'v*' 2>/dev/null)
COMMIT   ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null)
LDFLAGS  := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
FUZZTIME ?= 30s
FUZZEXECS ?= 10000000
# Tests by name, for `make test RUN=TestSplit`.
RUN      ?= .
BENCHFLAGS ?=
SUITEFLAGS ?=
# Packages with tests on real servers. They run one after the other, and the
# tests of allocations and of linear time once more without the race detector, which
# allocates and takes its time.
# They are listed with their tag: go list leaves out a folder of tagged files alone.
LIVE     := telamon/(integration|backend|wire|admin|router)(/|$$)

# Most of what tests wait for is servers that wait for their disks.
test integration: export TELAMON_SERVERS_IN_MEMORY := 1

.PHONY: build
build: ## the program, bin/telamon
	CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags '$(LDFLAGS)' -o bin/telamon ./cmd/telamon

.PHONY: demo
demo: build ## a primary, two replicas and the proxy on this machine; ONCE=1 ends after the table
	@bin/telamon demo $(if $(filter-out 0,$(ONCE)),--once)

.PHONY: check
check: ## what must hold before every commit; no servers needed
	@files=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); if [ -n "$$files" ]; then echo "not gofmt'ed:"; echo "$$files"; exit 1; fi
	$(GO) vet ./...
	$(GO) vet -tags integration ./...
	@if command -v staticcheck >/dev/null; then echo staticcheck ./...; staticcheck ./...; else echo 'staticcheck is not installed: not run'; fi
	$(GO) test -race -short ./...

.PHONY: test
test: deps build ## unit tests and the suite on real servers; installs what it needs (root)
	@{ $(GO) test -json -race -run '$(RUN)' $$($(GO) list -tags integration ./... | grep -Ev '$(LIVE)') || true; \
	   $(GO) test -json -race -run '$(RUN)' -tags integration -p 1 -timeout 40m $$($(GO) list -tags integration ./... | grep -E '$(LIVE)') || true; \
	   $(GO) test -json -run 'Alloc|Linear' ./wire ./router/... ./backend/... ./proxy/... || true; } | $(GO) run ./internal/testsum

.PHONY: integration
integration: build ## only the suite on real servers
	@{ $(GO) test -json -race -run '$(RUN)' -tags integration -p 1 -timeout 40m $$($(GO) list -tags integration ./... | grep -E '$(LIVE)') || true; } | $(GO) run ./internal/testsum

# MariaDB 11.8, in a root file system of Debian 13 that is built first.
.PHONY: integration-mariadb-11.8
integration-mariadb-11.8: export TELAMON_MARIADB_ROOT ?= /var/cache/telamon-mariadb-11.8
integration-mariadb-11.8: ## the suite on real servers, with MariaDB 11.8 in place of 10.11
	@$(MAKE) deps
	@$(MAKE) integration RUN=/MariaDB

.PHONY: deps
deps:
	@$(GO) run ./internal/testdeps

.PHONY: proof-sysbench
proof-sysbench: deps ## the sysbench suite, 60 s a variant instead of a few
	TELAMON_LONG=1 $(GO) test -race -tags integration -timeout 60m -count 1 -v -run TestSysbench ./integration

.PHONY: suites
suites: ## the test suites of drivers, ORMs and servers, directly and through the proxy (root)
	$(GO) run ./integration/suites $(SUITEFLAGS)

suite-%: ## one of them: make suite-gorm; `go run ./integration/suites -list` has the names
	$(GO) run ./integration/suites $(SUITEFLAGS) $*

.PHONY: soak
soak: deps build ## the whole suite in its long form
	@{ TELAMON_LONG=1 $(GO) test -json -race -tags integration -p 1 -timeout 4h -count 1 ./integration/... ./router ./proxy || true; } | $(GO) run ./internal/testsum

.PHONY: bench
bench: build deps ## the proxy against direct access and HAProxy; see docs/benchmarks.md
	$(GO) run ./integration/bench -telamon bin/telamon $(BENCHFLAGS)

# Until Go 1.27 a target may fail with a bare "context deadline exceeded" when its
# time is over (golang/go#75804): a finding is a failure that names its input.
.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (30s)
	@log=$$(mktemp); trap 'rm -f $$log' EXIT; failed=; \
	for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg 2>&1 | tee $$log && continue; \
	    if grep -q '^    context deadline exceeded$$' $$log && ! grep -q 'Failing input' $$log; then continue; fi; \
	    failed="$$failed $$pkg.$$target"; \
	  done; \
	done; \
	if [ -n "$$failed" ]; then echo "FAILED:$$failed"; exit 1; fi

# Binaries without the fuzzer's instrumentation do six times as many executions in
# the same time. They begin with the inputs that `make fuzz` has found worth keeping.
.PHONY: fuzz-soak
fuzz-soak: ## every fuzz target for FUZZEXECS executions (10000000); takes an hour
	@tmp=$$(mktemp -d); trap 'rm -rf $$tmp' EXIT; failed=; cache=$$($(GO) env GOCACHE)/fuzz; \
	for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; \
	    $(GO) test -c -o $$tmp/fuzz.test $$pkg; \
	    ( cd $$($(GO) list -f '{{.Dir}}' $$pkg) && $$tmp/fuzz.test -test.run '^$$' -test.fuzz "^$$target\$$" -test.fuzztime $(FUZZEXECS)x \
	      -test.timeout 0 -test.fuzzcachedir $$cache/$$pkg ) || failed="$$failed $$pkg.$$target"; \
	  done; \
	done; \
	if [ -n "$$failed" ]; then echo "FAILED:$$failed"; exit 1; fi

.PHONY: clean
clean:
	rm -rf bin

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9.%-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-25s %s\n", $$1, $$2}'
