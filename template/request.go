package template

// Request is the body of a deployment: PUT, validate and whatIf of
// Microsoft.Resources/deployments at every scope.
type Request struct {
	Location       string // above resource groups
	Mode           string
	Tags           Value
	Template       Value // null where it is linked
	TemplateLink   Value // null for none
	Parameters     Value
	ParametersLink Value
	DebugLevel     string
	Body           Value // the whole body; Reveal makes it ordinary JSON
}

// ReadDeployment reads a deployment's body leniently. Azure CLI pastes the text of
// the template's file into it, behind a member's name without quotes:
//
//	{"properties": {"parameters": {...}, "mode": "Incremental", template:{ ...the file... }}}
//
// Lines and columns within the template are counted from the start of that text,
// so that an error names the line of the user's file.
func ReadDeployment(body []byte) (*Request, error) {
	v, err := readJSON(body, []string{"properties", "template"})
	if err != nil {
		return nil, err
	}
	props := v.Member("properties")
	if v.kind != KindObject || props.kind != KindObject {
		return nil, &Error{Code: CodeInvalidContent, Pos: v.pos, Path: "properties", Message: "The request content was invalid and could not be deserialized: 'Required property 'properties' not found in JSON.'."}
	}
	return &Request{
		Location: v.Str("location"), Tags: v.Member("tags"), Mode: props.Str("mode"),
		Template: props.Member("template"), TemplateLink: props.Member("templateLink"),
		Parameters: props.Member("parameters"), ParametersLink: props.Member("parametersLink"),
		DebugLevel: props.Member("debugSetting").Str("detailLevel"), Body: v,
	}, nil
}
