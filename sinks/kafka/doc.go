// Package kafka publishes events to Apache Kafka: each is a CloudEvent in the binary binding (CloudEvents 1.0, Kafka protocol binding: the data
// is the value, the attributes are headers ce_*), keyed by its subject. The extensions partitionkey and sequence say its order key and its place among that key's events.
//
// Order and completeness. Of a partition one batch is on its way at a time, with acks=all, and nothing is sent behind a batch that was not
// acknowledged. Of an order key nothing is sent behind an event that was not, whatever its partition.
//
// Once. Each batch carries a producer id and a sequence (an idempotent producer, KIP-98, which kafka-go's Writer is not). A batch whose answer
// was lost is kept as it is and sent again first, with the same sequence, when its partition is used next: the leader knows it if it has it, even
// while consumers cannot see it yet. So within a process an event is in a partition once, however often brokers die and leaders move. When the
// daemon starts again, Seen reads the tail of each partition up to the end of the leader's log, not just to what consumers see, and what is there
// is not sent again.
//
// What can still bring an event twice: a request of the ended process that its broker has received but not begun with for a second after our start; more
// than `tail` messages of others behind ours; a topic that got more partitions between the two processes, for its keys move.
//
// Partitions are chosen as the Java client does: murmur2 of the key. Topics that are missing are made when `create` says how.
package kafka
