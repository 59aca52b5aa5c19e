package armapi

import (
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// filterTerm is one condition of a $filter: name eq 'value', or name('value').
type filterTerm struct {
	name  string // lower case
	value string
	call  bool // written as a function
}

// parseFilter reads the small part of OData that clients of Microsoft.Authorization
// send: terms joined by "and". A quote inside a value is written twice.
func parseFilter(s string) ([]filterTerm, error) {
	var terms []filterTerm
	rest := strings.TrimSpace(s)
	for rest != "" {
		if len(terms) > 0 {
			word, after, _ := strings.Cut(rest, " ")
			if !strings.EqualFold(word, "and") {
				return nil, badFilter(s)
			}
			rest = strings.TrimSpace(after)
		}
		term, after, ok := parseTerm(rest)
		if !ok {
			return nil, badFilter(s)
		}
		terms, rest = append(terms, term), strings.TrimSpace(after)
	}
	return terms, nil
}

func parseTerm(s string) (filterTerm, string, bool) {
	end := strings.IndexAny(s, " (")
	if end <= 0 {
		return filterTerm{}, "", false
	}
	t := filterTerm{name: strings.ToLower(s[:end]), call: s[end] == '('}
	s = s[end:]
	if t.call {
		s = strings.TrimSpace(s[1:])
		if s != "" && s[0] == '\'' {
			var ok bool
			if t.value, s, ok = parseQuoted(s); !ok {
				return t, "", false
			}
			s = strings.TrimSpace(s)
		}
		rest, ok := strings.CutPrefix(s, ")")
		return t, rest, ok
	}
	operator, s, _ := strings.Cut(strings.TrimSpace(s), " ")
	if !strings.EqualFold(operator, "eq") {
		return t, "", false
	}
	value, rest, ok := parseQuoted(strings.TrimSpace(s))
	t.value = value
	return t, rest, ok
}

// parseQuoted reads 'a value' and gives what stands behind it.
func parseQuoted(s string) (value, rest string, ok bool) {
	if s == "" || s[0] != '\'' {
		return "", "", false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		if s[i] != '\'' {
			b.WriteByte(s[i])
			continue
		}
		if i+1 < len(s) && s[i+1] == '\'' {
			b.WriteByte('\'')
			i++
			continue
		}
		return b.String(), s[i+1:], true
	}
	return "", "", false
}

func badFilter(s string) error {
	return arm.Errorf(arm.Invalid, "UnsupportedQuery",
		"The filter '%s' is not supported. Supported filters are either 'atScope()' or 'principalId eq '{value}'' or 'assignedTo('{value}')'; for role definitions 'atScopeAndBelow()', 'roleName eq '{value}'' or 'type eq '{BuiltInRole|CustomRole}''.",
		clip(s)).WithTarget("$filter")
}
