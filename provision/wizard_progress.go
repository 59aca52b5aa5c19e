package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// Stages of a host, and how much of its way each is: booting and joining take most.
var stagePercent = map[string]float64{
	"Queued": 0, "Network": 5, "Machine": 10, "Starting": 20, "Booting": 25, "Joining": 60, "Agent": 75, "Available": 100, "Failed": 100, "Canceled": 100,
}

// RunProgress tells how far each host of a run is, from the rows as they are now.
func (s *Service) RunProgress(ctx context.Context, pool arm.ResourceID, deployment string) (deskyard.RunProgress, error) {
	runs, err := s.runs(ctx, pool)
	if err != nil {
		return deskyard.RunProgress{}, err
	}
	for _, r := range runs {
		if strings.EqualFold(r.deployment.Name(), deployment) {
			return s.progress(ctx, r)
		}
	}
	return deskyard.RunProgress{}, arm.Errorf(arm.Missing, "SessionHostRunNotFound", "The host pool '%s' has no run '%s'. Runs are known for as long as their deployment is.", pool.Name(), deployment)
}

func (s *Service) progress(ctx context.Context, r run) (deskyard.RunProgress, error) {
	p := deskyard.RunProgress{Deployment: r.deployment.String(), State: stateRunning, Hosts: []deskyard.HostProgress{}}
	_, d, err := s.readWork(ctx, s.o.Store, r.deployment)
	if err != nil && !arm.IsMissing(err) {
		return p, err
	}
	if err == nil && d.over() {
		p.State = d.Status
	}
	for _, name := range r.Names {
		h, err := s.hostProgress(ctx, r.deployment, r.runState, name, p.State)
		if err != nil {
			return p, err
		}
		p.Hosts = append(p.Hosts, h)
	}
	if p.State == stateSucceeded && s.now().Before(d.Ended.Add(checksTime)) && slices.ContainsFunc(p.Hosts, isAboutReady) {
		p.State = stateRunning
	}
	p.Summary = summary(p)
	return p, nil
}

// checksTime bounds how long a run whose deployment has succeeded waits for its hosts'
// health checks, which begin with the agents' links.
const checksTime = 2 * time.Minute

// isAboutReady reports whether a host has registered and is not Available yet.
func isAboutReady(h deskyard.HostProgress) bool { return h.Stage == "Agent" }

// hostProgress is one host's.
func (s *Service) hostProgress(ctx context.Context, deployment arm.ResourceID, st runState, name, state string) (deskyard.HostProgress, error) {
	group := deployment.Group()
	h := deskyard.HostProgress{Name: name, Stage: "Queued", Detail: "It waits for its turn."}
	vm, nic := group.Provider("Microsoft.Compute", "virtualMachines", name), group.Provider("Microsoft.Network", "networkInterfaces", name+"-nic")
	work := vm
	if st.HCI {
		vm = group.Provider("Microsoft.HybridCompute", "machines", name)
		nic = group.Provider("Microsoft.AzureStackHCI", "networkInterfaces", name+"-nic")
		work = vm.Provider("Microsoft.AzureStackHCI", "virtualMachineInstances", "default")
	}
	end := s.now()
	failed, err := s.machineProgress(ctx, &h, vm, nic, work)
	if err != nil {
		return h, err
	}
	if !failed.at.IsZero() {
		end = failed.at
	}
	if h.Stage == "Agent" {
		readyAt, err := s.registeredProgress(ctx, &h, st, name)
		if err != nil {
			return h, err
		}
		if readyAt.After(st.Began) {
			end = readyAt
		}
	}
	if state != stateRunning && h.Stage != "Available" && h.Stage != "Failed" && (h.Stage != "Agent" || h.Host == "") {
		h.Stage = "Failed"
		if state == stateCanceled {
			h.Stage = "Canceled"
		}
		h.Detail = fmt.Sprintf("The deployment ended as %s before this host was ready. It had come to: %s", state, h.Detail)
	}
	if h.Stage == "Failed" || h.Stage == "Canceled" {
		h.Next = s.nextCommand(deployment, st, name, h, failed)
	}
	h.Percent = stagePercent[h.Stage]
	h.Seconds = end.Sub(st.Began).Round(time.Second).Seconds()
	return h, nil
}

// hostFailure is what matters of a failure for going on after it.
type hostFailure struct {
	at   time.Time // of the machine's; zero for what came later
	join string    // code of a domain join that failed; "" for everything else
}

// machineProgress reads the stages up to the agent's installation, and how the machine
// or what runs in it failed.
func (s *Service) machineProgress(ctx context.Context, h *deskyard.HostProgress, vm, nic, work arm.ResourceID) (failed hostFailure, err error) {
	row, err := s.o.Store.Resource(ctx, work)
	if arm.IsMissing(err) {
		there, err := exists(ctx, s.o.Store, nic)
		if there {
			h.Stage, h.Detail = "Network", "Its network interface stands; its machine is next."
		}
		return failed, err
	}
	if err != nil {
		return failed, err
	}
	h.VM = vm.String()
	var p deskyard.Provisioning
	if err := readProperties(row, &p); err != nil {
		return failed, err
	}
	if p.ProvisioningState == stateSucceeded {
		failed.join, err = s.extensionProgress(ctx, h, vm)
		return failed, err
	}
	var st machineState
	w, err := s.o.Store.Work(ctx, deskyard.WorkMachine, work)
	if err == nil {
		err = json.Unmarshal(w.State, &st)
	}
	if err != nil && !arm.IsMissing(err) {
		return failed, err
	}
	if p.ProvisioningState == stateFailed {
		h.Stage, h.Detail = "Failed", p.StatusReason
		return hostFailure{at: st.Since}, nil
	}
	h.Stage, h.Detail = stageOf(st)
	if p.StatusReason != "" {
		h.Detail = p.StatusReason
	}
	return failed, nil
}

// stageOf puts the step of a machine's making into the words of a run.
func stageOf(st machineState) (stage, detail string) {
	switch st.Step {
	case stepMade:
		return "Starting", "Its machine is made and starts on " + st.Place.Host + "."
	case stepStarted:
		return "Booting", "It boots on " + st.Place.Host + "; its boot loader is awaited."
	case stepLinked:
		return "Booting", "Its boot loader is here; it gets its name and its administrator."
	case stepPlaced:
		return "Machine", "Its machine is made on " + st.Place.Host + "."
	}
	return "Machine", "A host is looked for."
}

// extensionProgress reads what runs in the guest. joinFault is the code of a domain
// join that failed.
func (s *Service) extensionProgress(ctx context.Context, h *deskyard.HostProgress, vm arm.ResourceID) (joinFault string, err error) {
	h.Stage, h.Detail = "Joining", "Its machine is ready; what is to run in it is next."
	rows, err := s.o.Store.Resources(ctx, deskyard.ResourceQuery{Scope: vm, Type: vm.Type() + "/extensions"})
	if err != nil {
		return "", err
	}
	for _, r := range rows.Items {
		var p struct {
			deskyard.Provisioning
			Type string                        `json:"type"`
			View *deskyard.VMExtensionInstance `json:"instanceView"`
		}
		if err := readProperties(r, &p); err != nil {
			return "", err
		}
		agent := strings.EqualFold(p.Type, "DSC")
		switch p.ProvisioningState {
		case stateFailed:
			h.Stage, h.Detail = "Failed", r.ID.Name()+": "+p.StatusReason
			if p.StatusReason == "" && p.Fault != nil {
				h.Detail = r.ID.Name() + ": " + p.Fault.Message
			}
			if strings.EqualFold(p.Type, "JsonADDomainExtension") {
				joinFault = joinCode(p.View)
			}
			return joinFault, nil
		case stateSucceeded, "":
			if agent {
				h.Stage, h.Detail = "Agent", "Its agent is installed; it registers."
			}
		default:
			if agent {
				h.Stage, h.Detail = "Agent", "Its agent is being installed."
				continue
			}
			h.Detail = r.ID.Name() + " runs in it."
		}
	}
	return "", nil
}

// joinCode is the code by which a join failed, "JoinFailed" where nobody noted one.
func joinCode(view *deskyard.VMExtensionInstance) string {
	if view != nil {
		for _, status := range view.Statuses {
			if code, ok := strings.CutPrefix(status.Code, "ProvisioningState/failed/"); ok && code != "" {
				return code
			}
		}
	}
	return "JoinFailed"
}

// registeredProgress reads the session host's own record, and since when it is Available.
func (s *Service) registeredProgress(ctx context.Context, h *deskyard.HostProgress, st runState, name string) (readyAt time.Time, err error) {
	names := []string{name}
	if st.Domain != "" {
		names = append(names, name+"."+st.Domain)
	}
	for _, n := range names {
		host, err := s.o.Store.SessionHost(ctx, st.Pool.Child("sessionHosts", n))
		if arm.IsMissing(err) {
			continue
		}
		if err != nil {
			return readyAt, err
		}
		h.Host = host.ID.String()
		var lease deskyard.Lease
		if s.o.Fleet != nil {
			if r, ok := s.o.Fleet.Report(host.ObjectID); ok {
				host.Report = r
			}
			lease = s.o.Fleet.Lease(host.ObjectID)
		}
		status, why := host.Status(lease, s.now())
		if h.Detail = why; status == "Available" {
			h.Stage, h.Detail = "Available", ""
			readyAt = host.StatusAt
		} else if why == "" {
			h.Detail = "It is registered and " + status + "."
		}
		return readyAt, nil
	}
	return readyAt, nil
}

// nextCommand is what to go on with after a failure.
func (s *Service) nextCommand(deployment arm.ResourceID, st runState, name string, h deskyard.HostProgress, failed hostFailure) string {
	if failed.join != "" {
		return joinAgain(deployment, failed.join)
	}
	if h.Host != "" {
		return fmt.Sprintf("deskyard sessionhost replace --resource-group %s --host-pool-name %s --name %s", st.Pool.ResourceGroup, st.Pool.Name(), name)
	}
	if h.VM == "" {
		return fmt.Sprintf("az deployment operation group list --resource-group %s --name %s", deployment.ResourceGroup, deployment.Name())
	}
	if st.HCI {
		return fmt.Sprintf("az resource delete --ids %s", h.VM)
	}
	return fmt.Sprintf("az vm boot-diagnostics get-boot-log --ids %s", h.VM)
}

// wrongParameters are the parameters of a run that a join's code finds fault with, and
// what stands for their right values. Passwords are none: az asks for them.
var wrongParameters = map[string]string{
	"OrganizationalUnitNotFound": "ouPath=RIGHT-OU", "AccessDenied": "joinUser=RIGHT-ACCOUNT",
	"DomainNotFound": "domain=RIGHT-DOMAIN",
}

// joinAgain deploys a run again, whose machines stand: what failed to join is tried once
// more. az asks for the passwords and for the pool's registration key, which no
// deployment shows.
func joinAgain(deployment arm.ResourceID, code string) string {
	at := fmt.Sprintf("--resource-group %s --name %s", deployment.ResourceGroup, deployment.Name())
	command := fmt.Sprintf("az deployment group export %s >%s.json && az deployment group create %s --template-file %[2]s.json", at, deployment.Name(), at)
	if wrong := wrongParameters[code]; wrong != "" {
		command += " --parameters " + wrong
	}
	return command
}

// summary says in one sentence how a run stands.
func summary(p deskyard.RunProgress) string {
	count := map[string]int{}
	for _, h := range p.Hosts {
		count[h.Stage]++
	}
	n, ready, failed := len(p.Hosts), count["Available"], count["Failed"]+count["Canceled"]
	switch {
	case ready == n:
		return fmt.Sprintf("All %d session hosts are Available.", n)
	case failed > 0:
		return fmt.Sprintf("%d of %d session hosts are Available, %d failed, %d are under way.", ready, n, failed, n-ready-failed)
	}
	return fmt.Sprintf("%d of %d session hosts are Available, %d are under way.", ready, n, n-ready)
}
