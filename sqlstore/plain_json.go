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
// Each method takes one thing off the front of rest and says whether it was
// there. The strings they give share the memory of the text.
type plainJSON struct{ rest string }

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
		var v T
		if !element(&v) {
			return false
		}
		*list = append(*list, v)
		if c.take("]") {
			return true
		}
		if !c.take(",") {
			return false
		}
	}
}

func (c *plainJSON) text(s *string) bool {
	if len(c.rest) == 0 || c.rest[0] != '"' {
		return false
	}
	end := strings.IndexByte(c.rest[1:], '"') + 1
	if end == 0 {
		return false
	}
	if strings.IndexByte(c.rest[:end], '\\') >= 0 {
		return c.escaped(s)
	}
	*s, c.rest = c.rest[1:end], c.rest[end+1:]
	return true
}

// escaped takes a string that has escapes in it.
func (c *plainJSON) escaped(s *string) bool {
	for i := 1; i < len(c.rest); i++ {
		switch c.rest[i] {
		case '\\':
			i++
		case '"':
			err := json.Unmarshal([]byte(c.rest[:i+1]), s)
			c.rest = c.rest[i+1:]
			return err == nil
		}
	}
	return false
}

func (c *plainJSON) boolean(b *bool) bool {
	*b = c.take("true")
	return *b || c.take("false")
}

func (c *plainJSON) integer(n *int) bool {
	end := 0
	for end < len(c.rest) && (c.rest[end] == '-' || c.rest[end] >= '0' && c.rest[end] <= '9') {
		end++
	}
	parsed, err := strconv.Atoi(c.rest[:end])
	*n, c.rest = parsed, c.rest[end:]
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
	rest, found := strings.CutPrefix(c.rest, literal)
	c.rest = rest
	return found
}
