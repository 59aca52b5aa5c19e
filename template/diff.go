package template

import (
	"strconv"
)

// PropertyChange is one difference that what-if reports (WhatIfPropertyChange).
type PropertyChange struct {
	Path     string           `json:"path"`
	Type     string           `json:"propertyChangeType"` // Create | Delete | Modify | Array | NoEffect
	Before   Value            `json:"before"`
	After    Value            `json:"after"`
	Children []PropertyChange `json:"children"` // of an Array: its elements by index; else null
}

// The kinds of change.
const (
	ChangeCreate   = "Create"
	ChangeDelete   = "Delete"
	ChangeModify   = "Modify"
	ChangeArray    = "Array"
	ChangeNoEffect = "NoEffect"
)

// Diff lists what turns before into after, property by property with whole paths
// ("properties.hardwareProfile.vmSize"); empty when nothing does. Secrets appear
// redacted in JSON as everywhere. A property that after does not mention counts as
// deleted: leave out of before what a PUT of the type would keep.
func Diff(before, after Value) []PropertyChange {
	return diffAt(nil, "", before, after)
}

func diffAt(changes []PropertyChange, path string, before, after Value) []PropertyChange {
	switch {
	case before.kind == KindObject && after.kind == KindObject:
		for _, m := range before.object.Members() {
			was, at := before.Member(m.Name), join(path, m.Name)
			is, ok := after.Get(m.Name)
			switch {
			case ok:
				changes = diffAt(changes, at, was, is)
			case !was.IsNull():
				changes = append(changes, PropertyChange{Path: at, Type: ChangeDelete, Before: was})
			}
		}
		for _, m := range after.object.Members() {
			if _, had := before.Get(m.Name); had {
				continue
			}
			if is := after.Member(m.Name); !is.IsNull() {
				changes = append(changes, PropertyChange{Path: join(path, m.Name), Type: ChangeCreate, After: is})
			}
		}
	case before.kind == KindArray && after.kind == KindArray:
		if children := diffItems(before.Items(), after.Items()); len(children) > 0 {
			changes = append(changes, PropertyChange{Path: path, Type: ChangeArray, Before: before, After: after, Children: children})
		}
	case before.Equal(after):
	case before.IsNull():
		changes = append(changes, PropertyChange{Path: path, Type: ChangeCreate, After: after})
	case after.IsNull():
		changes = append(changes, PropertyChange{Path: path, Type: ChangeDelete, Before: before})
	default:
		changes = append(changes, PropertyChange{Path: path, Type: ChangeModify, Before: before, After: after})
	}
	return changes
}

// diffItems compares arrays of plain values as sets, so that one more element is
// one change, and others place by place.
func diffItems(before, after []Value) []PropertyChange {
	if plain(before) && plain(after) {
		if same(before, after) {
			return nil
		}
		return append(missing(before, after, ChangeDelete), missing(after, before, ChangeCreate)...)
	}
	var changes []PropertyChange
	for i := range max(len(before), len(after)) {
		at := strconv.Itoa(i)
		switch {
		case i >= len(after):
			changes = append(changes, PropertyChange{Path: at, Type: ChangeDelete, Before: before[i]})
		case i >= len(before):
			changes = append(changes, PropertyChange{Path: at, Type: ChangeCreate, After: after[i]})
		default:
			if inner := diffAt(nil, "", before[i], after[i]); len(inner) == 1 && inner[0].Path == "" {
				inner[0].Path = at
				changes = append(changes, inner[0])
			} else if len(inner) > 0 {
				changes = append(changes, PropertyChange{Path: at, Type: ChangeModify, Before: before[i], After: after[i], Children: inner})
			}
		}
	}
	return changes
}

func plain(items []Value) bool {
	for _, it := range items {
		if it.kind == KindArray || it.kind == KindObject {
			return false
		}
	}
	return true
}

func same(a, b []Value) bool { return Array(a...).Equal(Array(b...)) }

// missing lists the elements of a that b has not, or has less often.
func missing(a, b []Value, change string) []PropertyChange {
	left := map[string]int{}
	for _, v := range b {
		left[string(v.appendJSON(nil))]++
	}
	var out []PropertyChange
	for i, v := range a {
		key := string(v.appendJSON(nil))
		if left[key]--; left[key] >= 0 {
			continue
		}
		c := PropertyChange{Path: strconv.Itoa(i), Type: change, Before: v}
		if change == ChangeCreate {
			c.Before, c.After = Null(), v
		}
		out = append(out, c)
	}
	return out
}
