package harness

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/telamondb/telamon/internal/localserver"
)

// StopApplying stops the SQL threads of replicas: they receive, and show what they
// had. start lets them go on; call it before the test's function returns, since
// EachFlavour looks at the replicas then. It may be called more than once.
func StopApplying(t testing.TB, replicas ...*localserver.Server) (start func()) {
	t.Helper()
	for _, r := range replicas {
		if err := r.StopSQLThread(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return func() {
		for _, r := range replicas {
			if err := r.StartSQLThread(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
}

// Delay makes a replica apply everything so much later, in whole seconds. undo
// ends that; call it before the test's function returns.
func Delay(t testing.TB, r *localserver.Server, by time.Duration) (undo func()) {
	t.Helper()
	set := func(ctx context.Context, seconds int) error {
		if r.Flavour() == localserver.MySQL {
			return r.Exec(ctx, "STOP REPLICA", fmt.Sprintf("CHANGE REPLICATION SOURCE TO SOURCE_DELAY = %d", seconds), "START REPLICA")
		}
		return r.Exec(ctx, "STOP SLAVE", fmt.Sprintf("CHANGE MASTER TO MASTER_DELAY = %d", seconds), "START SLAVE")
	}
	if err := set(t.Context(), int(by/time.Second)); err != nil {
		t.Fatal(err)
	}
	return func() {
		// Not the test's context: this is called when the test is over.
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := set(ctx, 0); err != nil {
			t.Error(err)
			return
		}
		AwaitReplication(t, r)
	}
}

// AwaitReplication waits until both replication threads of a replica run. It does
// so also when the test is over.
func AwaitReplication(t testing.TB, r *localserver.Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for {
		err := r.CheckReplication(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Error(err)
			return
		case <-time.After(pollPause):
		}
	}
}
