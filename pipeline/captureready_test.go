package pipeline

import (
	"context"
	"testing"
	"time"

	"waybill/cdc"
)

// reticent is a source whose stream says where it begins only when nobody waits for it any more: once the pipeline has said that it is
// ready, or has not said so for a while.
type reticent struct {
	*shelf
	ready chan struct{}
}

func (s *reticent) Next(ctx context.Context) (cdc.Batch, error) {
	select {
	case <-s.ready:
	case <-time.After(300 * time.Millisecond):
	}
	return s.shelf.Next(ctx)
}

// A pipeline is ready when it is in the journal where its streams begin: a process that is killed then goes on there, and not at a place of
// its next start.
func TestReadyIsSaidOnceTheBeginIsJournalled(t *testing.T) {
	s := &reticent{newShelf(0, 0), make(chan struct{})}
	p, closeStore := newShelfPipeline(t, s, t.TempDir(), ReadingOptions{})
	defer closeStore()
	var begun cdc.Position
	p.o.Ready = func() {
		c := p.captures[0]
		c.mu.Lock()
		begun = c.position
		c.mu.Unlock()
		close(s.ready)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	select {
	case <-s.ready:
	case err := <-ended:
		t.Fatal("the pipeline ended", err)
	case <-time.After(20 * time.Second):
		t.Error("the pipeline is not ready")
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if begun != "5" {
		t.Errorf("ready while the journal has the position %q, want 5", begun)
	}
}
