package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/jeton-auth/jeton"
)

// MaxRules is how many rules a user gives a token at most: each exchange and each request reads them.
const MaxRules = 100

// Request is what the limits of a credential are checked against.
type Request struct {
	Method string
	Path   string
	Source netip.Addr
	Scopes []string // needed

	AboutItself bool // see Access
}

// Limits narrow the requests that a token is valid for. The zero value does not limit.
type Limits struct {
	Allows   []Rule         // one of them must match; none: every request
	Networks []netip.Prefix // one of them must contain the source; none: every address
}

// Rule is a method and a path: "GET /reports", or "* /reports/*" for every method and each
// path that begins with /reports/.
type Rule struct {
	Method string // "*" for every method
	Path   string // with * at its end: a prefix
}

// maxRule is the maximum length of a rule, in bytes.
const maxRule = 500

// ruleMethods are the methods of a rule; * is every method.
var ruleMethods = []string{"*", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// ParseRule parses the text of a rule.
func ParseRule(text string) (Rule, error) {
	method, path, ok := strings.Cut(text, " ")
	upper := strings.ToUpper(method)
	if upper != method && slices.Contains(ruleMethods, upper) {
		detail := fmt.Sprintf("invalid rule %.60q: methods are in capitals, as in \"%s /reports\"", text, upper)
		return Rule{}, jeton.WithDetail(jeton.ErrInvalid, detail)
	}
	if !ok || len(text) > maxRule || !slices.Contains(ruleMethods, method) || !validPath(path) {
		return Rule{}, jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf(
				"invalid rule %.60q: want a method and a path, as in \"GET /reports\" or \"* /reports/*\"",
				text,
			),
		)
	}

	return Rule{method, path}, nil
}

// ParseRules parses the texts of rules. Of no text it returns nil.
func ParseRules(texts []string) ([]Rule, error) {
	var rules []Rule
	for _, text := range texts {
		rule, err := ParseRule(text)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}

	return rules, nil
}

// validPath reports whether a path of a rule begins with / and has a * only as its last
// element.
func validPath(path string) bool {
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " \t?#") {
		return false
	}

	prefix, isPrefix := strings.CutSuffix(path, "*")
	if isPrefix && !strings.HasSuffix(prefix, "/") {
		return false
	}

	return !strings.Contains(prefix, "*")
}

// String returns the text of a rule.
func (r Rule) String() string { return r.Method + " " + r.Path }

// matches reports whether a request matches the rule.
func (r Rule) matches(method, path string) bool {
	return (r.Method == "*" || r.Method == method) && r.matchesPath(path)
}

// matchesPath compares a clean path. A * at the end stands for any rest, slashes included.
func (r Rule) matchesPath(path string) bool {
	if prefix, ok := strings.CutSuffix(r.Path, "*"); ok {
		return strings.HasPrefix(path, prefix)
	}
	return path == r.Path
}

// covers reports whether each request that matches the other rule matches this one.
func (r Rule) covers(other Rule) bool {
	return (r.Method == "*" || r.Method == other.Method) && r.matchesPath(other.Path)
}

// Check returns jeton.ErrForbidden unless the request is within the limits. A request over
// a Unix socket has no address and is in none of the networks.
func (l Limits) Check(req Request) error {
	matches := func(r Rule) bool { return r.matches(req.Method, req.Path) }
	if len(l.Allows) > 0 && !req.AboutItself && !slices.ContainsFunc(l.Allows, matches) {
		return fmt.Errorf("%w: the token is valid for %v", jeton.ErrForbidden, l.Allows)
	}

	// Unmap: on a socket of both families, IPv4 peers have IPv6 addresses.
	contains := func(n netip.Prefix) bool { return n.Contains(req.Source.Unmap()) }
	if len(l.Networks) > 0 && !slices.ContainsFunc(l.Networks, contains) {
		return fmt.Errorf("%w: the token is valid from %v", jeton.ErrForbidden, l.Networks)
	}

	return nil
}

// Within reports whether l permits no request that outer refuses.
func (l Limits) Within(outer Limits) bool {
	return within(l.Allows, outer.Allows, Rule.covers) && within(l.Networks, outer.Networks, contains)
}

// within reports whether each inner element is covered by an outer one. An empty list does
// not limit.
func within[T any](inner, outer []T, covers func(outer, inner T) bool) bool {
	if len(outer) == 0 {
		return true
	}

	for _, i := range inner {
		if !slices.ContainsFunc(outer, func(o T) bool { return covers(o, i) }) {
			return false
		}
	}

	// An empty inner list permits everything, hence more than outer.
	return len(inner) > 0
}

// contains reports whether outer has every address of inner.
func contains(outer, inner netip.Prefix) bool {
	return outer.Bits() <= inner.Bits() && outer.Contains(inner.Addr())
}
