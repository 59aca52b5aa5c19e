package identity

import (
	"crypto/rsa"
	"crypto/sha256"
	"sync"
)

// maxOpened bounds the tokens remembered; at it the memory starts afresh.
const maxOpened = 4096

// opened remembers tokens whose form and signature were found good: a client sends
// the same one for an hour, and the check costs a quarter of a small request. Only a
// token's hash is kept. Times, audience and account are checked at every use.
type opened struct {
	mu   sync.Mutex // guards rows
	rows map[[sha256.Size]byte]openedToken
}

type openedToken struct {
	claims claims
	kid    string
	key    *rsa.PublicKey
}

// open is openToken with a memory. A token whose key no longer verifies is not good
// any more, remembered or not.
func (o *opened) open(token string, find func(kid string) (*rsa.PublicKey, bool)) (claims, error) {
	if len(token) > maxToken {
		return openToken(token, find) // which refuses it
	}
	sum := sha256.Sum256([]byte(token))
	o.mu.Lock()
	t, ok := o.rows[sum]
	o.mu.Unlock()
	if ok {
		if key, known := find(t.kid); known && key.Equal(t.key) {
			return t.claims, nil
		}
	}
	var used openedToken
	c, err := openToken(token, func(kid string) (*rsa.PublicKey, bool) {
		key, known := find(kid)
		used.kid, used.key = kid, key
		return key, known
	})
	if err != nil {
		return c, err
	}
	used.claims = c
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.rows == nil || len(o.rows) >= maxOpened {
		o.rows = map[[sha256.Size]byte]openedToken{}
	}
	o.rows[sum] = used
	return c, nil
}
