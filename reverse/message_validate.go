package reverse

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// maxRetry bounds a retry hint, in seconds: a mistake of the service must not
// strand its hosts for longer than an hour.
const maxRetry = 3600

// Validate reports what is wrong with a hello.
func (h Hello) Validate() error {
	if h.Version < 1 {
		return errors.New("hello: version is missing")
	}
	return bounded("hello", "nonce", h.Nonce, 16, 128)
}

// Validate reports what is wrong with an auth; it does not check the signature.
func (a Auth) Validate() error {
	switch {
	case a.Version < 1:
		return errors.New("auth: version is missing")
	case a.HostID == "" || !idForm.MatchString(a.HostID):
		return fmt.Errorf("auth: hostId %.70q is not an id", a.HostID)
	case !idForm.MatchString(a.Epoch):
		return fmt.Errorf("auth: epoch %.70q is not an id", a.Epoch)
	case len(a.Signature) != ed25519.SignatureSize:
		return fmt.Errorf("auth: the signature has %d bytes, not %d", len(a.Signature), ed25519.SignatureSize)
	}
	return object("auth", "machine", a.Machine)
}

// Validate reports what is wrong with a welcome.
func (w Welcome) Validate() error {
	if w.NextEpoch == "" || !idForm.MatchString(w.NextEpoch) {
		return fmt.Errorf("welcome: nextEpoch %.70q is not an id", w.NextEpoch)
	}
	if w.HeartbeatSeconds < 1 || w.HeartbeatSeconds > 300 {
		return fmt.Errorf("welcome: heartbeatSeconds %d is not between 1 and 300", w.HeartbeatSeconds)
	}
	return nil
}

// Validate reports what is wrong with a refusal.
func (r Refused) Validate() error {
	if err := bounded("refused", "code", r.Code, 1, 64); err != nil {
		return err
	}
	if err := retry("refused", r.RetryAfterSeconds); err != nil {
		return err
	}
	return bounded("refused", "message", r.Message, 0, maxText)
}

// Validate reports what is wrong with a confirm.
func (c Confirm) Validate() error {
	if c.Epoch == "" || !idForm.MatchString(c.Epoch) {
		return fmt.Errorf("confirm: epoch %.70q is not an id", c.Epoch)
	}
	return nil
}

// Validate reports what is wrong with a result.
func (r Result) Validate() error { return bounded("result", "error", r.Error, 0, maxText) }

// Validate reports what is wrong with a bye.
func (b Bye) Validate() error {
	if err := retry("bye", b.RetryAfterSeconds); err != nil {
		return err
	}
	return bounded("bye", "reason", b.Reason, 0, maxText)
}

// Validate reports what is wrong with a registration; it checks neither the token
// nor the proof.
func (r Register) Validate() error {
	switch {
	case r.Token == "" || len(r.Token) > maxToken:
		return fmt.Errorf("register: the token has %d characters, not 1 to %d", len(r.Token), maxToken)
	case len(r.PublicKey) != ed25519.PublicKeySize:
		return fmt.Errorf("register: the public key has %d bytes, not %d", len(r.PublicKey), ed25519.PublicKeySize)
	case len(r.Proof) != ed25519.SignatureSize:
		return fmt.Errorf("register: the proof has %d bytes, not %d", len(r.Proof), ed25519.SignatureSize)
	}
	return object("register", "machine", r.Machine)
}

// DecodeRegister reads and validates the body of a registration.
func DecodeRegister(data []byte) (Register, error) {
	var r Register
	if len(data) > MaxRegister {
		return r, fmt.Errorf("decode registration: %d bytes, at most %d are allowed", len(data), MaxRegister)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return Register{}, fmt.Errorf("decode registration: %w", err)
	}
	if err := r.Validate(); err != nil {
		return Register{}, err
	}
	return r, nil
}

func object(in, name string, b json.RawMessage) error {
	if len(b) > maxMachine {
		return fmt.Errorf("%s: %s has %d bytes, at most %d are allowed", in, name, len(b), maxMachine)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		return fmt.Errorf("%s: %s is not an object", in, name)
	}
	return nil
}

func bounded(in, name, s string, least, most int) error {
	if len(s) < least || len(s) > most {
		return fmt.Errorf("%s: %s has %d characters, not %d to %d", in, name, len(s), least, most)
	}
	return nil
}

func retry(in string, seconds int) error {
	if seconds < 0 || seconds > maxRetry {
		return fmt.Errorf("%s: retryAfterSeconds %d is not between 0 and %d", in, seconds, maxRetry)
	}
	return nil
}

// Beat is the payload of a heartbeat: the round trip of the last one in
// microseconds, 0 when unknown. Four bytes keep a heartbeat in the smallest frame.
func Beat(rttMicros int64) []byte {
	n := uint32(min(max(rttMicros, 0), math.MaxUint32))
	return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// BeatRTT reads a heartbeat's payload; any other payload is 0.
func BeatRTT(payload []byte) (micros int64) {
	if len(payload) != 4 {
		return 0
	}
	return int64(payload[0])<<24 | int64(payload[1])<<16 | int64(payload[2])<<8 | int64(payload[3])
}
