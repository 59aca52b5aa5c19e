package sqlstore

import (
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/deskyard/deskyard/arm"
)

// listing puts together a list statement: conditions with ? for their arguments,
// which it numbers. The number of different texts stays small, for they are kept
// prepared.
type listing struct {
	text strings.Builder
	args []any
	more bool // has a condition
}

func selecting(text string) *listing {
	l := &listing{}
	l.text.WriteString(text)
	return l
}

// where adds a condition that must hold too.
func (l *listing) where(condition string, args ...any) {
	word := " where "
	if l.more {
		word = " and "
	}
	l.more = true
	l.text.WriteString(word)
	l.add(condition, args...)
}

// add appends a piece of text, its ? numbered.
func (l *listing) add(piece string, args ...any) {
	n := len(l.args)
	l.args = append(l.args, args...)
	for {
		before, after, found := strings.Cut(piece, "?")
		l.text.WriteString(before)
		if !found {
			return
		}
		n++
		l.text.WriteString("$" + strconv.Itoa(n))
		piece = after
	}
}

// everything is a LIMIT beyond any table; both engines take a number, neither
// takes the other's word for "none".
const everything = 1 << 40

// page orders by the column and cuts out one page and one row more, which tells
// whether there is a next.
func (l *listing) page(order string, skip, limit int) {
	n := int64(everything)
	if limit > 0 {
		n = int64(limit) + 1
	}
	l.add(" order by "+order+" limit ? offset ?", n, max(skip, 0))
}

// keyRange bounds a list to the keys below scope and beyond after.
func (l *listing) keyRange(scope arm.ResourceID, after string, descending bool) {
	from, to := below(scope)
	if after != "" {
		if descending {
			to = min(to, after)
		} else {
			from = max(from, after)
		}
	}
	l.where("key > ?", from)
	l.where("key < ?", to)
}

// below gives the bounds, both exclusive, of the keys below a scope.
func below(scope arm.ResourceID) (from, to string) {
	k := strings.TrimSuffix(scope.Key(), "/") // the root's key is "/"
	return k + "/", k + "0"
}

// direction is the order by key.
func direction(descending bool) string {
	if descending {
		return "key desc"
	}
	return "key"
}

// cut drops the row beyond the page and gives the key to go on from.
func cut[T any](items []T, limit int, key func(T) string) ([]T, string) {
	if limit <= 0 || len(items) <= limit {
		return items, ""
	}
	return items[:limit], key(items[limit-1])
}

// doubled makes room in a full list for as much again: append alone would grow a
// long one by quarters and copy each row four times.
func doubled[T any](all []T) []T {
	if len(all) == cap(all) {
		return slices.Grow(all, max(len(all), 1))
	}
	return all
}

// storable reports whether both engines can hold s: PostgreSQL takes no NUL and
// no invalid UTF-8, and a name from a URL may hold either.
func storable(s string) bool {
	return utf8.ValidString(s) && !strings.Contains(s, "\x00")
}

// longestIndexed bounds what goes into one index row, in bytes: PostgreSQL refuses
// rows of more than 2,704, the row's own parts included.
const longestIndexed = 2560

// clipped is the beginning of s, at most n bytes, for text that is indexed but may
// be of any length.
func clipped(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// cleaned is s with what is not storable replaced, for text that is kept for
// people to read (the audit log must not lose a line over it).
func cleaned(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// instant is how a time is stored: nanoseconds since 1970, 0 for none.
func instant(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixNano()
}

// moment reads what instant wrote, in UTC.
func moment(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
