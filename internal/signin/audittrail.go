package signin

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/audit"
	"github.com/jeton-auth/jeton/internal/policy"
	"github.com/jeton-auth/jeton/internal/secret"
	"github.com/jeton-auth/jeton/internal/web"
)

// auditTrail collects the checks of one sign-in for its audit event.
type auditTrail struct {
	action  string
	actor   string // shows a name only once it is known to exist
	service string
	source  netip.Addr
	request string
	checks  []jeton.Check
	// remembered means that the password was not checked again, which has no event of its own.
	remembered bool
	// known means that the user has logged in from the network a short time ago.
	known bool
}

// pass adds a check that passed.
func (t *auditTrail) pass(name, value string) { t.checks = append(t.checks, passed(name, value)) }

// passed returns a check that passed.
func passed(name, value string) jeton.Check {
	return jeton.Check{Name: name, Value: value, Result: "pass"}
}

// fail adds a check that failed, with the value it looked at, and returns the refusal.
func (t *auditTrail) fail(name, value string, reason Reason) error {
	text := string(reason)
	if value != "" {
		text += ": " + value
	}

	t.checks = append(t.checks, jeton.Check{Name: name, Value: text, Result: "fail"})
	return &refused{reason}
}

// deny adds a check that failed for a user who is proved, and returns the refusal.
func (t *auditTrail) deny(name, value string, reason Reason) error {
	_ = t.fail(name, value, reason)
	return &denied{reason}
}

// check adds a check that passed if err is nil, and returns err.
func (t *auditTrail) check(name, value string, err error) error {
	c := passed(name, value)
	if err != nil {
		c.Result = "fail"
		reason := ReasonOf(err)
		if reason != "" {
			c.Value = string(reason)
		} else if value == "" {
			c.Value = err.Error()
		}
	}

	t.checks = append(t.checks, c)

	return err
}

// requirement is something that a credential must not violate.
type requirement struct {
	violated    bool
	name, value string
	reason      Reason
}

// require fails at the first requirement that is violated.
func (t *auditTrail) require(list []requirement) error {
	for _, r := range list {
		if r.violated {
			return t.fail(r.name, r.value, r.reason)
		}
	}

	return nil
}

// event returns the audit event of a sign-in that ended with err. The store records the
// event of a success together with the change, so the checks of that last step are passed
// to event before it is made.
func (t *auditTrail) event(now time.Time, err error, lastStep ...jeton.Check) jeton.Event {
	e := jeton.Event{
		Time:    now,
		Request: t.request,
		Actor:   t.actor,
		Action:  t.action,
		Service: t.service,
		Outcome: audit.OK,
		Source:  web.AddressText(t.source),
		Checks:  slices.Concat(t.checks, lastStep),
	}
	if err != nil {
		e.Outcome, e.Reason = jeton.Code(err), string(ReasonOf(err))
		// An error without a Reason, for example of the store; the log is for operators only.
		if e.Reason == "" {
			e.Reason = err.Error()
		}
	}

	return e
}

// stamp formats a time of a claim, which may be absent.
func stamp(at time.Time) string {
	if at.IsZero() {
		return "none"
	}
	return at.UTC().Format(policy.TimeFormat)
}

// stampAt shows a time beside the current one, so that the operator sees whose clock is wrong.
func stampAt(at, now time.Time) string { return stamp(at) + ", now " + stamp(now) }

// clip bounds what a caller can put into the audit log, and masks secrets that were sent
// in the wrong field.
func clip(s string) string {
	const limit = 200

	// Masked before it is cut: half a secret would no longer look like one.
	s = secret.Mask(s)
	if len(s) <= limit {
		return s
	}

	return strings.ToValidUTF8(s[:limit], "") + "…"
}
