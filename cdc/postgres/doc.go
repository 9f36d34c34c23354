// Package postgres captures a PostgreSQL database through logical decoding: a replication slot with the pgoutput plugin
// (protocol version 1, text), a publication of the selected tables, and beside the stream the tables' rows in chunks.
//
// The stream is read by a frame reader of its own and goes from the socket's buffer straight into the batch's framing,
// without an allocation for a change. See TYPES.md for the types that are carried and the form they take.
package postgres
