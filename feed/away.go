package feed

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
)

// Classes of SQLSTATE that say that a server cannot serve now: connection lost, out of
// resources, shutting down or starting, its disk failing.
var awayClasses = []string{"08", "53", "57", "58"}

// Results of SQLite of the same kind: SQLITE_BUSY, IOERR, FULL, CANTOPEN.
var awayResults = []int{5, 10, 13, 14}

// away reports whether an error is that the database could not be reached or had no room,
// which passes, and not that something is wrong with what was asked.
func away(err error) bool {
	var network net.Error
	var server interface{ SQLState() string }
	var file interface{ Code() int }
	switch {
	case errors.As(err, &server):
		state := server.SQLState()
		return len(state) == 5 && slices.Contains(awayClasses, state[:2])
	case errors.As(err, &network), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, context.DeadlineExceeded):
		return true
	case errors.As(err, &file):
		return slices.Contains(awayResults, file.Code()&0xff) // the rest tells which of its kind
	}
	return false
}
