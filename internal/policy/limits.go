package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
)

// Request is what a credential's own limits are held against.
type Request struct {
	Method string
	Path   string
	Source netip.Addr
	Scopes []string // that are needed
}

// Limits are what a token is good for within its services. The zero value does not limit.
type Limits struct {
	Allows   []Rule         // one of them must fit; none: everything
	Networks []netip.Prefix // one of them must hold the source; none: from everywhere
}

// Rule is a method and a path: "GET /reports", or "* /reports/*" for every method and
// whatever begins with /reports/.
type Rule struct {
	Method string // "*" for every method
	Path   string // with a * at its end: whatever begins with what is before it
}

// ParseRule reads a rule as it is written.
func ParseRule(text string) (Rule, error) {
	method, path, ok := strings.Cut(text, " ")
	known := method == "*" || slices.Contains([]string{
		"GET",
		"HEAD",
		"POST",
		"PUT",
		"PATCH",
		"DELETE",
		"OPTIONS",
	}, method)
	star := strings.IndexByte(path, '*')
	if !ok || !known || !strings.HasPrefix(
		path,
		"/",
	) || strings.ContainsAny(
		path,
		" \t?#",
	) || star >= 0 && (star != len(path)-1 || path[star-1] != '/') || len(text) > 500 {
		return Rule{}, jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("%.60q is no rule; write it as in \"GET /reports\" or \"* /reports/*\"", text),
		)
	}

	return Rule{method, path}, nil
}

// String writes a rule as ParseRule reads it.
func (r Rule) String() string { return r.Method + " " + r.Path }

// fits reports whether a request is what the rule is about.
func (r Rule) fits(method, path string) bool {
	return (r.Method == "*" || r.Method == method) && r.holds(path)
}

func (r Rule) holds(path string) bool {
	if prefix, ok := strings.CutSuffix(r.Path, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return path == r.Path
}

// covers reports whether whatever fits the other rule fits this one.
func (r Rule) covers(other Rule) bool {
	return (r.Method == "*" || r.Method == other.Method) && r.holds(other.Path)
}

// Check returns jeton.ErrForbidden unless what is asked is within the limits. A request
// without an address comes from this machine itself, and only a limit without networks
// permits it.
func (l Limits) Check(a Request) error {
	if len(l.Allows) > 0 && !slices.ContainsFunc(l.Allows, func(r Rule) bool { return r.fits(a.Method, a.Path) }) {
		return fmt.Errorf("%w: the token is good for %v", jeton.ErrForbidden, l.Allows)
	}
	if len(l.Networks) > 0 && !slices.ContainsFunc(l.Networks, func(n netip.Prefix) bool {
		return n.Contains(a.Source.Unmap())
	}) {
		return fmt.Errorf("%w: the token is good from %v", jeton.ErrForbidden, l.Networks)
	}

	return nil
}

// Within reports whether limits are not wider than others in anything.
func (l Limits) Within(outer Limits) bool {
	if len(outer.Allows) > 0 {
		if len(l.Allows) == 0 {
			return false
		}

		for _, r := range l.Allows {
			if !slices.ContainsFunc(outer.Allows, func(o Rule) bool { return o.covers(r) }) {
				return false
			}
		}
	}

	if len(outer.Networks) > 0 {
		if len(l.Networks) == 0 {
			return false
		}

		for _, n := range l.Networks {
			if !slices.ContainsFunc(outer.Networks, func(o netip.Prefix) bool {
				return o.Bits() <= n.Bits() && o.Contains(n.Addr())
			}) {
				return false
			}
		}
	}

	return true
}
