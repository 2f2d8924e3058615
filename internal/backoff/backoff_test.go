package backoff

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestDelaysDoubleUpToTheLimitAndStartOverAfterReset(t *testing.T) {
	b := New(10*time.Millisecond, 35*time.Millisecond)
	for i, nominal := range []time.Duration{10, 20, 35, 35} {
		nominal *= time.Millisecond
		if d := b.Next(); d < nominal/2 || d > nominal {
			t.Errorf("delay %d is %v, want %v to %v", i+1, d, nominal/2, nominal)
		}
	}
	b.Reset()
	if d := b.Next(); d > 10*time.Millisecond {
		t.Errorf("after Reset: %v", d)
	}
}

func TestSleepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := New(time.Hour, time.Hour).Sleep(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
