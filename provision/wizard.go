package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
	"github.com/deskyard/deskyard/reconcile"
)

// workRun is the kind of work that a run of session hosts is known by: it holds the
// run's names from before its deployment starts, so that no other run takes them.
const workRun = "run"

// Times of a run.
const (
	runKeyLife = 24 * time.Hour   // of the registration key made for a run: longer than any host takes, and for another try next morning
	runStart   = 10 * time.Minute // from the reservation of names to the deployment's start; then they are free again
	runLook    = 10 * time.Minute // how often a run is looked at; what happens is read when somebody asks
)

// AddRequest asks for session hosts to be added to a pool.
type AddRequest struct {
	Pool        arm.ResourceID
	Caller      deskyard.Principal
	Correlation string
	Run         deskyard.AddSessionHosts
}

// runState is what a run's row of work keeps.
type runState struct {
	Pool   arm.ResourceID `json:"pool"`
	Prefix string         `json:"prefix"`
	First  int            `json:"first"`
	Names  []string       `json:"names"`
	HCI    bool           `json:"hci,omitempty"`
	Domain string         `json:"domain,omitempty"` // part of the hosts' names, when they join one
	Key    string         `json:"key,omitempty"`    // id of the registration key made for it
	Began  time.Time      `json:"began"`
}

// ValidateSessionHosts holds a run to every rule and says what its hosts would be
// called. It writes nothing.
func (s *Service) ValidateSessionHosts(ctx context.Context, r AddRequest) (deskyard.AddedSessionHosts, error) {
	if err := s.readLedger(ctx); err != nil {
		return deskyard.AddedSessionHosts{}, err
	}
	f, err := s.gather(ctx, s.o.Store, &r)
	if err != nil {
		return deskyard.AddedSessionHosts{}, err
	}
	return checkRun(&r.Run, f.RunFacts)
}

// checkRun tells all faults of a run in one error, each by tab and parameter.
func checkRun(run *deskyard.AddSessionHosts, f deskyard.RunFacts) (deskyard.AddedSessionHosts, error) {
	faults, warnings := run.Check(f)
	if len(faults) > 0 {
		e := arm.Errorf(arm.Invalid, "InvalidSessionHostParameters",
			"The session hosts cannot be added: %d parameters are not as they must be. Correct them and try again.", len(faults))
		if len(faults) == 1 {
			e.Message, e.Target = faults[0].Message, faults[0].Target
		}
		e.Details = faults
		return deskyard.AddedSessionHosts{}, e
	}
	if warnings == nil {
		warnings = []string{}
	}
	return deskyard.AddedSessionHosts{Names: run.Names(f.FirstNumber), Warnings: warnings, Requires: run.Needs(f)}, nil
}

// AddSessionHosts starts a run: it checks it whole, takes its names in one
// transaction with the check, makes its registration key, and starts a deployment of
// the service's own template in the caller's name.
func (s *Service) AddSessionHosts(ctx context.Context, r AddRequest) (deskyard.AddedSessionHosts, deskyard.Operation, error) {
	added, facts, err := s.reserveRun(ctx, &r)
	if err != nil {
		return added, deskyard.Operation{}, err
	}
	op, err := s.startRun(ctx, r, facts)
	if err != nil {
		// The caller's ctx may be why: the names must be free again all the same.
		undo := context.WithoutCancel(ctx)
		return deskyard.AddedSessionHosts{}, op, errors.Join(err, s.o.Store.Write(undo, func(ctx context.Context, tx deskyard.Tx) error {
			return s.releaseRun(ctx, tx, facts.deployment, facts.state)
		}))
	}
	s.log.Info("adding session hosts", "pool", r.Pool, "deployment", facts.deployment, "hosts", len(added.Names), "first", added.Names[0])
	return added, op, nil
}

// reserveRun checks the run and takes its names and its key.
func (s *Service) reserveRun(ctx context.Context, r *AddRequest) (added deskyard.AddedSessionHosts, f runFacts, err error) {
	if r.Run.Deployment == "" {
		r.Run.Deployment = "addSessionHosts-" + strings.ToLower(r.Run.Basics.NamePrefix) + "-" + s.now().UTC().Format("20060102150405") + "-" + uuid.NewString()[:4]
	}
	if err := checkDeploymentName(r.Run.Deployment); err != nil {
		return added, f, err
	}
	if err := s.readLedger(ctx); err != nil {
		return added, f, err
	}
	err = s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		once := *r // the transaction may run again
		if f, err = s.gather(ctx, tx, &once); err != nil {
			return err
		}
		if added, err = checkRun(&once.Run, f.RunFacts); err != nil {
			return err
		}
		r.Run = once.Run
		f.deployment = f.group.Provider("Microsoft.Resources", "deployments", r.Run.Deployment)
		if _, err := tx.Work(ctx, workRun, f.deployment); err == nil {
			return arm.Errorf(arm.Conflicting, "DeploymentActive", "A run named '%s' was started before. Choose another name, or follow that one: deskyard sessionhost follow.", r.Run.Deployment)
		} else if !arm.IsMissing(err) {
			return err
		}
		now := s.now()
		f.state = runState{Pool: r.Pool, Prefix: r.Run.Basics.NamePrefix, First: f.FirstNumber, Names: added.Names, HCI: r.Run.HCI(), Domain: r.Run.JoinDomain(), Began: now}
		if err := s.mintKey(ctx, tx, r, &f, now); err != nil {
			return err
		}
		_, err := tx.PutWork(ctx, deskyard.Work{Kind: workRun, ID: f.deployment, State: encoded(f.state), Due: now.Add(runStart), Created: now, Changed: now})
		return err
	})
	added.Deployment = f.deployment.String()
	return added, f, err
}

// mintKey makes the registration key of a run: for as many hosts as it adds, under
// its prefix. The pool's own key is left alone.
func (s *Service) mintKey(ctx context.Context, tx deskyard.Tx, r *AddRequest, f *runFacts, now time.Time) error {
	if f.token = r.Run.Key.Token; f.token != "" {
		return nil
	}
	if s.o.Tokens == nil {
		return arm.Errorf(arm.Unavailable, "RegistrationKeyUnavailable", "The service signs no registration keys. Start it with --agent-url, or give a key (registrationKey.token).")
	}
	key := deskyard.RegistrationKey{
		ID: uuid.NewString(), PoolID: r.Pool, Pool: f.pool.ObjectID, CreatedAt: now, CreatedBy: r.Caller.Name, ExpiresAt: now.Add(runKeyLife),
		Limits: deskyard.KeyLimits{MaxUses: r.Run.Machines.Count, NamePattern: r.Run.Basics.NamePrefix + "-*", Run: true},
	}
	token, err := s.o.Tokens.Registration(key)
	if err != nil {
		return err
	}
	f.token, f.state.Key = token, key.ID
	return tx.PutRegistrationKey(ctx, key)
}

// startRun prepares and starts the deployment of a run whose names are taken.
func (s *Service) startRun(ctx context.Context, r AddRequest, f runFacts) (deskyard.Operation, error) {
	body, err := runDeployment(r.Run, f)
	if err != nil {
		return deskyard.Operation{}, err
	}
	p, err := s.PrepareDeployment(ctx, DeploymentRequest{ID: f.deployment, Caller: r.Caller, Correlation: r.Correlation, Body: body})
	if err != nil {
		return deskyard.Operation{}, err
	}
	var op deskyard.Operation
	if err := s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		op, err = s.StartDeployment(ctx, tx, p)
		return err
	}); err != nil {
		return deskyard.Operation{}, err
	}
	s.DeploymentStarted(p)
	return op, nil
}

// releaseRun gives a run's names back and ends its key.
func (s *Service) releaseRun(ctx context.Context, tx deskyard.Tx, deployment arm.ResourceID, st runState) error {
	if st.Key != "" {
		key, err := tx.RegistrationKey(ctx, st.Key)
		if err == nil && key.RevokedAt.IsZero() {
			key.RevokedAt = s.now()
			err = tx.PutRegistrationKey(ctx, key)
		}
		if err != nil && !arm.IsMissing(err) {
			return err
		}
	}
	return tx.DeleteWork(ctx, workRun, deployment)
}

// reconcileRun keeps a run known for as long as its deployment is. A run whose
// deployment never came to be, for the service was killed in between, is forgotten.
func (s *Service) reconcileRun(ctx context.Context, w deskyard.Work) (reconcile.Result, error) {
	_, _, err := s.readWork(ctx, s.o.Store, w.ID)
	if err == nil {
		return reconcile.Result{After: runLook}, nil
	}
	if !arm.IsMissing(err) {
		return reconcile.Result{}, err
	}
	var st runState
	if err := json.Unmarshal(w.State, &st); err != nil {
		return reconcile.Result{}, fmt.Errorf("read the run %s: %w", w.ID, err)
	}
	if s.now().Before(st.Began.Add(runStart)) {
		return reconcile.Result{After: runStart}, nil // it is being prepared
	}
	err = s.o.Store.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error { return s.releaseRun(ctx, tx, w.ID, st) })
	return reconcile.Result{Done: true}, err
}

// firstFree is the number behind the highest that is in use under a prefix: by hosts
// of the pool, machines of the group, and names that runs hold.
func (s *Service) firstFree(ctx context.Context, reader deskyard.Reader, pool, group arm.ResourceID, prefix string) (int, error) {
	next := 0
	take := func(name string) {
		if n, ok := numberOf(name, prefix); ok {
			next = max(next, n+1)
		}
	}
	hosts, err := reader.SessionHosts(ctx, deskyard.HostQuery{Pool: pool})
	if err != nil {
		return 0, err
	}
	for _, h := range hosts.Items {
		take(h.ID.Name())
	}
	for _, typ := range []string{"Microsoft.Compute/virtualMachines", "Microsoft.HybridCompute/machines", "Microsoft.Network/networkInterfaces", "Microsoft.AzureStackHCI/networkInterfaces"} {
		rows, err := reader.Resources(ctx, deskyard.ResourceQuery{Scope: group, Type: typ})
		if err != nil {
			return 0, err
		}
		for _, r := range rows.Items {
			take(strings.TrimSuffix(r.ID.Name(), "-nic"))
		}
	}
	runs, err := runsWithin(ctx, reader, arm.ResourceID{})
	if err != nil {
		return 0, err
	}
	for _, r := range runs {
		if s.underWay(ctx, reader, r.deployment) && (r.Pool.Key() == pool.Key() || r.deployment.Group().Key() == group.Key()) {
			for _, n := range r.Names {
				take(n)
			}
		}
	}
	return next, nil
}

// underWay reports whether a run's deployment is still to come or under way. What it
// made holds its names by itself afterwards.
func (s *Service) underWay(ctx context.Context, reader deskyard.Reader, deployment arm.ResourceID) bool {
	_, st, err := s.readWork(ctx, reader, deployment)
	return err != nil || !st.over()
}

// numberOf is the number in a name PREFIX-N, or PREFIX-N.DOMAIN.
func numberOf(name, prefix string) (int, bool) {
	short, _, _ := strings.Cut(name, ".")
	head, digits, ok := cutLast(short, "-")
	if !ok || !strings.EqualFold(head, prefix) {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 31)
	return int(n), err == nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// scriptName is the file that a script's URL is kept under in the guest.
func scriptName(url string) string {
	url, _, _ = strings.Cut(url, "?")
	name := path.Base(url)
	if name == "." || name == "/" || name == "" {
		return "configure"
	}
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
}

// sortedNames keeps names that humans compare in order.
func sortedNames(names map[string]bool) []string {
	list := make([]string, 0, len(names))
	for n := range names {
		list = append(list, n)
	}
	slices.Sort(list)
	return list
}
