package sqlstore

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/deskyard/deskyard/arm"
)

// plainJSON reads JSON as json.Marshal writes it: no white space, nothing but
// what its caller expects. A list decodes thousands of documents, for which
// encoding/json takes several times as long as the database for the rows; a
// decoder made of these methods takes a fraction, and leaves to encoding/json
// whatever it does not know.
//
// Each method takes the one thing that stands next and says whether it was there.
// The strings they give share the memory of the text.
type plainJSON struct {
	all  string
	next int // an offset and not a shorter string: a string would cost a write barrier at each step
}

// finished reports whether everything was taken.
func (c *plainJSON) finished() bool { return c.next == len(c.all) }

// object takes an object; member takes the value of each of its members.
func (c *plainJSON) object(member func(name string) bool) bool {
	if !c.take("{") {
		return false
	}
	if c.take("}") {
		return true
	}
	for {
		var name string
		if !c.text(&name) || !c.take(":") || !member(name) {
			return false
		}
		if c.take("}") {
			return true
		}
		if !c.take(",") {
			return false
		}
	}
}

// array takes an array into list, or null; element takes one element.
func array[T any](c *plainJSON, list *[]T, element func(*T) bool) bool {
	if c.take("null") {
		*list = nil
		return true
	}
	if !c.take("[") {
		return false
	}
	*list = []T{}
	if c.take("]") {
		return true
	}
	for {
		var zero T
		*list = append(doubled(*list), zero)
		if !element(&(*list)[len(*list)-1]) {
			return false
		}
		if c.take("]") {
			return true
		}
		if !c.take(",") {
			return false
		}
	}
}

func (c *plainJSON) text(s *string) bool {
	rest := c.all[c.next:]
	if len(rest) == 0 || rest[0] != '"' {
		return false
	}
	end := strings.IndexByte(rest[1:], '"') + 1
	if end == 0 {
		return false
	}
	if strings.IndexByte(rest[:end], '\\') >= 0 {
		unescaped, ok := c.escaped()
		*s = unescaped
		return ok
	}
	*s = rest[1:end]
	c.next += end + 1
	return true
}

// escaped takes a string that has escapes in it. It gives the string instead of
// setting it: what json.Unmarshal sets must be allocated.
func (c *plainJSON) escaped() (string, bool) {
	rest := c.all[c.next:]
	for i := 1; i < len(rest); i++ {
		switch rest[i] {
		case '\\':
			i++
		case '"':
			var s string
			err := json.Unmarshal([]byte(rest[:i+1]), &s)
			c.next += i + 1
			return s, err == nil
		}
	}
	return "", false
}

func (c *plainJSON) boolean(b *bool) bool {
	*b = c.take("true")
	return *b || c.take("false")
}

func (c *plainJSON) integer(n *int) bool {
	rest, end := c.all[c.next:], 0
	for end < len(rest) && (rest[end] == '-' || rest[end] >= '0' && rest[end] <= '9') {
		end++
	}
	parsed, err := strconv.Atoi(rest[:end])
	*n, c.next = parsed, c.next+end
	return err == nil
}

func (c *plainJSON) time(t *time.Time) bool {
	var s string
	if !c.text(&s) {
		return false
	}
	parsed, err := time.Parse(time.RFC3339, s)
	*t = parsed
	return err == nil
}

// bytes takes bytes in base64, or null.
func (c *plainJSON) bytes(b *[]byte) bool {
	if c.take("null") {
		*b = nil
		return true
	}
	var s string
	if !c.text(&s) {
		return false
	}
	decoded, err := base64.StdEncoding.DecodeString(s)
	*b = decoded
	return err == nil
}

func (c *plainJSON) resourceID(id *arm.ResourceID) bool {
	var s string
	if !c.text(&s) {
		return false
	}
	parsed, err := arm.ParseID(s)
	*id = parsed
	return err == nil
}

func (c *plainJSON) take(literal string) bool {
	if !strings.HasPrefix(c.all[c.next:], literal) {
		return false
	}
	c.next += len(literal)
	return true
}
