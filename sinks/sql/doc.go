// Package sql is the sink of tables: rows of PostgreSQL, MariaDB or MySQL in a legacy schema's own names, so that master data that the
// ERP owns reaches dispatch and billing. An operation is one row, found by its key, in one short transaction:
//
//	SELECT the row by its key, locked       only this row; at READ COMMITTED nothing beside it
//	compare                                 equal: nothing is written
//	INSERT, UPDATE of what differs, or DELETE
//	SELECT again and compare                a trigger or a rounding that made it another row: rolled back and refused
//	COMMIT
//
// Until COMMIT is sent nothing can have happened, so an answer lost before is RetryLater; an answer lost to COMMIT is Unknown, and Verify
// reads the row on the primary. An upsert that is sent twice finds its row equal and writes nothing.
//
// INSERT … ON DUPLICATE KEY UPDATE is not used: MySQL and MariaDB take any unique key of the table for the duplicate, and would change a
// stranger's row; PostgreSQL's ON CONFLICT burns a number of the table's sequence at each update. A row that somebody else inserts between our
// look and our INSERT is a unique violation of the key's own index: RetryLater. One of another index is a Conflict.
//
// Each operation is its own transaction; nothing is collected into larger ones.
package sql
