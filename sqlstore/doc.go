// Package sqlstore keeps a deskyard.Store in SQLite (the embedded default) or in
// PostgreSQL (for several servers on one database). Both run the same query text
// and the same migrations; what differs is how a write reaches the disk:
//
//	SQLite      callers ──queue──▶ writer: BEGIN, turn, turn, …, COMMIT (one flush) ──▶ every caller returns
//	PostgreSQL  each caller its own SERIALIZABLE transaction, run again on a serialization failure
//
// On SQLite one goroutine owns the only writing connection. It gives each waiting
// caller a turn: the caller runs its closure, in its own goroutine, behind a
// savepoint, while the writer waits. When nobody waits any more, or the batch is
// full, it commits and lets all of them return. So a flush to disk, which costs
// more than everything else in a write, is shared by all who came during the one
// before; nobody is told of success before the commit that holds their write.
//
// Rows are found by arm.ResourceID.Key, so a list "below a scope" is a range of
// one index: every key between scope+"/" and scope+"0" ('0' follows '/').
package sqlstore
