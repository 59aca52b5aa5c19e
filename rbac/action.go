package rbac

import "strings"

// Match reports whether an action is covered by a pattern of a role definition.
// Case does not count; a "*" stands for any run of characters, slashes included,
// so "Microsoft.DesktopVirtualization/*/read" covers reading of every type at any
// depth, but not "Microsoft.DesktopVirtualization/read".
func Match(pattern, action string) bool {
	return match(strings.ToLower(pattern), strings.ToLower(action))
}

// match is Match on strings that are in lower case already. It backtracks only to
// the last star, so it takes at most len(pattern)*len(action) steps.
func match(pattern, action string) bool {
	p, a := 0, 0
	star, mark := -1, 0
	for a < len(action) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, a
			p++
		case p < len(pattern) && pattern[p] == action[a]:
			p++
			a++
		case star >= 0:
			mark++
			p, a = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

func matchAny(patterns []string, action string) bool {
	for _, p := range patterns {
		if match(p, action) {
			return true
		}
	}
	return false
}
