package jose

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// Claims are the claims of a token that decisions are made by (RFC 7519, section 4.1;
// RFC 9068, section 2.2), and three of our own. What is absent is zero.
type Claims struct {
	Issuer    string
	Subject   string
	Audience  []string // of one, also where the token has a text and not a list
	Expires   time.Time
	NotBefore time.Time
	IssuedAt  time.Time
	ID        string // jti
	ClientID  string
	Scope     string // names separated by spaces
	// Generation is of the credential of the token's subject when it was issued: gen.
	Generation string
	// MaxUses is the max_uses claim. 0 when the token is not counted.
	MaxUses int64
	// Rule is the rule of the configuration by which a token of this server was issued: jeton_rule.
	Rule string
}

// ParseClaims reads the claims in a payload: one JSON object of unique members, each of
// the type in its standard, none of them null. A claim with a name is not empty. Members
// that are not in Claims are ignored (RFC 7519, section 4). Every error is ErrMalformed. It
// compares nothing with the clock.
func ParseClaims(payload []byte) (Claims, error) {
	var c Claims

	members, err := object(payload)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: claims: %w", ErrMalformed, err)
	}

	for _, m := range members {
		if err := c.set(m); err != nil {
			return Claims{}, fmt.Errorf("%w: claim %s: %w", ErrMalformed, m.name, err)
		}
	}

	return c, nil
}

// set stores one member. A claim of the wrong type is an error, and never its zero value:
// exp would not be checked.
func (c *Claims) set(m member) (err error) {
	switch string(m.name) {
	case "iss":
		c.Issuer, err = m.text()
	case "sub":
		c.Subject, err = m.text()
	case "aud":
		c.Audience, err = m.texts()
	case "exp":
		c.Expires, err = m.date()
	case "nbf":
		c.NotBefore, err = m.date()
	case "iat":
		c.IssuedAt, err = m.date()
	case "jti":
		c.ID, err = m.text()
	case "client_id":
		c.ClientID, err = m.text()
	case "scope":
		var scope []byte
		scope, err = unquote(m.value) // some issuers write "" for none
		c.Scope = string(scope)
	case "gen":
		c.Generation, err = m.text()
	case "jeton_rule":
		c.Rule, err = m.text()
	case "max_uses":
		// A limit that cannot be read must not become 0, which is no limit.
		c.MaxUses, err = strconv.ParseInt(string(m.value), 10, 64)
		if err != nil || c.MaxUses < 1 {
			err = errors.New("not a whole number of 1 or more")
		}
	}

	return err
}

// text returns a value that is a text and not an empty one.
func (m member) text() (string, error) {
	s, err := unquote(m.value)
	if err == nil && len(s) == 0 {
		err = errors.New("empty")
	}
	return string(s), err
}

// texts returns a value that is a text or a list of them, none of them empty. An empty
// list is refused, so that it is not mistaken for a missing claim.
func (m member) texts() ([]string, error) {
	// RFC 7519, section 4.1.3: with one audience, aud may be a string instead of an array.
	if m.value[0] == '"' {
		s, err := m.text()
		return []string{s}, err
	}

	values, err := elements(m.value, maxMembers)
	if err != nil {
		return nil, err
	}
	if len(values) == 0 {
		return nil, errors.New("empty")
	}

	list := make([]string, len(values))
	for i, v := range values {
		list[i], err = (member{value: v}).text()
		if err != nil {
			return nil, err
		}
	}

	return list, nil
}

// date returns a NumericDate (RFC 7519, section 2): seconds since 1970, perhaps with a
// fraction. A time before 1970 or after the year 9999 is an error.
func (m member) date() (time.Time, error) {
	const last = 253402300799

	b := m.value[0]
	// The scanner has checked the number; a minus sign would be a date before 1970.
	if b < '0' || b > '9' {
		return time.Time{}, errors.New("not a date")
	}
	// Whole seconds stay exact; only a fraction goes through a float (RFC 7519, section 2).
	if n, err := strconv.ParseInt(string(m.value), 10, 64); err == nil && n <= last {
		return time.Unix(n, 0).UTC(), nil
	}

	f, err := strconv.ParseFloat(string(m.value), 64)
	if err != nil || f > last {
		return time.Time{}, errors.New("not a date")
	}

	whole, fraction := math.Modf(f)
	return time.Unix(int64(whole), int64(fraction*1e9)).UTC(), nil
}
