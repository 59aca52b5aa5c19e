package sqlstore

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/deskyard/deskyard/arm"
)

// decodeEnvelope reads what json.Marshal wrote of an envelope. A list decodes
// thousands of them, for which encoding/json takes as long as the database does
// for the rows, so the form that nearly all have is read directly; what is not of
// that form (an escaped character, an identity, a SKU) goes to encoding/json.
func decodeEnvelope(text string) (arm.Envelope, error) {
	c := plainJSON{text}
	if e, ok := c.envelope(); ok && c.rest == "" {
		return e, nil
	}
	var e arm.Envelope
	err := json.Unmarshal([]byte(text), &e)
	return e, err
}

// plainJSON reads JSON without white space or escapes. Each of its methods takes
// one thing off the front of rest and says whether it was there. The strings it
// gives share the memory of the text.
type plainJSON struct{ rest string }

func (c *plainJSON) envelope() (e arm.Envelope, ok bool) {
	ok = c.object(func(name string) bool {
		switch name {
		case "location":
			return c.text(&e.Location)
		case "kind":
			return c.text(&e.Kind)
		case "managedBy":
			return c.text(&e.ManagedBy)
		case "tags":
			e.Tags = map[string]string{}
			return c.object(func(tag string) bool {
				var value string
				found := c.text(&value)
				e.Tags[tag] = value
				return found
			})
		case "systemData":
			return c.systemData(&e.SystemData)
		}
		return false
	})
	return e, ok
}

func (c *plainJSON) systemData(s *arm.SystemData) bool {
	return c.object(func(name string) bool {
		switch name {
		case "createdBy":
			return c.text(&s.CreatedBy)
		case "createdByType":
			return c.text(&s.CreatedByType)
		case "createdAt":
			return c.time(&s.CreatedAt)
		case "lastModifiedBy":
			return c.text(&s.LastModifiedBy)
		case "lastModifiedByType":
			return c.text(&s.LastModifiedByType)
		case "lastModifiedAt":
			return c.time(&s.LastModifiedAt)
		}
		return false
	})
}

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

func (c *plainJSON) text(s *string) bool {
	if len(c.rest) == 0 || c.rest[0] != '"' {
		return false
	}
	end := strings.IndexByte(c.rest[1:], '"') + 1
	if end == 0 || strings.IndexByte(c.rest[:end], '\\') >= 0 {
		return false
	}
	*s, c.rest = c.rest[1:end], c.rest[end+1:]
	return true
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

func (c *plainJSON) take(literal string) bool {
	rest, found := strings.CutPrefix(c.rest, literal)
	c.rest = rest
	return found
}
