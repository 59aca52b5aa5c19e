package template

import (
	"errors"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// ARM's codes for what can be wrong with a deployment's body and template.
const (
	CodeInvalidContent  = "InvalidRequestContent"     // the body is not JSON, or not a deployment
	CodeInvalidTemplate = "InvalidTemplate"           // template and parameters do not make a deployment
	CodeInvalidNested   = "InvalidTemplateDeployment" // an expression failed while the deployment ran
	CodeOutputFailed    = "DeploymentOutputEvaluationFailed"
	CodeTooMuch         = "DeploymentJobSizeExceededException" // a limit of Limits was reached
)

// Error is one fault of a template, with the place that the user must look at.
type Error struct {
	Code    string
	Message string  // without ARM's "Deployment template validation failed" around it
	Path    string  // "resources[2].properties.zones", from the template's root
	Pos     Pos     // zero when the fault has no place, as a parameter not given
	Details []Error // further faults of the same kind

	cause error
}

// Unwrap gives what a Runtime or the context answered, where that was the fault.
func (e *Error) Unwrap() error { return e.cause }

// Error gives code, ARM's sentence and the place.
func (e *Error) Error() string { return e.Code + ": " + e.sentence() }

func (e *Error) sentence() string {
	if e.Code != CodeInvalidTemplate {
		return e.Message
	}
	return "Deployment template validation failed: '" + strings.TrimSuffix(e.Message, ".") + ".'."
}

// ARM is the error as clients of the management API expect it: kind Invalid, the
// place as additionalInfo of type TemplateViolation, further faults as details.
// Where a Runtime could not answer for now, the kind says so (Throttled,
// Unavailable), and another attempt may succeed.
func (e *Error) ARM() *arm.Error {
	a := &arm.Error{Kind: arm.Invalid, Code: e.Code, Message: e.sentence(), Target: e.Path}
	var asked *askError
	var said *arm.Error
	switch {
	case errors.As(e.cause, &said):
		a.Details = append(a.Details, *said)
		if said.Kind == arm.Throttled || said.Kind == arm.Unavailable {
			a.Kind = said.Kind
		}
	case errors.As(e.cause, &asked):
		a.Kind = arm.Unavailable
	}
	if e.Path != "" || e.Pos != (Pos{}) {
		a.Info = []arm.Additional{{Type: "TemplateViolation", Info: map[string]any{
			"lineNumber": e.Pos.Line, "linePosition": e.Pos.Column, "path": e.Path,
		}}}
	}
	for i := range e.Details {
		a.Details = append(a.Details, *e.Details[i].ARM())
	}
	return a
}

// askError is what a Runtime answered in place of a value.
type askError struct {
	asked string
	err   error
}

func (e *askError) Error() string { return e.asked + ": " + e.err.Error() }
func (e *askError) Unwrap() error { return e.err }

// faults gathers every fault of a stage, so that the user hears of all at once.
type faults []Error

func (f *faults) add(err error) {
	var e *Error
	if errors.As(err, &e) {
		*f = append(*f, *e)
		return
	}
	*f = append(*f, Error{Code: CodeInvalidTemplate, Message: err.Error()})
}

// err is nil for none, the fault itself for one; for several the first carries
// the message of all and each as a detail.
func (f faults) err() error {
	switch len(f) {
	case 0:
		return nil
	case 1:
		return &f[0]
	}
	all := f[0]
	all.Details = append([]Error(nil), f...)
	for _, e := range f[1:] {
		all.Message += " " + e.Message
	}
	return &all
}
