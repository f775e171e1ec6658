package config

import (
	"strings"

	"github.com/jeton-auth/jeton/internal/config/yamlread"
	"github.com/jeton-auth/jeton/internal/naming"
	"github.com/jeton-auth/jeton/internal/password"
)

func (c checker) users() {
	names := make(map[string]int)
	emails := make(map[string]int)
	for i := range c.conf.Users {
		u := &c.conf.Users[i]
		c.userName(i, names)

		email := strings.ToLower(u.Email)
		if email != "" {
			first, taken := emails[email]
			if taken {
				c.Fault(
					&u.Email,
					"%s is the address of users[%d], too; want one of its own",
					yamlread.Quote(u.Email),
					first,
				)
			}
			emails[email] = i
		}

		c.passwordHash(u)

		for j := range u.Groups {
			group := &u.Groups[j]
			if err := naming.Group(*group); err != nil {
				c.badName(group, "group name", *group, err)
			}
		}
	}
}

// badName reports a name that package naming refuses; its error begins with "want".
func (c checker) badName(field any, kind, name string, err error) {
	c.Fault(field, "invalid %s %s: %v", kind, yamlread.Quote(name), err)
}

// userName checks the name of users[i] and that no user before it has the same name.
func (c checker) userName(i int, first map[string]int) {
	name := &c.conf.Users[i].Name
	prepared, folded, err := naming.User(*name)
	if err != nil {
		c.badName(name, "user name", *name, err)
		return
	}
	if prepared != *name {
		c.Invalid(name, "user name", *name, "its normal form "+yamlread.Quote(prepared)+" (RFC 8265)")
	}

	other, taken := first[folded]
	switch {
	case !taken:
		first[folded] = i
	case c.conf.Users[other].Name == *name:
		c.Fault(name, "%s is the name of users[%d], too; names are unique", yamlread.Quote(*name), other)
	default:
		c.Fault(
			name,
			"%s differs only in case from %s, users[%d]; choose another name",
			yamlread.Quote(*name),
			yamlread.Quote(c.conf.Users[other].Name),
			other,
		)
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

	place := hash
	if c.Has(file) {
		place = file
	}
	if _, err := password.Parse(u.PasswordHash); err != nil {
		c.Fault(place, "%v; 'jeton hash-password' makes one", err)
	}
}
