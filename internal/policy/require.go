package policy

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
)

// Require says how the user of a request has to be proved. Its zero value requires no more than a credential.
type Require struct {
	Factors int           // 2: two factors; less: one
	MaxAge  time.Duration // how long ago the user was proved, at most; 0: any time
}

// IsZero reports whether r requires no more than a credential.
func (r Require) IsZero() bool { return r.Factors < 2 && r.MaxAge == 0 }

// And returns a rule that requires what either of two requires.
func (r Require) And(other Require) Require {
	r.Factors = max(r.Factors, other.Factors)
	if r.MaxAge == 0 || other.MaxAge != 0 && other.MaxAge < r.MaxAge {
		r.MaxAge = other.MaxAge
	}

	return r
}

// String describes the rule, for the route table and the checks of a decision.
func (r Require) String() string {
	var parts []string
	if r.Factors >= 2 {
		parts = append(parts, "two factors")
	}
	if r.MaxAge > 0 {
		parts = append(parts, fmt.Sprintf("proved at most %v ago", r.MaxAge))
	}

	return strings.Join(parts, ", ")
}

// Unmet is jeton.ErrFactor for a user who is not proved as a rule requires, with the rule (RFC 9470, section 3).
type Unmet struct {
	Require
	ACR  string // the level that is required, as of package factor; "": any
	Text string // for the caller
	Old  bool   // only MaxAge is not met
	// InSession makes it jeton.ErrProof: the session is valid, and after a 401 a client would log the user out.
	InSession bool
}

// RequiredBy returns how the user has to be proved, if a refusal is for that.
func RequiredBy(err error) Require {
	var unmet *Unmet
	if errors.As(err, &unmet) {
		return unmet.Require
	}

	return Require{}
}

// Error returns the text of Unwrap.
func (u *Unmet) Error() string { return u.Unwrap().Error() }

// Unwrap returns jeton.ErrFactor with Text, or jeton.ErrProof.
func (u *Unmet) Unwrap() error {
	if u.InSession {
		return jeton.WithDetail(jeton.ErrProof, u.Text)
	}

	return jeton.WithDetail(jeton.ErrFactor, u.Text)
}
