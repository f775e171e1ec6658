package gateway_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
	"github.com/jeton-auth/jeton/jetontest"
)

// framework is an upstream that finds its handlers by a reading of the path of its own. It is
// written without the gateway's code.
type framework struct {
	name     string
	conf     string                  // upstream_paths, as an operator declares it
	anyCase  bool                    // it compares names without their case
	anySlash bool                    // a slash at the end means nothing
	read     func(raw string) string // the path that handlers are found by, for one as it arrived
}

// decoded reads a path as most servers do: decoded as a whole.
func decoded(raw string) string {
	text, _ := url.PathUnescape(raw)
	return text
}

// names decodes each segment by itself, so that an encoded slash separates nothing.
func names(raw string) string {
	segments := strings.Split(raw, "/")
	for i, s := range segments {
		segments[i] = strings.ReplaceAll(decoded(s), "/", "\u2215")
	}

	return strings.Join(segments, "/")
}

// servlet drops matrix parameters, then decodes, and resolves dot segments last, as Tomcat does.
func servlet(raw string) string {
	var segments []string
	for s := range strings.SplitSeq(raw, "/") {
		s, _, _ = strings.Cut(s, ";")
		segments = append(segments, decoded(s))
	}

	read := path.Clean(strings.Join(segments, "/"))
	if strings.HasSuffix(raw, "/") && read != "/" {
		read += "/"
	}

	return read
}

var frameworks = []framework{
	{name: "exact", conf: "{}", read: decoded},
	{
		name:     "Express",
		conf:     "{case: insensitive, trailing_slash: ignored}",
		anyCase:  true,
		anySlash: true,
		read:     decoded,
	},
	{name: "GitLab", conf: "{encoded_slash: literal, matrix_parameters: literal}", read: names},
	{name: "WSGI", conf: "{encoded_slash: separator}", read: decoded},
	{
		name:     "servlets",
		conf:     "{matrix_parameters: ignored, trailing_slash: ignored}",
		anySlash: true,
		read:     servlet,
	},
	{name: "servlets that nothing is declared for", conf: "{}", read: servlet},
}

// words are the segments that rules and requests are made of.
var words = []string{"admin", "users", "Files", "x", "v1"}

// rule is a generated rule: a pattern, and the group that may use it.
type rule struct{ match, group string }

// newRules returns the rules of a service: each pattern has a group of its own, and everything
// else a last one.
func newRules(r *rand.Rand) []rule {
	var rules []rule
	for i := range 2 + r.IntN(4) {
		var b strings.Builder
		for range 1 + r.IntN(3) {
			b.WriteString("/" + words[r.IntN(len(words))])
		}

		switch r.IntN(4) {
		case 0:
			b.WriteString("/{rest...}")
		case 1:
			b.WriteString("/{id}")
		case 2:
			b.WriteString("/{$}")
		}

		rules = append(rules, rule{b.String(), fmt.Sprintf("g%d", i)})
	}

	return append(rules, rule{"/{rest...}", "others"})
}

// resource returns the group of the rule for the handler that a framework calls: that of the
// most specific pattern.
func resource(rules []rule, f framework, raw string) string {
	asked := f.read(raw)
	if f.anySlash {
		asked = strings.TrimRight(asked, "/")
	}

	best, group := -1, ""
	for _, r := range rules {
		score := f.score(strings.Split(r.match, "/")[1:], strings.Split(asked, "/")[1:])
		if score > best {
			best = score
			group = r.group
		}
	}

	return group
}

// score returns how specific the match of a pattern with a path is, or -1 for none. A literal
// segment counts more than a wildcard, and each more than all after it.
func (f framework) score(pattern, asked []string) int {
	score := 0
	for i, want := range pattern {
		score *= 3

		got, end := "", i >= len(asked)
		if !end {
			got = asked[i]
		}

		switch {
		case want == "{rest...}" && (!end || f.anySlash):
			return score * pow3(maxSegments-i)
		case want == "{$}" && (end && f.anySlash || !end && got == "" && i == len(asked)-1):
			return (score + 2) * pow3(maxSegments-i)
		case want == "{id}" && got != "":
			score++
		case got != "" && (got == want || f.anyCase && strings.EqualFold(got, want)):
			score += 2
		default:
			return -1
		}
	}
	if len(asked) != len(pattern) {
		return -1
	}

	return score * pow3(maxSegments-len(pattern)+1)
}

const maxSegments = 8 // of a pattern

func pow3(n int) int {
	product := 1
	for range n {
		product *= 3
	}

	return product
}

// spellings are ways to write a path that frameworks may read as another one.
var spellings = []func(r *rand.Rand, segments []string){
	func(r *rand.Rand, s []string) { i := r.IntN(len(s)); s[i] = strings.ToUpper(s[i]) },
	func(r *rand.Rand, s []string) { i := r.IntN(len(s)); s[i] = strings.ToLower(s[i]) },
	func(r *rand.Rand, s []string) { s[r.IntN(len(s))] += ";v=1" },
	func(r *rand.Rand, s []string) { s[r.IntN(len(s))] += ";" },
	func(r *rand.Rand, s []string) { s[r.IntN(len(s))] += "%3Bv" },
	func(r *rand.Rand, s []string) { s[len(s)-1] += "/" },
	func(r *rand.Rand, s []string) { s[len(s)-1] += "%2f" },
	func(r *rand.Rand, s []string) { s[r.IntN(len(s))] += "%2Fusers" },
	func(r *rand.Rand, s []string) { s[r.IntN(len(s))] += "/..;/admin" },
	func(r *rand.Rand, s []string) { s[r.IntN(len(s))] += "/%2e%2e/admin" },
	func(r *rand.Rand, s []string) { s[r.IntN(len(s))] += "%2f..%2fadmin" },
	func(r *rand.Rand, s []string) { s[r.IntN(len(s))] += "%252f" },
	func(r *rand.Rand, s []string) { s[r.IntN(len(s))] += "%20" },
	func(r *rand.Rand, s []string) {
		i := r.IntN(len(s))
		s[i] = fmt.Sprintf("%%%02x", s[i][0]) + s[i][1:]
	},
	func(r *rand.Rand, s []string) {
		i := r.IntN(len(s))
		s[i] = strings.Replace(s[i], "s", "\u017f", 1)
	},
}

// newPath returns a request path: that of a rule, or another, in some spelling.
func newPath(r *rand.Rand, rules []rule) string {
	var segments []string
	if r.IntN(2) == 0 {
		for s := range strings.SplitSeq(rules[r.IntN(len(rules))].match[1:], "/") {
			if !strings.HasPrefix(s, "{") {
				segments = append(segments, s)
			}
		}
	}

	for len(segments) == 0 || r.IntN(2) == 0 {
		segments = append(segments, words[r.IntN(len(words))])
	}
	for range r.IntN(3) {
		spellings[r.IntN(len(spellings))](r, segments)
	}

	return "/" + strings.Join(segments, "/")
}

// TestRulesAndFrameworksAgree generates rules, and requests of users who are in one group each:
// a handler must only be reached by the group of its own rule.
func TestRulesAndFrameworksAgree(t *testing.T) {
	seeds := uint64(1)
	if need.Soaking() {
		seeds = 10
	}

	for _, f := range frameworks {
		for seed := range seeds {
			t.Run(fmt.Sprintf("%s, seed %d", f.name, seed), func(t *testing.T) {
				testFramework(t, f, rand.New(rand.NewPCG(seed, 4711)))
			})
		}
	}
}

func testFramework(t *testing.T, f framework, r *rand.Rand) {
	t.Helper()

	var rules atomic.Pointer[[]rule]
	var bad atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		raw, _, _ := strings.Cut(r.RequestURI, "?")
		got := r.Header.Get("Remote-Groups")
		want := resource(*rules.Load(), f, raw)
		if got != want && bad.Add(1) < 10 {
			t.Errorf("%s reaches %q, which %s may use", got, raw, want)
		}
	}))
	t.Cleanup(upstream.Close)

	s, generated := startGenerated(t, f, r, upstream.URL)
	rules.Store(&generated)
	t.Logf("rules: %v", generated)

	var wg sync.WaitGroup
	counts := make([]map[int]int, len(generated))
	for i, rule := range generated {
		counts[i] = map[int]int{}
		s.AddUser(rule.group, right, rule.group)
		cookie := s.Enter("app", rule.group, right)
		own := rand.New(rand.NewPCG(r.Uint64(), 0))
		wg.Go(func() {
			flood(t, s.Addr("app"), cookie, counts[i], 600, func() string { return newPath(own, generated) })
		})
	}

	wg.Wait()
	total := map[int]int{}
	for _, c := range counts {
		for status, n := range c {
			total[status] += n
		}
	}

	t.Logf("responses by status: %v", total)
	if total[200] < 50 || total[403] < 50 || total[400] < 50 {
		t.Errorf("responses by status = %v, want at least 50 each of 200, 400 and 403", total)
	}
}

// startGenerated starts a server with generated rules. The configuration refuses rules that
// conflict as the upstream reads them: then it generates others.
func startGenerated(t *testing.T, f framework, r *rand.Rand, upstream string) (*jetontest.Server, []rule) {
	t.Helper()

	const tries = 100
	for range tries {
		rules := newRules(r)

		var conf strings.Builder
		conf.WriteString("services:\n  - name: app\n    listen: localhost:0\n    plain_http: true\n")
		fmt.Fprintf(&conf, "    login: {paths: [/login]}\n    upstream_paths: %s\n    routes:\n", f.conf)
		for _, rule := range rules {
			const route = "      - {match: '%s', allow: {groups: [%s]}, upstream: {url: '%s'}}\n"
			fmt.Fprintf(&conf, route, rule.match, rule.group, upstream)
		}

		s, err := jetontest.TryStart(t, easy+conf.String())
		if err == nil {
			return s, rules
		}
		if !strings.Contains(err.Error(), "conflicts with") {
			t.Fatal(err)
		}
	}
	t.Fatalf("none of %d generated sets of rules is accepted, want one", tries)

	return nil, nil
}
