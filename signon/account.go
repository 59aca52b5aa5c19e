package signon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/deskyard/deskyard/durable"
)

// AccountsFile is where the accounts that were made for people of the directory are
// written down. It stays when the packages go, like the homes.
const AccountsFile = "/var/lib/deskyard/accounts.json"

// maxAccountsFile bounds what is read: some 30,000 people.
const maxAccountsFile = 8 << 20

// Account is an account of this machine that was made for a person of the directory.
type Account struct {
	ObjectID string    `json:"objectId"`
	UPN      string    `json:"userPrincipalName"`
	Name     string    `json:"name"`
	UID      int       `json:"uid"` // 0 while it is being made
	Made     time.Time `json:"made"`
}

// Accounts are the accounts made for people of the directory.
type Accounts []Account

// ReadAccounts reads the file of accounts; one that is not there is empty.
func ReadAccounts(path string) (Accounts, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the directory's accounts: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxAccountsFile))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	var all Accounts
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, fmt.Errorf("decode %s: %w", path, err)
	}
	return all, nil
}

func (a Accounts) write(path string) error {
	b, err := json.MarshalIndent(a, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the directory's accounts: %w", err)
	}
	return durable.Replace(path, append(b, '\n'), 0o600)
}

// UPN is the user principal name of an account by its user id; "" for an account that
// is not the directory's.
func (a Accounts) UPN(uid int) string {
	for _, x := range a {
		if x.UID == uid && uid != 0 {
			return x.UPN
		}
	}
	return ""
}

func (a Accounts) byObject(id string) int {
	for i, x := range a {
		if strings.EqualFold(x.ObjectID, id) {
			return i
		}
	}
	return -1
}

func (a Accounts) byName(name string) int {
	for i, x := range a {
		if x.Name == name {
			return i
		}
	}
	return -1
}
