package pipeline

import (
	"context"
	"fmt"
	"sync"
	"time"

	"waybill/cdc"
)

// strainEvery is how often a server is asked what readings may have to give way to.
const strainEvery = time.Second

// defaultMaxLag is how far the stream or a replica may be behind while tables are read, when nothing is configured.
const defaultMaxLag = time.Minute

// strain is a server's last answer. The reader's mutex guards it; asking is held by the one worker who asks for all.
type strain struct {
	asking sync.Mutex
	last   cdc.Strain
	at     time.Time // by our clock; zero before the first answer
}

// giveWay waits while the stream, or the slowest replica, is further behind than the bound. Reading costs the server what the
// stream and the replicas need to catch up.
func (r *reader) giveWay(ctx context.Context, rd reading) error {
	for told := false; r.options.MaxLag > 0 && r.pending(rd.ID); told = true {
		if err := r.askStrain(ctx); err != nil {
			return err
		}
		why := r.waits(time.Now())
		if why == "" {
			return nil
		}
		if !told {
			r.c.log.Info("reading a table waits", "table", rd.Table.String(), "why", why)
		}
		r.c.src.Nudge() // an idle stream tells how far it is
		select {
		case <-time.After(nudgeEvery):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// askStrain asks the server, when its last answer is old.
func (r *reader) askStrain(ctx context.Context) error {
	r.strain.asking.Lock()
	defer r.strain.asking.Unlock()
	r.mu.Lock()
	fresh := time.Since(r.strain.at) < strainEvery
	r.mu.Unlock()
	if fresh {
		return nil
	}
	answer, err := r.c.src.Strain(ctx)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.strain.last, r.strain.at = answer, time.Now()
	return nil
}

// waits says what readings give way to at the moment; empty when it is nothing. The stream's lag goes by the server's clock alone, so a
// clock of ours that is wrong does not stop anything.
func (r *reader) waits(now time.Time) string {
	mark := r.c.watermark()
	r.mu.Lock()
	defer r.mu.Unlock()
	limit, last := r.options.MaxLag, r.strain.last
	if limit == 0 || r.strain.at.IsZero() {
		return ""
	}
	behind := last.Clock.Add(now.Sub(r.strain.at)).Sub(mark)
	switch {
	case mark.IsZero():
		return "the stream has not said yet how far it is"
	case behind > limit:
		return fmt.Sprintf("the stream is %s behind, and max_lag is %s", behind.Truncate(time.Second), limit)
	case last.Behind > limit:
		return fmt.Sprintf("replica %s is %s behind, and max_lag is %s", last.Replica, last.Behind.Truncate(time.Second), limit)
	}
	return ""
}
