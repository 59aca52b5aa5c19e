package cli

import (
	"fmt"
	"strings"

	"github.com/alecthomas/kong"
)

// words takes every value up to the next flag: --tags a=b c=d, --ids ID ID.
type words []string

// Decode implements kong.MapperValue.
func (w *words) Decode(ctx *kong.DecodeContext) error {
	if *w == nil {
		*w = words{} // the flag was given, if without a value: --tags "" and --tags clear
	}
	for ctx.Scan.Peek().IsValue() {
		*w = append(*w, ctx.Scan.Pop().String())
	}
	return nil
}

// toggle is true or false, and true when the flag stands alone, as in az; "" when
// it was not given.
type toggle string

// Decode implements kong.MapperValue.
func (b *toggle) Decode(ctx *kong.DecodeContext) error {
	*b = "true"
	t := ctx.Scan.Peek()
	if !t.IsValue() {
		return nil
	}
	switch strings.ToLower(t.String()) {
	case "true", "t", "yes", "y", "1":
	case "false", "f", "no", "n", "0":
		*b = "false"
	default:
		return fmt.Errorf("%q is not true or false", t)
	}
	ctx.Scan.Pop()
	return nil
}

// pointer is the flag as an optional boolean.
func (b toggle) pointer() *bool {
	if b == "" {
		return nil
	}
	v := b == "true"
	return &v
}

// choice is one of the values in its tag `choices`, matched in any case and kept in
// the documented spelling.
type choice string

// Decode implements kong.MapperValue.
func (c *choice) Decode(ctx *kong.DecodeContext) error {
	var s string
	if err := ctx.Scan.PopValueInto("value", &s); err != nil {
		return err
	}
	allowed := choicesOf(ctx.Value)
	for _, a := range allowed {
		if strings.EqualFold(a, s) {
			*c = choice(a)
			return nil
		}
	}
	return fmt.Errorf("%q is not one of %s", s, strings.Join(allowed, ", "))
}

// choicesOf are the values that a flag takes; nil when it takes any.
func choicesOf(v *kong.Value) []string {
	if v.Tag == nil || !v.Tag.Has("choices") {
		return nil
	}
	return strings.Split(v.Tag.Get("choices"), ",")
}

// property sets a text property from a flag: nothing when it was not given, null,
// which removes the property, when it is the word null.
func property(object map[string]any, name string, flag *string) {
	switch {
	case flag == nil:
	case *flag == "null":
		object[name] = nil
	default:
		object[name] = *flag
	}
}

// choose is property for flags that are "" when they were not given.
func choose[T ~string](object map[string]any, name string, flag T) {
	if flag != "" {
		object[name] = string(flag)
	}
}

func number(object map[string]any, name string, flag *int) {
	if flag != nil {
		object[name] = *flag
	}
}

func truth(object map[string]any, name string, flag toggle) {
	if flag != "" {
		object[name] = flag == "true"
	}
}

// object sets an object property from shorthand whose names are written as az's
// options are: expiration-time for expirationTime.
func object(into map[string]any, name string, flag words) error {
	if flag == nil {
		return nil
	}
	v, err := parseShorthand(flag)
	if err != nil {
		return usagef("--%s: %v", kebab(name), err)
	}
	into[name] = camelKeys(v)
	return nil
}

// camelKeys turns names such as expiration-time into expirationTime.
func camelKeys(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			parts := strings.Split(k, "-")
			for i := 1; i < len(parts); i++ {
				if parts[i] != "" {
					parts[i] = strings.ToUpper(parts[i][:1]) + parts[i][1:]
				}
			}
			out[strings.Join(parts, "")] = camelKeys(e)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = camelKeys(v[i])
		}
		return out
	}
	return v
}

// kebab turns registrationInfo into registration-info.
func kebab(name string) string {
	var b strings.Builder
	for _, r := range name {
		if r >= 'A' && r <= 'Z' {
			b.WriteByte('-')
			r += 'a' - 'A'
		}
		b.WriteRune(r)
	}
	return b.String()
}
