// Package template is the language of Azure Resource Manager templates: it reads
// them, evaluates their expressions and makes of a template and its parameters a
// graph of resources to deploy. It performs no I/O, reads no clock and draws no
// random numbers: what the world says comes in through Env and Runtime.
//
//	text ── ReadDeployment / ReadJSON ──► Value      a tree with lines and columns
//	Value ── Parse ──► Template                      sections, expressions' syntax, function names
//	Template + parameters ── Bind ──► Bound          types, defaults, variables
//	Bound ── Expand ──► Plan                         loops, conditions, names, ids, who waits for whom
//	for each Node of the Plan, when those it waits for are done:
//	        Node ── Evaluate(Runtime) ──► Value      the body to PUT
//	        a nested deployment: Node ── Deployment(Runtime) ──► Nested ── Parse, Nested.Bind, Expand, ...
//	Plan ── Outputs(Runtime) ──► []Output
//
// Most expressions are evaluated by Expand. Only reference() and the list functions
// ask for the state of resources that are already deployed: a body in which they
// occur is evaluated by Evaluate, through the Runtime. Functions that must not
// evaluate what they do not need (if, and, or, coalesce) are lazy.
//
// Values that come from securestring and secureObject parameters are marked, and
// the mark stays with whatever is made of them, into nested deployments and
// outputs. Marked values are redacted wherever a Value is turned into text, but for
// Value.Reveal, which the caller uses for the PUT itself.
//
// Templates are hostile input. Limits bounds the copies, the evaluated expressions
// and the bytes of every call; parsers bound the depth.
//
// The rules are those of Microsoft's reference of template functions and syntax.
// Where this package differs, it says so: union and intersection compare member
// names without regard to case, a nested child resource waits for its parent, and
// a deployment may have 10,000 resources after its loops (Limits).
package template
