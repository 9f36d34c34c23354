// Package webhook publishes events to an address that takes POSTs: CloudEvents 1.0 over HTTP in binary, structured or batched mode, signed as
// Standard Webhooks (standardwebhooks.com, v1) say. Each event is sent at least once with the same id; a receiver tells repeats by webhook-id (in
// batches by the id of each event) and gaps by the extension sequence, which counts the events of an order key (partitionkey).
package webhook
