package armapi

import (
	"context"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Machines is what the doors of compute, network and extensions ask of whoever makes
// machines; package provision's Service is one. Rules of a single body are the
// model's; what needs other rows, hypervisors or the image catalogue is asked here.
type Machines interface {
	// Admit checks a machine's or an extension's row before it is stored: quota, image,
	// size, zone, room, names. old is nil on create. It may fill in r's properties.
	Admit(ctx context.Context, tx deskyard.Tx, r, old *deskyard.Resource) error
	// Submit notes the job in tx and returns the operation that clients poll.
	Submit(ctx context.Context, tx deskyard.Tx, j deskyard.Job) (deskyard.Operation, error)
	// Wake has the job looked at; call it after the commit.
	Wake(kind string, id arm.ResourceID)
	// Live looks at machines now; one that cannot be asked is there with Power "unknown"
	// and the Problem. Keys are resource keys.
	Live(ctx context.Context, ids ...arm.ResourceID) map[string]deskyard.MachineLive
	// Console and Screenshot are the machine's boot diagnostics.
	Console(ctx context.Context, id arm.ResourceID) ([]byte, error)
	Screenshot(ctx context.Context, id arm.ResourceID) ([]byte, error)
	// Usages are the quotas of a location.
	Usages(ctx context.Context, location string) ([]deskyard.Usage, error)
}
