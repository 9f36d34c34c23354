// Package file publishes events into files for partners that take files: JSON Lines (CloudEvents 1.0) or CSV, a file after the other for each
// topic, closed by size, by time or with the business day.
//
// A file grows under a hidden name and gets its own name, by one rename, when it is whole and synced: who lists the folder sees whole files alone.
// Beside it a hidden list names the event that each of its records is of, and where the record ends. A record counts when its line in
// the list is there: after a kill the file is cut to the records that count and goes on, so each event is once in all files together as long as
// the list of the last files is there. Nobody else may write the hidden files; files that have their name may be taken away.
package file
