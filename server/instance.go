package server

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/rbac"
)

// instance is what makes this installation itself: drawn at the first start, kept
// in the store for ever.
type instance struct {
	TenantID       string `json:"tenantId"`
	SubscriptionID string `json:"subscriptionId"`
	AdminID        string `json:"adminId"`  // object id of the first administrator
	ClientID       string `json:"clientId"` // object id of the first service principal
}

const instanceSetting = "instance"

// openInstance reads the instance, or draws it together with the role assignments
// of its first accounts. The accounts themselves come after: an assignment for an
// account that does not exist reaches nobody, whereas an account without a role,
// after a crash between the two, could never be repaired.
func openInstance(ctx context.Context, store deskyard.Store, now time.Time) (instance, error) {
	var in instance
	err := store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		doc, err := tx.Setting(ctx, instanceSetting)
		if err == nil {
			return json.Unmarshal(doc, &in)
		}
		if !arm.IsMissing(err) {
			return err
		}
		in = instance{TenantID: uuid.NewString(), SubscriptionID: uuid.NewString(), AdminID: uuid.NewString(), ClientID: uuid.NewString()}
		if doc, err = json.Marshal(in); err != nil {
			return err
		}
		if err := tx.PutSetting(ctx, instanceSetting, doc); err != nil {
			return err
		}
		for id, kind := range map[string]string{in.AdminID: "User", in.ClientID: "ServicePrincipal"} {
			if err := makeOwner(ctx, tx, id, kind, now); err != nil {
				return err
			}
		}
		return rbac.Stamp(ctx, tx)
	})
	if err != nil {
		return in, fmt.Errorf("open the installation's record: %w", err)
	}
	return in, nil
}

// makeOwner gives a principal the Owner role at the root.
func makeOwner(ctx context.Context, tx deskyard.Tx, principal, kind string, now time.Time) error {
	row, err := rbac.Assignment{
		Name: uuid.NewString(), RoleGUID: rbac.Owner, PrincipalID: principal, PrincipalType: kind,
		CreatedBy: principal, CreatedOn: now, UpdatedOn: now,
	}.Row()
	if err != nil {
		return err
	}
	_, err = tx.PutResource(ctx, row)
	return err
}

func (in instance) subscription() arm.ResourceID {
	return arm.ResourceID{Subscription: in.SubscriptionID}
}
