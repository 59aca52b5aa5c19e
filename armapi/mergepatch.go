package armapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// mergePatch applies an RFC 7396 merge patch to a stored object. Unlike the RFC it
// finds members in any case, as all of ARM does, and keeps the stored spelling.
func mergePatch(stored, patch json.RawMessage) (json.RawMessage, error) {
	target := map[string]any{}
	if len(stored) > 0 {
		if err := decodeNumbers(stored, &target); err != nil {
			return nil, fmt.Errorf("read the stored properties: %w", err)
		}
	}
	var change map[string]any
	if err := decodeJSON(patch, &change, ""); err != nil {
		return nil, err
	}
	merged, err := json.Marshal(mergeObject(target, change))
	if err != nil {
		return nil, fmt.Errorf("encode the merged properties: %w", err)
	}
	return merged, nil
}

func mergeObject(target, change map[string]any) map[string]any {
	if target == nil {
		target = map[string]any{}
	}
	spelling := make(map[string]string, len(target))
	for k := range target {
		spelling[strings.ToLower(k)] = k
	}
	for _, k := range slices.Sorted(maps.Keys(change)) {
		v := change[k]
		if known, ok := spelling[strings.ToLower(k)]; ok {
			k = known
		}
		switch v := v.(type) {
		case nil:
			delete(target, k)
		case map[string]any:
			old, _ := target[k].(map[string]any) // anything else is replaced by an object
			target[k] = mergeObject(old, v)
		default:
			target[k] = v
		}
	}
	return target
}

// lowerKeys gives an object's members by lower-case name.
func lowerKeys(properties json.RawMessage) (map[string]any, error) {
	members := map[string]any{}
	if len(properties) == 0 {
		return members, nil
	}
	var sent map[string]any
	if err := decodeJSON(properties, &sent, "properties"); err != nil {
		return nil, err
	}
	for _, k := range slices.Sorted(maps.Keys(sent)) {
		members[strings.ToLower(k)] = sent[k]
	}
	return members, nil
}

// decodeNumbers reads JSON and keeps numbers as they are written.
func decodeNumbers(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	return dec.Decode(v)
}

func itoa(n int) string { return strconv.Itoa(n) }
