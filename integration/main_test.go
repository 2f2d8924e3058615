//go:build integration

// Package integration tests the program as its users meet it: real servers, real
// clients, the process itself. `make test` runs it.
package integration

import (
	"os"
	"testing"

	"github.com/telamondb/telamon/integration/harness"
)

var suite = harness.NewSuite()

func TestMain(m *testing.M) { os.Exit(suite.Main(m)) }
