package arm

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Envelope is what every resource has around its properties.
type Envelope struct {
	Location   string            `json:"location,omitempty"`
	Tags       map[string]string `json:"tags,omitempty"`
	Kind       string            `json:"kind,omitempty"`
	ManagedBy  string            `json:"managedBy,omitempty"`
	Identity   *Identity         `json:"identity,omitempty"`
	SKU        json.RawMessage   `json:"sku,omitempty"`
	Plan       json.RawMessage   `json:"plan,omitempty"`
	SystemData SystemData        `json:"systemData"`

	Zones            []string          `json:"zones,omitempty"`
	ExtendedLocation *ExtendedLocation `json:"extendedLocation,omitempty"`
}

// ExtendedLocation is a place within, or instead of, a location: an edge zone, or a
// custom location on its owner's hardware.
type ExtendedLocation struct {
	Type string `json:"type,omitempty"` // EdgeZone | CustomLocation
	Name string `json:"name,omitempty"` // an edge zone's name, or a custom location's resource id
}

// Identity is a resource's managed identity.
type Identity struct {
	Type        string  `json:"type"` // None | SystemAssigned | UserAssigned | SystemAssigned, UserAssigned
	TenantID    *string `json:"tenantId"`
	PrincipalID *string `json:"principalId"`

	UserAssigned map[string]UserIdentity `json:"userAssignedIdentities,omitempty"` // by resource id
}

// UserIdentity is a user-assigned identity as the resource shows it that has it.
type UserIdentity struct {
	PrincipalID string `json:"principalId,omitempty"`
	ClientID    string `json:"clientId,omitempty"`
}

// SystemData says who made and last changed a resource, and when (UTC).
type SystemData struct {
	CreatedBy          string    `json:"createdBy"`
	CreatedByType      string    `json:"createdByType"` // User | Application | ManagedIdentity | Key
	CreatedAt          time.Time `json:"createdAt"`
	LastModifiedBy     string    `json:"lastModifiedBy"`
	LastModifiedByType string    `json:"lastModifiedByType"`
	LastModifiedAt     time.Time `json:"lastModifiedAt"`
}

// Time is a timestamp that reads all the forms Azure's clients send and writes
// RFC 3339 with at most seven fraction digits, as .NET does.
type Time struct{ time.Time }

// timeForms are tried in order. Go's parser takes any number of fraction digits
// behind a full stop or a comma, so `date --iso-8601=ns` and PowerShell's
// fffffffZ both match the first.
var timeForms = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02"}

// ParseTime reads a timestamp; one without a zone is taken as UTC.
func ParseTime(s string) (Time, error) {
	s = strings.TrimSpace(s)
	for _, form := range timeForms {
		if t, err := time.Parse(form, s); err == nil {
			return Time{t}, nil
		}
	}
	return Time{}, fmt.Errorf("%q is not an ISO 8601 date and time", s)
}

// MarshalJSON writes UTC with up to seven fraction digits.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(`"` + t.UTC().Truncate(100*time.Nanosecond).Format("2006-01-02T15:04:05.9999999Z07:00") + `"`), nil
}

// UnmarshalJSON reads what ParseTime reads.
func (t *Time) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	p, err := ParseTime(s)
	if err == nil {
		*t = p
	}
	return err
}
