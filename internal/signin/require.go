package signin

import (
	"fmt"
	"strings"
	"time"

	"github.com/jeton-auth/jeton/internal/factor"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/session"
)

// Meets returns *policy.Unmet unless a proof is what a rule requires.
func Meets(r policy.Require, p session.Proof, now time.Time) error {
	unmet := &policy.Unmet{Require: r}
	if r.Factors >= 2 {
		unmet.ACR = factor.TwoFactors
	}
	unmet.Old = r.Factors < 2 || factor.Reaches(p.Methods, factor.TwoFactors)

	shown := MethodsOf(p)
	switch {
	case !unmet.Old:
		unmet.Text = "two factors are required here, and the user was proved by " + shown
	case r.MaxAge > 0 && p.At.IsZero():
		unmet.Text = fmt.Sprintf("the user has to be proved at most %v ago, and was proved by %s", r.MaxAge, shown)
	// A clock that is set back makes no proof recent.
	case r.MaxAge > 0 && now.Sub(p.At).Abs() > r.MaxAge:
		at := stamp(p.At)
		unmet.Text = fmt.Sprintf("the user has to be proved at most %v ago, and was proved at %s", r.MaxAge, at)
	default:
		return nil
	}

	return unmet
}

// MethodsOf returns the methods of a proof as a text, for the audit log.
func MethodsOf(p session.Proof) string {
	if len(p.Methods) == 0 {
		return "none"
	}

	return strings.Join(p.Methods, " ")
}
