// Package mysql reads the binary log (binlog) of MariaDB and MySQL and hands on its committed row changes as cdc batches.
//
// The package connects as a replica does and keeps row images as the server sent them: a row is walked by the types of
// its Table_map event, the selected columns' bytes are copied into the batch, everything else is passed over. What the
// bytes mean is told by the codecs "binlog/1" (stream) and "mysqltext/1" (snapshot), which give the same canonical text
// for the same value; TYPES.md lists every type.
//
// # Definitions
//
// Rows are read by the columns that the table had when they were written. The log's statements are followed for that
// (history), and what is known is kept between runs (Definitions).
//
// All reading happens in the goroutine that calls Next: no goroutine, no queue and no buffer grows while the caller is
// busy; the server waits. Waybill writes nothing to the server and takes no lock on MariaDB, but one for reading on a table
// without transactions while a chunk of it is read.
//
// # Tables beside the stream
//
// Tables are read in chunks, each in a snapshot of its own that names its place in the log: a transaction whose event group
// ends before that place is in the rows, one behind it is not. Tx.XID is the place inside a transaction's group. Places can be
// compared on one server and under one opening (an Open without a position): see position. MySQL's GTID sets need no place.
// Nothing is written to the server; no transaction outlives a chunk, but for a table without a key.
//
// # Identity
//
// A MariaDB server has no identifier of its data: @@server_uid names the machine and changes with it, so it is not used.
// The history is named by the server id and the GTID domain of the server on which the source first opened,
// "mariadb/1-0"; MySQL's by its server_uuid. The name stays in the Position when the source moves on to a replica of that
// server, which it does only by GTID. Batch.Identity has the opening behind it, for a log that was reset counts its files and GTIDs from the
// beginning again.
//
// # Time
//
// MariaDB's log has whole seconds, taken when the committing statement began. A watermark's time is the server's clock at a
// moment whose log has been read to its end; a transaction whose commit took long may follow it with an earlier time.
package mysql
