package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/text/secure/precis"
)

// check looks at the whole configuration once it has been read: ranges first,
// then what one value says about another.
func (d *document) check(c *Config) {
	d.ranges(c)
	d.database(c.Database)
	d.keysSecret(c)
	d.admin(c)

	for i, p := range c.TrustedProxies {
		path := at("trusted_proxies", i)
		if p.IsValid() && p.Bits() == 0 {
			d.fault(path, p.String()+" believes everybody, so anybody could claim any address; name the proxies")
		}
	}

	d.users(c)
	d.issuer(c)
	d.clients(c)
	d.audiences(c)
	d.services(c)
}

// bound is a number or a duration that has limits.
type bound struct {
	path           string
	got, low, high int
}

func (d *document) ranges(c *Config) {
	const many = 1_000_000
	for _, b := range []bound{
		{"hashing.workers", c.Hashing.Workers, 0, 64},
		{"hashing.queue", c.Hashing.Queue, 1, 10_000},
		{"throttle.pair_burst", c.Throttle.PairBurst, 1, many},
		{"throttle.account_burst", c.Throttle.AccountBurst, 1, many},
		{"throttle.source_burst", c.Throttle.SourceBurst, 1, many},
		{"cache.sessions", c.Cache.Sessions, 1, 50_000_000},
	} {
		d.within(b)
	}

	d.positive("throttle.pair_every", c.Throttle.PairEvery)
	d.positive("throttle.account_every", c.Throttle.AccountEvery)
	d.positive("throttle.source_every", c.Throttle.SourceEvery)
	d.positive("audit.keep", c.Audit.Keep)
}

func (d *document) within(b bound) {
	if b.got < b.low || b.got > b.high {
		d.fault(b.path, fmt.Sprintf("%d is out of range; %d to %d is right", b.got, b.low, b.high))
	}
}

func (d *document) positive(path string, v Duration) {
	if v <= 0 {
		d.fault(path, "0s is too short; a time above zero is right")
	}
}

// maxUses checks a count of uses. Nought is refused, not read as "unlimited":
// a slip must not open a door.
func (d *document) maxUses(path string, n *int64) {
	if n != nil && *n < 1 {
		d.fault(path, fmt.Sprintf("%d is too few; 1 or more is right, and no max_uses at all means unlimited", *n))
	}
}

// admin holds the operators' listener to this machine: it answers without asking
// who is there.
func (d *document) admin(c *Config) {
	const path = "admin.listen"

	if c.Admin.Listen == "off" {
		return
	}

	host, ok := d.listen(path, c.Admin.Listen)
	if !ok {
		return
	}
	if a, err := netip.ParseAddr(host); host != "localhost" && (err != nil || !a.IsLoopback()) {
		d.fault(
			path,
			quote(c.Admin.Listen)+
				" can be reached from other machines; a loopback address such as 127.0.0.1:9180, or off, is right",
		)
	}
}

// listen checks an address to listen on and returns its host.
func (d *document) listen(path, address string) (host string, ok bool) {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err == nil && host != "" && !hostName(host) {
		err = fmt.Errorf("no host")
	}

	if err != nil {
		d.fault(path, quote(address)+" is no address and port; write it as in 127.0.0.1:8443, [::1]:8443 or :8443")
		return "", false
	}

	return host, true
}

// hostName reports whether s is an address or looks like a name of a machine.
// Underscores are no part of the DNS and common in container networks.
func hostName(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}

	for _, r := range s {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", r) {
			return false
		}
	}

	return s != "" && len(s) <= 253 && s[0] != '.' && s[0] != '-'
}

func (d *document) users(c *Config) {
	names, emails := make(map[string]int), make(map[string]int)
	for i := range c.Users {
		u, path := &c.Users[i], at("users", i)
		if u.Name != "" {
			d.userName(path+".name", u.Name)
			folded := folded(u.Name)
			if first, taken := names[folded]; !taken {
				names[folded] = i
			} else if other := c.Users[first].Name; other == u.Name {
				d.fault(
					path+".name",
					fmt.Sprintf("%s is declared already, by users[%d]; names are unique", quote(u.Name), first),
				)
			} else {
				d.fault(
					path+".name",
					fmt.Sprintf(
						"%s differs from %s, users[%d], in case only; pick another name",
						quote(u.Name),
						quote(other),
						first,
					),
				)
			}
		}

		email := strings.ToLower(u.Email)
		if email != "" {
			if first, taken := emails[email]; taken {
				d.fault(
					path+".email",
					fmt.Sprintf("%s is the address of users[%d] already; each has their own", quote(u.Email), first),
				)
			}
			emails[email] = i
		}

		d.passwordHash(path, u)

		for j, group := range u.Groups {
			d.notEmpty(at(path+".groups", j), group)
		}
	}
}

// folded returns what names that differ in case only have in common.
func folded(name string) string {
	if key, err := precis.UsernameCaseMapped.CompareKey(name); err == nil {
		return key
	}
	return strings.ToLower(name)
}

// userName holds names to RFC 8265, section 3.4. Tokens begin with jtn_ and may
// stand where a name stands, so no name does.
func (d *document) userName(path, name string) {
	const longest = 128

	enforced, err := "", error(nil)
	switch {
	case len(name) > longest:
		d.fault(path, fmt.Sprintf("%d bytes long; at most %d are right", len(name), longest))
	case strings.HasPrefix(name, "jtn_"):
		d.fault(path, "begins with jtn_, as tokens do; pick another name")
	default:
		if enforced, err = precis.UsernameCasePreserved.String(name); err != nil {
			d.fault(
				path,
				quote(name)+
					" has characters that no name may have (RFC 8265); letters, digits and ASCII punctuation without spaces are right",
			)
		} else if enforced != name {
			d.fault(path, quote(name)+" has another normal form (RFC 8265); write "+quote(enforced))
		}
	}
}

// passwordHash checks that there is one hash and that it is of the kind we make.
// It never shows it. Whether all of it can be read is for the package that
// checks passwords.
func (d *document) passwordHash(path string, u *User) {
	text, file := d.has(path+".password_hash"), d.has(path+".password_hash_file")
	place := path + ".password_hash"
	switch {
	case text && file:
		d.fault(path+".password_hash_file", "given next to password_hash; keep one")
		return
	case !text && !file:
		d.fault(place, "missing; password_hash or password_hash_file is required")
		return
	case file:
		place = path + ".password_hash_file"
		if u.PasswordHashFile == "" {
			d.fault(place, "empty; name a file")
			return
		}
	}

	if !strings.HasPrefix(u.PasswordHash, "$argon2id$") {
		d.fault(place, "not an argon2id hash, which begins with $argon2id$; 'jeton hash-password' makes one")
	}
}

func (d *document) notEmpty(path, value string) {
	if value == "" {
		d.fault(path, "empty; give it a value, or remove it")
	}
}
