package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// instance is what makes this installation itself: drawn at the first start, kept
// in the store for ever.
type instance struct {
	TenantID       string `json:"tenantId"`
	SubscriptionID string `json:"subscriptionId"`
}

const instanceSetting = "instance"

// openInstance reads the instance, or draws it.
func openInstance(ctx context.Context, store deskyard.Store) (instance, error) {
	var in instance
	err := store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		doc, err := tx.Setting(ctx, instanceSetting)
		if err == nil {
			return json.Unmarshal(doc, &in)
		}
		if !isMissing(err) {
			return err
		}
		in = instance{TenantID: uuid.NewString(), SubscriptionID: uuid.NewString()}
		if doc, err = json.Marshal(in); err != nil {
			return err
		}
		return tx.PutSetting(ctx, instanceSetting, doc)
	})
	if err != nil {
		return in, fmt.Errorf("open the installation's record: %w", err)
	}
	return in, nil
}

func isMissing(err error) bool {
	var e *arm.Error
	return errors.As(err, &e) && e.Kind == arm.Missing
}
