package cdc

// messageSchema stands where a table's schema would. PostgreSQL lets nobody make a schema whose name begins with pg_.
const messageSchema = "pg_logical_message"

// Messages names the messages that writers put into a database's log beside its rows, under a prefix (PostgreSQL:
// pg_logical_emit_message). They are selected as a table is, and each comes as an Insert with one column, "content", at its
// place in its transaction; the ordinal counts those of the prefix. There are no rows to read: a TableReader's first chunk is
// empty and the last. A source that has no messages says so in its Check, and leaves them out of its Catalog.
func Messages(prefix string) Table { return Table{messageSchema, prefix} }

// Prefix returns the prefix when t stands for messages.
func (t Table) Prefix() (prefix string, ok bool) { return t.Name, t.Schema == messageSchema }
