package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"
)

// Exit codes, as az has them where it has one.
const (
	exitFailed   = 1
	exitUsage    = 2
	exitNotFound = 3
)

// usageError is a command line that cannot be carried out as it stands.
type usageError struct{ message string }

func (e *usageError) Error() string { return e.message }

func usagef(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// apiError is a refusal by the service.
type apiError struct {
	Status  int
	Code    string
	Message string
	Target  string
	Details []apiDetail
	Action  string // "PUT /subscriptions/…": what was asked
}

type apiDetail struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Target  string `json:"target"`
}

func (e *apiError) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("%s: HTTP status %d: %s", e.Action, e.Status, e.Message)
	}
	return fmt.Sprintf("(%s) %s", e.Code, e.Message)
}

// advised is an error that knows the next step.
type advised struct {
	err  error
	next string
}

func (e *advised) Error() string { return e.err.Error() }
func (e *advised) Unwrap() error { return e.err }

func advise(err error, format string, args ...any) error {
	return &advised{err, fmt.Sprintf(format, args...)}
}

// ExitCode is the process's exit code for an error of a command or of kong's
// parser: 0, 1 for failures, 2 for a wrong command line, 3 for what does not exist.
func ExitCode(err error) int {
	var usage *usageError
	var parse *kong.ParseError
	var api *apiError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &usage), errors.As(err, &parse):
		return exitUsage
	case errors.As(err, &api) && api.Status == 404:
		return exitNotFound
	}
	return exitFailed
}

// Report writes an error for a person: what happened, to what, and the next step.
// It returns ExitCode(err).
func Report(w io.Writer, err error) int {
	if err == nil {
		return 0
	}
	text := "deskyard: " + err.Error() + "\n"
	var api *apiError
	if errors.As(err, &api) {
		if api.Code != "" {
			text += "  asked: " + api.Action + "\n"
		}
		if api.Target != "" {
			text += "  target: " + api.Target + "\n"
		}
		for _, d := range api.Details {
			text += fmt.Sprintf("  - (%s) %s", d.Code, d.Message)
			if d.Target != "" {
				text += " [" + d.Target + "]"
			}
			text += "\n"
		}
	}
	if next := nextStep(err, api); next != "" {
		text += "Next: " + next + "\n"
	}
	_, _ = io.WriteString(w, text) // there is nowhere left to tell of a closed stderr
	return ExitCode(err)
}

func nextStep(err error, api *apiError) string {
	var adv *advised
	var usage *usageError
	var parse *kong.ParseError
	switch {
	case errors.As(err, &adv):
		return adv.next
	case errors.As(err, &parse) && parse.Context != nil:
		return commandLine(parse.Context) + " --help"
	case errors.As(err, &usage):
		return "add --help to the command for its arguments."
	case api != nil:
		return apiNextStep(api)
	}
	return ""
}

// commandLine is the command as far as it was understood.
func commandLine(ctx *kong.Context) string {
	line := ctx.Model.Name
	for _, p := range ctx.Path {
		if p.Command != nil {
			line += " " + p.Command.Name
		}
	}
	return line
}

// nextSteps are what to do about codes that need nothing of the message.
var nextSteps = map[string]string{
	"SubscriptionNotFound":                "see which there are: deskyard account list. Choose one with --subscription.",
	"InvalidAuthenticationToken":          "log in again: deskyard login.",
	"ExpiredAuthenticationToken":          "log in again: deskyard login.",
	"AuthenticationFailed":                "log in again: deskyard login.",
	"RoleAssignmentExists":                "nothing: the principal has the role already. deskyard role assignment list shows it.",
	"RoleDefinitionDoesNotExist":          "see the roles: deskyard role definition list --query '[].roleName'.",
	"PrincipalNotFound":                   "find the object id: deskyard user list, deskyard usergroup list or deskyard sp list.",
	"CannotDeleteLastRbacAdminAssignment": "give somebody else the role Owner first: deskyard role assignment create --role Owner --assignee NAME.",
	"RoleDefinitionHasAssignments":        "delete the assignments first: deskyard role assignment list --role NAME --all.",
	"InvalidExpirationTime":               "choose a time between 1 hour and 27 days from now, e.g. --registration-info expiration-time=\"$(date -u -d '+1 day' +%Y-%m-%dT%H:%M:%SZ)\" registration-token-operation=Update.",
	"SessionHostUnreachable":              "start the machine, or use --force to drop the record alone.",
	"TooManyRequests":                     "wait as long as the service says and repeat the command.",
	"InternalServerError":                 "look for the request's correlation id in the service's log (repeat with --debug to see it).",
}

func apiNextStep(e *apiError) string {
	switch e.Code {
	case "AuthorizationFailed":
		action, scope := quotedAfter(e.Message, "perform action "), quotedAfter(e.Message, "over scope ")
		who := quotedAfter(e.Message, "with object id ")
		if action == "" || scope == "" {
			return ""
		}
		return fmt.Sprintf("an Owner or User Access Administrator can grant it: deskyard role assignment create --assignee %s --role %q --scope %s",
			who, roleFor(action), scopeOf(scope, action))
	case "ResourceGroupNotFound":
		if name := quotedAfter(e.Message, "Resource group "); name != "" {
			return fmt.Sprintf("create it: deskyard group create -n %s -l LOCATION, or see those that exist: deskyard group list.", name)
		}
	case "ResourceNotFound", "ParentResourceNotFound":
		if kind := kindOf(e.Action); kind != "" {
			return fmt.Sprintf("see those that exist: deskyard %s list.", kind)
		}
	}
	return nextSteps[e.Code]
}

// quotedAfter is the text between quotes behind a phrase of a message.
func quotedAfter(message, phrase string) string {
	_, rest, ok := strings.Cut(message, phrase+"'")
	if !ok {
		return ""
	}
	text, _, _ := strings.Cut(rest, "'")
	return text
}

// roleFor is the least of the built-in roles that gives an action, of those an
// administrator is likely to give.
func roleFor(action string) string {
	a := strings.ToLower(action)
	has := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(a, p) {
				return true
			}
		}
		return false
	}
	switch read := strings.HasSuffix(a, "/read"); {
	case has("microsoft.authorization/") && !read:
		return "User Access Administrator"
	case has("/usersessions"):
		return "Desktop Virtualization User Session Operator"
	case has("/sessionhosts") && !read:
		return "Desktop Virtualization Session Host Operator"
	case has("/hostpools") && read:
		return "Desktop Virtualization Host Pool Reader"
	case has("/hostpools"):
		return "Desktop Virtualization Host Pool Contributor"
	case has("/applicationgroups") && !read:
		return "Desktop Virtualization Application Group Contributor"
	case has("/workspaces") && !read:
		return "Desktop Virtualization Workspace Contributor"
	case has("microsoft.desktopvirtualization/") && read:
		return "Desktop Virtualization Reader"
	case has("microsoft.desktopvirtualization/"):
		return "Desktop Virtualization Contributor"
	case read:
		return "Reader"
	}
	return "Contributor"
}

// scopeOf is where a role is best given: the resource group, or the subscription
// where there is none.
func scopeOf(scope, action string) string {
	parts := strings.Split(strings.Trim(scope, "/"), "/")
	if len(parts) >= 4 && strings.EqualFold(parts[2], "resourceGroups") {
		// A group that is yet to be made is asked for above it.
		if len(parts) == 4 && strings.HasSuffix(strings.ToLower(action), "resourcegroups/write") {
			return "/" + strings.Join(parts[:2], "/")
		}
		return "/" + strings.Join(parts[:4], "/")
	}
	if len(parts) >= 2 {
		return "/" + strings.Join(parts[:2], "/")
	}
	return scope
}

// kindOf is the command for the type that a request was about.
func kindOf(action string) string {
	a := strings.ToLower(action)
	for _, k := range []struct{ part, command string }{
		{"/usersessions", "usersession"}, {"/sessionhosts", "sessionhost"}, {"/hostpools", "hostpool"},
		{"/applications", "application"}, {"/desktops", "desktop"}, {"/applicationgroups", "applicationgroup"},
		{"/workspaces", "workspace"}, {"/scalingplans", "scalingplan"},
	} {
		if strings.Contains(a, k.part) {
			return k.command
		}
	}
	return ""
}
