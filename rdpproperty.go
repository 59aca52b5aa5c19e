package deskyard

import (
	"strconv"
	"strings"

	"github.com/deskyard/deskyard/arm"
)

// DefaultRDPProperties are the RDP properties of a pool that sets none, as the
// service was recorded to answer them.
const DefaultRDPProperties = "drivestoredirect:s:*;audiomode:i:0;videoplaybackmode:i:1;redirectclipboard:i:1;redirectprinters:i:1;" +
	"devicestoredirect:s:*;redirectcomports:i:1;redirectsmartcards:i:1;usbdevicestoredirect:s:*;enablecredsspsupport:i:1;" +
	"redirectwebauthn:i:1;use multimon:i:1;"

// serviceRDPProperties say where a connection goes and what it starts. The service
// writes them into each connection file, so a pool must not.
var serviceRDPProperties = map[string]bool{
	"full address": true, "alternate full address": true, "server port": true, "loadbalanceinfo": true,
	"username": true, "workspace id": true,
	"resourceprovider": true, "wvd endpoint pool": true, "armpath": true, "aadtenantid": true,
	"diagnosticserviceurl": true, "hubdiscoverygeourl": true, "eventuploadaddress": true,
	"activityhint": true, "geo": true, "signature": true, "signscope": true,
}

// setByService reports whether a property is the service's; all of gateways and of
// applications are.
func setByService(name string) bool {
	return serviceRDPProperties[name] || strings.HasPrefix(name, "gateway") || strings.HasPrefix(name, "remoteapplication")
}

// RDPProperty is one "name:type:value" of a connection file.
type RDPProperty struct {
	Name  string // lower case
	Type  string // i (number), s (text) or b (binary)
	Value string // may hold colons
}

// ParseRDPProperties splits "name:type:value;…"; a trailing semicolon and empty
// pieces are allowed. bad are the pieces that have not that form.
func ParseRDPProperties(s string) (props []RDPProperty, bad []string) {
	for _, piece := range strings.Split(s, ";") {
		piece = strings.TrimSpace(piece)
		if piece == "" {
			continue
		}
		name, rest, ok := strings.Cut(piece, ":")
		kind, value, typed := strings.Cut(rest, ":")
		p := RDPProperty{Name: strings.ToLower(strings.TrimSpace(name)), Type: strings.ToLower(strings.TrimSpace(kind)), Value: value}
		if !ok || !typed || p.Name == "" || !p.wellTyped() {
			bad = append(bad, piece)
			continue
		}
		props = append(props, p)
	}
	return props, bad
}

func (p RDPProperty) wellTyped() bool {
	switch p.Type {
	case "s", "b":
		return true
	case "i":
		_, err := strconv.ParseInt(strings.TrimSpace(p.Value), 10, 64)
		return err == nil
	}
	return false
}

// ValidateRDPProperties notes each piece of a custom RDP property string that is
// malformed, given twice, or belongs to the service.
func ValidateRDPProperties(path, s string, v *arm.Violations) {
	notLonger(v, path, &s, maxLongText)
	if strings.ContainsAny(s, "\r\n\x00") {
		v.Add(path, "Custom RDP properties are separated by semicolons; a line break would add lines to the connection file.")
		return
	}
	props, bad := ParseRDPProperties(s)
	for _, piece := range bad {
		v.Add(path, "The custom RDP property '%s' is not of the form name:type:value with type i (whole number), s or b.", piece)
	}
	seen := map[string]bool{}
	for _, p := range props {
		if setByService(p.Name) {
			v.Add(path, "The RDP property '%s' is set by the service for each connection and cannot be customised.", p.Name)
		}
		if seen[p.Name] {
			v.Add(path, "The RDP property '%s' is given twice.", p.Name)
		}
		seen[p.Name] = true
	}
}
