package config

import (
	"strings"

	"github.com/jeton-auth/jeton/internal/config/yamlread"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/password"
)

// users checks the declared users and returns their names by folded name.
func (c checker) users() map[string]*string {
	names := make(map[string]*string)
	emails := make(map[string]*string)
	for i := range c.conf.Users {
		u := &c.conf.Users[i]
		c.userName(&u.Name, names)
		c.profile(u)
		c.unique(emails, naming.FoldEmail(u.Email), &u.Email)
		c.passwordHash(u)
	}

	return names
}

// userName checks a user's name, which must differ from all others by more than case.
func (c checker) userName(name *string, taken map[string]*string) {
	prepared, folded, err := naming.User(*name)
	switch {
	case err != nil:
		c.badName(name, "user name", *name, err)
	// The file must have the name that the audit log shows, so that it can be searched for.
	case prepared != *name:
		c.Invalid(name, "user name", *name, "its normal form "+yamlread.Quote(prepared)+" (RFC 8265)")
	default:
		c.unique(taken, folded, name)
	}
}

// profile checks the attributes of a user that are not needed to log in.
func (c checker) profile(u *User) {
	if u.Email != "" {
		if err := naming.Email(strings.TrimSpace(u.Email)); err != nil {
			c.badName(&u.Email, "email", u.Email, err)
		}
	}

	for _, name := range []*string{&u.FirstName, &u.LastName} {
		if err := naming.RealName(*name); err != nil {
			c.badName(name, "name", *name, err)
		}
	}

	for i := range u.Groups {
		group := &u.Groups[i]
		if err := naming.Group(*group); err != nil {
			c.badName(group, "group name", *group, err)
		}
	}
}

// passwordHash checks that a user has one hash that can be read. No fault shows it.
func (c checker) passwordHash(u *User) {
	hash, file := &u.PasswordHash, &u.PasswordHashFile
	switch {
	case c.Has(hash) && c.Has(file):
		c.Fault(file, "conflicts with password_hash; keep one")
		return
	case !c.Has(hash) && !c.Has(file):
		c.Fault(hash, "missing; password_hash or password_hash_file is required")
		return
	case c.Has(file) && u.PasswordHashFile == "":
		c.Fault(file, "empty; want a file")
		return
	}

	// The fault is shown where the hash came from.
	place := hash
	if c.Has(file) {
		place = file
	}
	if _, err := password.Parse(u.PasswordHash); err != nil {
		c.Fault(place, "%v; 'jeton hash-password' makes one", err)
	}
}
