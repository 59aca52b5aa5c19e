package provision

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// workSource is the kind of the row that keeps what a deployment was made of: its
// template and, sealed, the request and the parameters. The deployment's own row is
// read and written at every turn, this one when a run begins, ends, or is taken up
// after a restart.
const workSource = "deploymentSource"

// putSource writes what a run is made of, in place of the former run's.
func (s *Service) putSource(ctx context.Context, tx deskyard.Tx, r *deploymentRun, sealed sealedState) error {
	w, err := tx.Work(ctx, workSource, r.id)
	if arm.IsMissing(err) {
		w, err = deskyard.Work{Kind: workSource, ID: r.id, Created: r.st.Began}, nil
	}
	if err != nil {
		return err
	}
	plain, err := json.Marshal(sealed)
	if err != nil {
		return fmt.Errorf("encode the parameters of %s: %w", r.id, err)
	}
	w.State, w.Sealed, w.Changed = r.st.Template, s.o.Seal.Seal(plain, r.id.Key()), r.st.Began
	_, err = tx.PutWork(ctx, w)
	return err
}

// sealedSource opens the secret part of what a deployment is made of.
func (s *Service) sealedSource(ctx context.Context, id arm.ResourceID) (sealedState, error) {
	var sealed sealedState
	w, err := s.o.Store.Work(ctx, workSource, id)
	if err != nil {
		return sealed, err
	}
	plain, err := s.o.Seal.Open(w.Sealed, id.Key())
	if err != nil {
		return sealed, fmt.Errorf("open the parameters of %s: %w", id, err)
	}
	if err := json.Unmarshal(plain, &sealed); err != nil {
		return sealed, fmt.Errorf("read the parameters of %s: %w", id, err)
	}
	return sealed, nil
}

// dropSecrets forgets the parameters of a run that is over and will not be run again.
func dropSecrets(ctx context.Context, tx deskyard.Tx, id arm.ResourceID) error {
	w, err := tx.Work(ctx, workSource, id)
	if err != nil {
		return err
	}
	w.Sealed = nil
	_, err = tx.PutWork(ctx, w)
	return err
}

// forget removes the work of a deployment: its steps, its source, its own row.
func (s *Service) forget(ctx context.Context, tx deskyard.Tx, id arm.ResourceID) error {
	if err := forgetSteps(ctx, tx, id); err != nil {
		return err
	}
	if err := tx.DeleteWork(ctx, workSource, id); err != nil {
		return err
	}
	return tx.DeleteWork(ctx, deskyard.WorkDeployment, id)
}

// ForgetDeployments removes the work of every deployment at and below a scope: a
// resource group that is being deleted. Their rows go with the group's.
func (s *Service) ForgetDeployments(ctx context.Context, tx deskyard.Tx, scope arm.ResourceID) error {
	for _, kind := range []string{deskyard.WorkDeployment, deskyard.WorkStep, workSource} {
		rows, err := tx.Works(ctx, deskyard.WorkQuery{Kind: kind, Scope: scope})
		if err != nil {
			return err
		}
		for _, w := range rows.Items {
			if err := tx.DeleteWork(ctx, kind, w.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// DeploymentTemplate is the template that a deployment was started with, for
// exportTemplate; secrets in it are redacted.
func (s *Service) DeploymentTemplate(ctx context.Context, id arm.ResourceID) (json.RawMessage, error) {
	w, err := s.o.Store.Work(ctx, workSource, id)
	if arm.IsMissing(err) {
		return nil, arm.Errorf(arm.Missing, "DeploymentNotFound", "Deployment '%s' could not be found.", id.Name())
	}
	return w.State, err
}
