package sqlstore

import (
	"encoding/json"

	"github.com/deskyard/deskyard/arm"
)

// decodeEnvelope reads what json.Marshal wrote of an envelope. An identity, a SKU
// or a plan, which few resources have, takes the way of encoding/json.
func decodeEnvelope(text string) (arm.Envelope, error) {
	c := plainJSON{all: text}
	if e, ok := c.envelope(); ok && c.finished() {
		return e, nil
	}
	var e arm.Envelope
	err := json.Unmarshal([]byte(text), &e)
	return e, err
}

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
