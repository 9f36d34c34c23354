// Package cdc is the vocabulary of capture: what a database said, exactly, before anyone has interpreted it.
//
// A Source reads the log of one database and hands on Batches of committed row changes in commit order. A Batch holds
// the bytes that the database sent, framed by this package; a Change is a view on one row that decodes a column only
// when a rule asks for it. The package imports the standard library alone; each technology has a folder of its own.
package cdc
