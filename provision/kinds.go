package provision

import (
	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/reconcile"
)

// kinds are the reconcilers, by kind of work.
func (s *Service) kinds() map[string]reconcile.Kind {
	return map[string]reconcile.Kind{
		deskyard.WorkDeployment: {Reconciler: reconcile.Func(s.reconcileDeployment), Parallel: deploymentsAtOnce},
		deskyard.WorkMachine:    {Reconciler: reconcile.Func(s.reconcileMachine), Parallel: machinesAtOnce},
		workGroup:               {Reconciler: reconcile.Func(s.reconcileGroup), Parallel: groupsAtOnce},
		deskyard.WorkRemoval:    {Reconciler: reconcile.Func(s.reconcileRemoval), Parallel: machinesAtOnce},
		deskyard.WorkExtension:  {Reconciler: reconcile.Func(s.reconcileExtension), Parallel: extensionsAtOnce},
		deskyard.WorkCommand:    {Reconciler: reconcile.Func(s.reconcileCommand), Parallel: extensionsAtOnce},
		workRun:                 {Reconciler: reconcile.Func(s.reconcileRun)},
	}
}
