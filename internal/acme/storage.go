package acme

import (
	"context"
	"path"

	"github.com/caddyserver/certmagic"
)

// storage is a folder in which certmagic looks for no address of an account.
//
// Without acme.email it would look through the accounts, and take the name of a folder for an address if the account
// in it is half written: by an order of the same moment, or before a crash. The authority refuses that address, and
// certmagic keeps it until the process ends.
type storage struct{ *certmagic.FileStorage }

// List returns the keys below a prefix, and none of accounts.
func (s storage) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	if path.Base(prefix) == "users" {
		return nil, nil
	}

	return s.FileStorage.List(ctx, prefix, recursive)
}
