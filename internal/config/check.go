package config

import (
	"cmp"
	"unicode/utf8"

	"github.com/jeton-auth/jeton/internal/config/yamlread"
	"github.com/jeton-auth/jeton/internal/password"
	"github.com/jeton-auth/jeton/internal/web"
)

// checker checks a configuration that has been read, and reports to its document.
type checker struct {
	*yamlread.Document
	conf *Config
}

// check applies the rules that one key alone does not show.
func (c checker) check() {
	c.database()
	c.keysSecret()
	c.passwordWords()
	c.admin()
	c.proxies(c.conf.TrustedProxies)
	// Users first: a client must not have the name of a user, or the audit log would mix up the two.
	c.clients(c.users())
	c.issuer()
	c.mail()
	c.tracing()
	c.audiences()
	c.services()
	c.forward()
	c.redirect()
	c.acme()
	c.requestsFile()
}

// passwordWords checks the words that passwords must not consist of. Shorter ones are in many passwords by chance.
func (c checker) passwordWords() {
	for i := range c.conf.Passwords.Words {
		word := &c.conf.Passwords.Words[i]
		if utf8.RuneCountInString(*word) < password.MinWord {
			c.Fault(word, "%q is too short: want %d characters or more", *word, password.MinWord)
		}
	}
}

// defaults sets the defaults that depend on other keys.
func (c checker) defaults() {
	c.acmeDefaults()

	algorithm := ""
	issuer := c.conf.Issuer
	if issuer != nil {
		algorithm = issuer.Keys.Algorithm
		// Defaults of certificate and key have been set before; without TLS they would be files that
		// are never read.
		if issuer.PlainHTTP {
			issuer.TLS = TLS{}
		}
		c.workloadDefaults(issuer)
	}

	for i := range c.conf.Services {
		s := &c.conf.Services[i]
		if s.PlainHTTP {
			s.TLS = TLS{}
		}
		if !c.Has(&s.Session.Cookie) {
			// Cookies ignore ports: services on one host need names of their own (RFC 6265, section 8.5).
			s.Session.FormerCookie = web.DefaultCookie(s.PlainHTTP)
			s.Session.Cookie = s.Session.FormerCookie + "-" + s.Name
		}

		if s.Tokens != nil {
			s.Tokens.Audience = cmp.Or(s.Tokens.Audience, s.Name)
			s.Tokens.Algorithm = cmp.Or(s.Tokens.Algorithm, algorithm)
		}
		if !c.Has(&s.Login.SignIn) {
			s.Login.SignIn = issuer != nil && issuer.Pages && s.needsSignIn()
		}
	}
}

// unique reports a value that an earlier field has, too. Values with the same key are the
// same; an empty one is not compared.
func (c checker) unique(taken map[string]*string, key string, field *string) {
	first := taken[key]
	switch {
	case key == "":
	case first == nil:
		taken[key] = field
	case *first == *field:
		c.Fault(field, "%s is also %s; choose another", yamlread.Quote(*field), c.Path(first))
	default:
		c.Fault(
			field, "%s differs only in case from %s, %s; choose another", yamlread.Quote(*field),
			yamlread.Quote(*first), c.Path(first),
		)
	}
}

// badName reports a name that package naming refuses; its error begins with "want".
func (c checker) badName(field any, kind, name string, err error) {
	c.Fault(field, "invalid %s %s: %v", kind, yamlread.Quote(name), err)
}

// notEmpty reports a key that the file has and leaves empty: its default applies only if the
// key is absent.
func (c checker) notEmpty(text *string) {
	if *text == "" {
		c.Fault(text, "empty; give it a value, or remove it")
	}
}
