package template

import "fmt"

// Limits bound the work that one template may cause. The zero value of a field
// means its default.
type Limits struct {
	CopyCount  int // iterations of one copy loop: 800, Azure's own limit
	Resources  int // resources of one template after its loops: 10,000 (Azure: 800, but a run of 400 machines of Microsoft's own template makes 2,000)
	Steps      int // expressions evaluated in one call of this package: 5,000,000
	ValueBytes int // one evaluated value: 8 MiB, twice what Azure lets a template have
	TotalBytes int // all values made in one call of this package: 256 MiB
}

func (l Limits) orDefaults() Limits {
	for _, f := range []struct {
		field *int
		byDef int
	}{
		{&l.CopyCount, 800}, {&l.Resources, 10_000}, {&l.Steps, 5_000_000},
		{&l.ValueBytes, 8 << 20}, {&l.TotalBytes, 256 << 20},
	} {
		if *f.field <= 0 {
			*f.field = f.byDef
		}
	}
	return l
}

// meter counts what one call of this package has spent. It belongs to one goroutine.
type meter struct {
	limits       Limits
	steps, bytes int
}

func newMeter(l Limits) *meter { return &meter{limits: l.orDefaults()} }

// step counts one evaluation.
func (m *meter) step() error {
	if m.steps++; m.steps > m.limits.Steps {
		return fmt.Errorf("%w: more than %d expressions were evaluated", errTooMuch, m.limits.Steps)
	}
	return nil
}

// room asks for bytes before they are made.
func (m *meter) room(bytes int) error {
	if bytes > m.limits.ValueBytes || bytes < 0 {
		return fmt.Errorf("%w: a value of more than %d bytes would arise", errTooMuch, m.limits.ValueBytes)
	}
	if m.bytes += bytes; m.bytes > m.limits.TotalBytes {
		return fmt.Errorf("%w: values of more than %d bytes were made", errTooMuch, m.limits.TotalBytes)
	}
	return nil
}

// rooms asks for n elements of an array or object.
func (m *meter) rooms(n int) error { return m.room(n * elementBytes) }

// elementBytes is about what a Value takes in memory.
const elementBytes = 128
