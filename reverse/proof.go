package reverse

import (
	"crypto/sha256"
	"encoding/hex"
)

// RegisterProof is what an agent signs to register: the key that it shows is its
// own, for this token and this machine. machine is the JSON as it is sent.
func RegisterProof(token string, machine []byte) []byte {
	return []byte("deskyard register v1\n" + digest([]byte(token)) + "\n" + digest(machine))
}

// LinkProof is what an agent signs to open a link: the service's nonce makes it
// fresh, the rest binds it to what auth says.
func LinkProof(hostID, nonce, epoch string, machine []byte) []byte {
	return []byte("deskyard link v1\n" + hostID + "\n" + nonce + "\n" + epoch + "\n" + digest(machine))
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
