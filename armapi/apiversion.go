package armapi

import (
	"regexp"
	"strings"
	"time"

	"github.com/deskyard/deskyard/arm"
)

// versionForm is an api-version: a date, and perhaps what sort of preview it is.
var versionForm = regexp.MustCompile(`(?i)^(\d{4}-\d{2}-\d{2})(-(preview|privatepreview|alpha|beta|rc)(\.\d{1,3})?)?$`)

// oldestVersion is before the first api-version of Resource Manager that clients know.
var oldestVersion = time.Date(2014, 1, 1, 0, 0, 0, 0, time.UTC)

// checkVersion looks at the api-version of the request.
func (x *exchange) checkVersion() error {
	v := x.query["api-version"]
	x.version = strings.ToLower(v)
	t := x.target
	if t.door != nil {
		if t.door.NoVersion && v == "" {
			return nil
		}
		return x.s.checkVersionOf("", v, t.door.Versions, t.door.Versions == nil)
	}
	return x.s.checkVersionOf(t.row.Path, v, t.row.Versions, t.row.AnyVersion)
}

func (s *Server) checkVersionOf(typ, v string, supported []string, anyVersion bool) error {
	if v == "" {
		return arm.Errorf(arm.Invalid, "MissingApiVersionParameter",
			"The api-version query parameter (?api-version=) is required for all requests.")
	}
	m := versionForm.FindStringSubmatch(v)
	day := time.Time{}
	if m != nil {
		day, _ = time.Parse(time.DateOnly, m[1]) // zero, and so refused, when there is no such day
	}
	if m == nil || day.Before(oldestVersion) {
		return arm.Errorf(arm.Invalid, "InvalidApiVersionParameter",
			"The api-version '%s' is invalid. The supported versions are '%s'.", clip(v), strings.Join(supported, ","))
	}
	if anyVersion || containsFold(supported, v) {
		return nil
	}
	return s.unknownVersion(typ, v, supported)
}

func (s *Server) unknownVersion(typ, v string, supported []string) error {
	names := make([]string, len(s.locations))
	for i, l := range s.locations {
		names[i] = l.Name
	}
	first := ""
	if len(names) > 0 {
		first = names[0]
	}
	return arm.Errorf(arm.Invalid, "NoRegisteredProviderFound",
		"No registered resource provider found for location '%s' and API version '%s' for type '%s'. The supported api-versions are '%s'. The supported locations are '%s'.",
		first, v, typ, strings.Join(supported, ", "), strings.Join(names, ", "))
}

func containsFold(list []string, s string) bool {
	for _, e := range list {
		if strings.EqualFold(e, s) {
			return true
		}
	}
	return false
}

// clip keeps a caller's text short where a message repeats it.
func clip(s string) string {
	const most = 128
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
