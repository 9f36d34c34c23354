// Package pipeline carries committed row changes from the logs of the sources to the targets, and keeps Waybill's promises:
//
//  1. A source is confirmed only after its changes and position are synced in the journal. Never on a timer.
//  2. A position lies only on a transaction's end.
//  3. Every captured change ends delivered, ignored by a named rule, parked, or discarded by a named person.
//  4. Per order key, order holds within a lane: across restarts, retries, batches, replays.
//  5. No lane waits for another and no key for another, except by a declared gate, group or number sequence, a setup
//     outcome of the whole target, and the account's budget, which is split by weight.
//  6. One change, one event id, for ever. The ledger's key is (sink, company, external key, step), never the event id.
//  7. Everything has a bound: queues, batches, memory, retries, journal, parked work, state, bodies read, log lines.
//  8. kill -9 at any instant loses nothing, and posts nothing twice into a target that can be verified or keyed.
//  9. An unknown outcome is never resent before it has been verified.
//  10. A value that cannot be carried exactly becomes an exception, never a guess. No floats for money.
//  11. When Waybill cannot start exactly where it must, it refuses or verifies first, and says what to do.
//  12. Secrets and masked columns never reach the disk, a log, an error, an API answer, a metric or the dashboard.
//  13. Waybill never hurts the source: no publication that would make its UPDATEs fail, no long lock, no unbounded WAL.
//
// The way of one row: a capture (capture.go) takes batches from its source and appends them to the journal. The projector
// (projector.go) reads the journal in order and is the only writer of the state: it lets the mapper make events and
// posts, queues deliveries, and applies intents, outcomes and decisions. A lane (lane.go) takes the heads of its
// queues, journals an intent, sends it (delivery protocol in worker.go) and journals the outcome. Whoever wants to change
// anything appends an entry; nobody else writes.
//
// A feed (feed.go) gives a publisher events as they are. Each is sent at least once with the same id for ever, and in the order of its order key,
// unless a named person gives it up; what was sent shortly before a kill, at most feedWindow events, is asked for where the target remembers, and
// sent again with the same id where it does not. For an event nothing is journalled and nothing synced: the feed journals what
// the target has a few times a second.
package pipeline
