package compute

import "context"

// Watcher is a Driver whose hypervisor tells of changes by itself, so that a machine
// that ends is noticed at once. A driver that is none is asked time and again.
type Watcher interface {
	// Watch calls changed, one call at a time, with the id of each machine whose state
	// may have changed, until ctx ends, whose cause it returns; "" means any machine,
	// because changes may have been missed: at the start, and after the host did not
	// answer for a while. Ids of others' machines may be among them. It waits for
	// changed, which must not block. What a machine does now, Observe tells.
	Watch(ctx context.Context, changed func(id string)) error
}
