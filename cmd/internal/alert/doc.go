// Package alert tells people outside of what needs one of them: a stopped source, a source whose server will soon remove
// log that was not read, a stopped lane, a posting whose outcome stays unknown, a disk near its floor,
// an exception past its due time, a rule that suddenly made too much. It watches the daemon's status and posts to one webhook, signed as
// standardwebhooks.com says. Delivery happens in the background and never holds up the daemon.
package alert
