package guest

// NewRunner runs programs directly: the boot loader's service has the rights.
func NewRunner() Runner { return programs{} }
