package guest

import (
	"context"
	"fmt"
	"strings"
)

// AddMetadataAddress puts the metadata address onto the loopback interface; one that
// is there is well.
func AddMetadataAddress(ctx context.Context, r Runner) error {
	out, exit, err := r.Run(ctx, "", "ip", "address", "replace", MetadataAddress+"/32", "dev", "lo")
	if err != nil {
		return fmt.Errorf("add the metadata address: %w", err)
	}
	if exit != 0 {
		return fmt.Errorf("add the metadata address: ip: %s", strings.TrimSpace(out))
	}
	return nil
}
