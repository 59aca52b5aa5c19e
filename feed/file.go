package feed

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/smallstep/pkcs7"

	"github.com/deskyard/deskyard"
)

// File is a connection file (.rdp): settings in the order in which they were first set.
// Names are compared without case. The zero File is empty.
type File struct {
	settings []deskyard.RDPProperty
}

// Set gives a text setting its value. A line break, which would begin another setting,
// becomes a blank.
func (f *File) Set(name, value string) { f.put(name, "s", value) }

// SetNumber gives a numeric setting its value.
func (f *File) SetNumber(name string, value int) { f.put(name, "i", strconv.Itoa(value)) }

// Merge takes over the custom properties of a host pool. What the service sets itself
// for each connection is set after it, and so wins.
func (f *File) Merge(custom string) {
	properties, _ := deskyard.ParseRDPProperties(custom) // what is malformed was refused when the pool was written
	for _, p := range properties {
		f.put(p.Name, p.Type, p.Value)
	}
}

func (f *File) put(name, kind, value string) {
	p := deskyard.RDPProperty{Name: strings.ToLower(name), Type: kind, Value: strings.Map(unbroken, value)}
	if i := f.find(name); i >= 0 {
		f.settings[i] = p
		return
	}
	f.settings = append(f.settings, p)
}

func unbroken(r rune) rune {
	if r == '\r' || r == '\n' || r == 0 {
		return ' '
	}
	return r
}

func (f *File) find(name string) int {
	return slices.IndexFunc(f.settings, func(p deskyard.RDPProperty) bool { return strings.EqualFold(p.Name, name) })
}

// Bytes is the file as clients read it: ASCII where that is enough, UTF-16 with a byte
// order mark where a name is beyond it (mstsc reads no UTF-8).
func (f *File) Bytes() []byte {
	var b strings.Builder
	for _, p := range f.settings {
		b.WriteString(p.Name + ":" + p.Type + ":" + p.Value + "\r\n")
	}
	text := b.String()
	if strings.IndexFunc(text, func(r rune) bool { return r > 126 }) < 0 {
		return []byte(text)
	}
	return append([]byte{0xff, 0xfe}, utf16LE(text)...)
}

func utf16LE(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

// signed are the settings that a signature covers, as rdpsign.exe spells and orders
// them: whatever says where a connection goes, what it starts, and what it shares.
var signed = []string{
	"Full Address", "Alternate Full Address", "PCB", "Use Redirection Server Name", "Server Port", "Negotiate Security Layer",
	"EnableCredSspSupport", "DisableConnectionSharing", "AutoReconnection Enabled", "GatewayHostname", "GatewayUsageMethod",
	"GatewayProfileUsageMethod", "GatewayCredentialsSource", "Support URL", "PromptCredentialOnce", "Require pre-authentication",
	"Pre-authentication server address", "Alternate Shell", "Shell Working Directory", "RemoteApplicationProgram",
	"RemoteApplicationExpandWorkingdir", "RemoteApplicationMode", "RemoteApplicationGuid", "RemoteApplicationName",
	"RemoteApplicationIcon", "RemoteApplicationFile", "RemoteApplicationFileExtensions", "RemoteApplicationCmdLine",
	"RemoteApplicationExpandCmdLine", "Prompt For Credentials", "Authentication Level", "AudioMode", "RedirectDrives",
	"RedirectPrinters", "RedirectCOMPorts", "RedirectSmartCards", "RedirectPOSDevices", "RedirectClipboard",
	"DevicesToRedirect", "DrivesToRedirect", "LoadBalanceInfo", "RedirectDirectX", "RDGIsKDCProxy", "KDCProxyName",
	"EventLogUploadAddress",
}

// Sign signs the file as rdpsign.exe does, so that clients name the publisher instead of
// warning of an unknown one: PKCS #7 over the covered settings. chain is the signer's
// certificate and those above it.
func (f *File) Sign(key crypto.PrivateKey, chain []*x509.Certificate) error {
	if i := f.find("full address"); i >= 0 && f.find("alternate full address") < 0 {
		f.Set("alternate full address", f.settings[i].Value) // unsigned, it could lead elsewhere
	}
	var names []string
	var covered strings.Builder
	for _, name := range signed {
		if i := f.find(name); i >= 0 {
			p := f.settings[i]
			names = append(names, name)
			covered.WriteString(p.Name + ":" + p.Type + ":" + p.Value + "\r\n")
		}
	}
	scope := strings.Join(names, ",")
	covered.WriteString("signscope:s:" + scope + "\r\n\x00")
	data, err := pkcs7.NewSignedData(utf16LE(covered.String()))
	if err != nil {
		return fmt.Errorf("sign the connection file: %w", err)
	}
	data.SetDigestAlgorithm(pkcs7.OIDDigestAlgorithmSHA256)
	if err := data.SignWithoutAttr(chain[0], key, pkcs7.SignerInfoConfig{}); err != nil {
		return fmt.Errorf("sign the connection file: %w", err)
	}
	for _, c := range chain[1:] {
		data.AddCertificate(c)
	}
	data.Detach()
	signature, err := data.Finish()
	if err != nil {
		return fmt.Errorf("sign the connection file: %w", err)
	}
	b := binary.LittleEndian.AppendUint32(nil, 0x00010001) // rdpsign.exe's own header
	b = binary.LittleEndian.AppendUint32(b, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(signature)))
	f.Set("signscope", scope)
	f.Set("signature", base64.StdEncoding.EncodeToString(append(b, signature...)))
	return nil
}
