package armapi

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/deskyard/deskyard"
	"github.com/deskyard/deskyard/arm"
)

// powerAction starts, stops or restarts a machine: accepted at once and done later.
func (s *Server) powerAction(verb string) handler {
	return func(ctx context.Context, req *Request) (Response, error) {
		do := verb
		var settings json.RawMessage
		if verb == deskyard.JobDeallocate && strings.EqualFold(req.Query("hibernate"), "true") {
			do = deskyard.JobHibernate
		}
		if verb == deskyard.JobPowerOff && strings.EqualFold(req.Query("skipShutdown"), "true") {
			settings = json.RawMessage(`{"skipShutdown":true}`)
		}
		req.Detail = do
		return s.machineJob(ctx, req, deskyard.Job{Kind: deskyard.WorkMachine, Verb: do, Settings: settings}, func(r deskyard.Resource) error {
			return mayPower(r, do)
		})
	}
}

// mayPower refuses what a machine's row already rules out.
func mayPower(r deskyard.Resource, verb string) error {
	if verb != deskyard.JobHibernate || !strings.EqualFold(r.ID.Type(), deskyard.TypeVirtualMachine) {
		return nil
	}
	m, err := readModel[deskyard.VirtualMachine](r)
	if err != nil {
		return err
	}
	if !m.Hibernates() {
		return arm.Errorf(arm.Conflicting, "OperationNotAllowed",
			"The operation is not allowed: the machine '%s' was not made with additionalCapabilities.hibernationEnabled.", r.ID.Name())
	}
	return nil
}

// machineJob submits a job about the machine of the request and answers 202.
func (s *Server) machineJob(ctx context.Context, req *Request, j deskyard.Job, check func(deskyard.Resource) error) (Response, error) {
	if s.opt.Machines == nil {
		return Response{}, errNoHypervisor(req.ID)
	}
	var row deskyard.Resource
	var op deskyard.Operation
	err := req.Write(ctx, func(ctx context.Context, tx deskyard.Tx) error {
		var err error
		if row, err = s.load(ctx, tx, req.ID); err != nil {
			return err
		}
		if err := req.Type.notDeleting(row); err != nil {
			return err
		}
		if check != nil {
			if err := check(row); err != nil {
				return err
			}
		}
		j.ID, j.Caller = row.ID, req.Principal
		op, err = s.opt.Machines.Submit(ctx, tx, j)
		return err
	})
	if err != nil {
		return Response{}, err
	}
	s.opt.Machines.Wake(j.Kind, row.ID)
	return accepted(req.BaseURL, req.Type, row, req.Version, op), nil
}

// Bounds of a command to run in a machine.
const (
	maxScriptLines = 2000
	maxParameters  = 100
)

// commandRequest is the body of runCommand. Its parameters may hold secrets, so that
// all of it is sealed.
type commandRequest struct {
	CommandID  string   `json:"commandId"` // RunShellScript, RunPowerShellScript
	Script     []string `json:"script"`
	Parameters []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	} `json:"parameters"`
}

// runCommand has a script run inside the machine; the operation's result is its output
// in Azure's shape.
func (s *Server) runCommand(ctx context.Context, req *Request) (Response, error) {
	var sent commandRequest
	if err := req.Decode(&sent); err != nil {
		return Response{}, err
	}
	switch {
	case !strings.EqualFold(sent.CommandID, "RunShellScript") && !strings.EqualFold(sent.CommandID, "RunPowerShellScript"):
		return Response{}, arm.Errorf(arm.Invalid, "InvalidParameter", "The entity was not found: command '%s'. Supported are RunShellScript and RunPowerShellScript.", clip(sent.CommandID)).WithTarget("commandId")
	case len(sent.Script) == 0:
		return Response{}, arm.Errorf(arm.Invalid, "InvalidParameter", "The script is required: an array of lines.").WithTarget("script")
	case len(sent.Script) > maxScriptLines || len(sent.Parameters) > maxParameters:
		return Response{}, arm.Errorf(arm.Invalid, "InvalidParameter", "A command has at most %d lines and %d parameters.", maxScriptLines, maxParameters).WithTarget("script")
	}
	settings, err := json.Marshal(map[string]string{"commandId": sent.CommandID})
	if err != nil {
		return Response{}, err
	}
	secrets, err := json.Marshal(sent)
	if err != nil {
		return Response{}, err
	}
	req.Detail = sent.CommandID
	return s.machineJob(ctx, req, deskyard.Job{Kind: deskyard.WorkCommand, Verb: deskyard.JobRun, Settings: settings, Secrets: secrets}, nil)
}

// refuseGeneralize says how images are made here.
func refuseGeneralize(_ context.Context, req *Request) (Response, error) {
	return Response{}, arm.Errorf(arm.Conflicting, "NotSupported",
		"The machine '%s' cannot be generalized or captured here. Make images with 'deskyard image build' or 'deskyard image import'.", req.ID.Name())
}

// refuseElsewhere says what there is in place of a new host or a new disk.
func refuseElsewhere(_ context.Context, req *Request) (Response, error) {
	return Response{}, arm.Errorf(arm.Conflicting, "NotSupported",
		"The machine '%s' stays on its hypervisor with its disk. Deallocate and start it, or delete it and create it anew.", req.ID.Name())
}
