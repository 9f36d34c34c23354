package cdc

import (
	"context"
	"time"
)

// Gauged is implemented by sources that can say how far their server is from harm: a bound of its log, or a transaction
// that never ends. The pipeline asks for it beside the stream, for status, metrics and alerts; nothing waits for the answer.
type Gauged interface {
	// Runway reads the gauges over a connection of its own. It may be called from any goroutine at any time, as often as
	// one likes: the server is asked once a minute at most, and in between the last answer is repeated. It fails with
	// ErrDisconnected, or ErrDenied, when the server cannot be asked; ctx bounds the call.
	Runway(ctx context.Context) (Runway, error)
}

// Runway is how far a source's server is from removing log that we need, and from other harm. Rates are between the last
// two readings.
type Runway struct {
	At        time.Time     // of the reading, by the server's clock
	Retained  int64         // bytes of log that the server holds and that we have not confirmed, whether for us or by its own rules; -1 when unknown
	Safe      int64         // bytes that may still be written before it removes some of them; -1 when it knows no such bound
	Status    string        // PostgreSQL: the slot's wal_status, or missing. MariaDB, MySQL: current, kept, purged, or unknown
	Written   float64       // bytes of log written a second, since the reading before; 0 at the first
	Growth    float64       // bytes a second by which Retained has grown since; negative while we catch up
	Left      time.Duration // until log that we need is removed, at the present rate; -1: never
	Bound     string        // the setting that Left comes from; empty when there is none
	Oldest    time.Duration // age of the oldest transaction; -1 when our user may not see those of others
	OldestPID string        // its process or connection, for people
	Warnings  []Finding     // what a person should know before harm is done, in the words and with the SQL of Inspector.Check
}

// Concerns returns those of the findings that are not good.
func Concerns(findings ...Finding) (list []Finding) {
	for _, f := range findings {
		if f.Level != LevelOK {
			list = append(list, f)
		}
	}
	return list
}
