package pages

import (
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/token"
)

// said returns a message in English.
func said(t *testing.T, what Text) string {
	t.Helper()
	words, err := newPages(t).languages[0].translate(what)
	if err != nil {
		t.Fatal(err)
	}

	return string(words)
}

func TestDeviceOf(t *testing.T) {
	const webkit = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"

	for _, tc := range []struct{ name, agent, want string }{
		{"Firefox", firefoxLinux, "Firefox on Linux"},
		{"Safari of a phone", safariPhone, "Safari on iPhone"},
		{"Chrome", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) " + webkit, "Chrome on Windows"},
		{"Edge, which names Chrome", "Mozilla/5.0 (Macintosh; Mac OS X) " + webkit + " Edg/140.0", "Edge on macOS"},
		{"Android, which names Linux", "Mozilla/5.0 (Linux; Android 10; K) " + webkit, "Chrome on Android"},
		{"a browser without a name", "Mozilla/5.0 (X11; Linux x86_64)", "Browser on Linux"},
		{"a system without a name", "Mozilla/5.0 Firefox/140.0", "Firefox"},
		{"a program", "git/2.39.5 (Debian)", "git"},
		{"only the word of all browsers", "Mozilla/5.0", "Unknown device"},
		{"nothing", "", "Unknown device"},
		{"markup", "<b>/1", "&lt;b&gt;"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := said(t, deviceOf(tc.agent)); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestSessionsStandBelowTheirSignIn(t *testing.T) {
	v := newSessions(sampleSessions(), noon)

	var got []string
	for _, row := range v.SignIns {
		got = append(got, row.ID)
		for _, child := range row.Children {
			got = append(got, row.ID+" "+child.Service)
		}
	}
	want := []string{"s1", "s1 wiki", "s1 reports", "s5", "s5 wiki"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want this browser first: %v", got, want)
	}

	if len(v.Services) != 1 || v.Services[0].ID != "s6" {
		t.Errorf("sessions that began at a service are %v, want s6", v.Services)
	}
	if !v.SignIns[0].Current || !v.Others {
		t.Errorf("Current is %t and Others %t, want both true", v.SignIns[0].Current, v.Others)
	}

	alone := slices.DeleteFunc(sampleSessions(), func(s ownSession) bool { return s.ID != "s1" && s.Parent != "s1" })
	if newSessions(alone, noon).Others {
		t.Error("there are other sessions beside this browser and its services, want none")
	}
}

func TestTokensStandBelowThoseTheyDeriveFrom(t *testing.T) {
	grandchild := sampleToken("t5", "x", time.Hour)
	grandchild.Parent = "t3"
	orphan := sampleToken("t6", "y", time.Hour)
	orphan.Parent = "expired"

	type row struct {
		accessor string
		child    bool
		derived  int64
	}
	var got []row
	for _, r := range newTokens(append(sampleTokens(), grandchild, orphan), noon).Tokens {
		got = append(got, row{r.Accessor, r.Child, r.Derived})
	}

	want := []row{
		{"t4", false, 0},
		{"t1", false, 0},
		{"t2", false, 2},
		{"t3", true, 1},
		{"t5", true, 0},
		{"t6", false, 0},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAJobShowsWhatItWasStartedWith(t *testing.T) {
	leased, derived, agent := jeton.Token{Kind: "leased"}, jeton.Token{Kind: "leased", Parent: "t_1"}, jeton.Token{}
	agent.Kind = "approved"

	for _, tc := range []struct {
		name   string
		job    jeton.Token
		parent jeton.Token
		want   string
	}{
		{"of a session", leased, jeton.Token{}, "jobs.by.session"},
		{"of a token with a name", derived, jeton.Token{Kind: "personal", Name: "scheduler"}, "jobs.by.token"},
		{"of a token without a name", derived, jeton.Token{Kind: "personal"}, "jobs.by.other"},
		{"of a job without a name", derived, jeton.Token{Kind: "leased"}, "jobs.by.other"},
		{"of a token of an application", derived, jeton.Token{Kind: "access"}, "jobs.by.application"},
		{"of a parent that was not found", derived, jeton.Token{}, "jobs.by.other"},
		{"an agent", agent, jeton.Token{}, "jobs.by.request"},
		{"a service", jeton.Token{Kind: "exchanged", Actors: []string{"a"}}, jeton.Token{}, "jobs.by.exchange"},
		{"a chain", jeton.Token{Kind: "exchanged", Actors: []string{"b", "a"}}, jeton.Token{}, "jobs.by.exchanges"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := newJobRow(tc.job, tc.parent, noon).StartedBy; got.Key != tc.want {
				t.Errorf("got %q, want %q", got.Key, tc.want)
			}
		})
	}
}

func TestTokensOfACycleEndTheList(t *testing.T) {
	a, b := sampleToken("a", "", 0), sampleToken("b", "", 0)
	a.Parent, b.Parent = "b", "a"

	if got := len(newTokens([]jeton.Token{a, b}, noon).Tokens); got != 0 {
		t.Errorf("%d tokens are shown, want none: a store has no such tokens", got)
	}
}

func TestTokensThatStandOut(t *testing.T) {
	spent, low, plenty := int64(0), int64(2), int64(17)

	for _, tc := range []struct {
		name   string
		change func(t *jeton.Token)
		want   string
	}{
		{"a new one", func(*jeton.Token) {}, ""},
		{"of many uses", func(t *jeton.Token) { t.UsesRemaining, t.MaxUses = &plenty, 20 }, ""},
		{"of few uses", func(t *jeton.Token) { t.UsesRemaining, t.MaxUses = &low, 20 }, "token.soon"},
		{"of no uses", func(t *jeton.Token) { t.UsesRemaining, t.MaxUses = &spent, 20 }, "token.spent"},
		{"near its end", func(t *jeton.Token) { *t = sampleToken("t1", "x", 28*day) }, "token.soon"},
		{"that begins tomorrow", func(t *jeton.Token) { t.NotBefore = noon.Add(day) }, "token.early"},
		{"of a program", func(t *jeton.Token) { t.Kind = "access" }, "token.access"},
		{"of a job", func(t *jeton.Token) { t.Kind = "leased" }, "token.job"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tok := sampleToken("t1", "x", 0)
			tc.change(&tok)

			got := ""
			for _, tag := range newTokenRow(tok, noon).Tags {
				got += tag.Text.Key
			}
			if got != tc.want {
				t.Errorf("the tags are %q, want %q", got, tc.want)
			}
		})
	}
}

func TestTheFormOfATokenIsRead(t *testing.T) {
	typed := url.Values{
		"name":     {" nightly export "},
		"service":  {"reports", "wiki"},
		"scope":    {"reports:read"},
		"lasts":    {"date"},
		"until":    {"2026-12-24"},
		"uses":     {"20"},
		"allows":   {"GET   /reports/*\r\n\r\n* /orders/7\r\n"},
		"networks": {"10.0.0.0/8\r\nfd00::1\r\n"},
	}
	v := newTokenForm(nil, typed, "192.0.2.7", noon)
	in, ok := v.read(typed, noon)

	if !ok || in.Name != "nightly export" || in.MaxUses != 20 || len(in.Services) != 2 || len(in.Scopes) != 1 {
		t.Errorf("got %+v, %t; want what was typed", in, ok)
	}
	if want := time.Date(2026, 12, 25, 0, 0, 0, 0, time.UTC); !in.Expires.Equal(want) {
		t.Errorf("it expires %v, want the end of the day: %v", in.Expires, want)
	}
	if want := []string{"GET /reports/*", "* /orders/7"}; !slices.Equal(in.Allows, want) {
		t.Errorf("it allows %q, want %q", in.Allows, want)
	}
	if want := []string{"10.0.0.0/8", "fd00::1"}; !slices.Equal(in.Networks, want) {
		t.Errorf("its networks are %q, want %q", in.Networks, want)
	}

	// The last day that the form offers is one that it accepts.
	typed.Set("until", v.Until.Max)
	v = newTokenForm(nil, typed, "192.0.2.7", noon)
	in, ok = v.read(typed, noon)
	if !ok || in.Expires.Sub(noon) > token.MaxPersonal {
		t.Errorf("the last day %s expires %v: %t, want it accepted", v.Until.Value, in.Expires, ok)
	}
}

func TestOnlyTheFirstWrongFieldHasTheFocus(t *testing.T) {
	v := newTokenForm(nil, url.Values{"uses": {"x"}}, "192.0.2.7", noon)
	_, ok := v.read(url.Values{"uses": {"x"}}, noon)

	if ok || !v.Name.Focus || v.Services.Focus || v.Until.Focus || v.Uses.Focus {
		t.Errorf("focus: name %t, services %t, until %t, uses %t; want it in the name alone",
			v.Name.Focus, v.Services.Focus, v.Until.Focus, v.Uses.Focus)
	}
	if !v.Until.Invalid || !v.Uses.Invalid {
		t.Errorf("invalid: until %t, uses %t, want both", v.Until.Invalid, v.Uses.Invalid)
	}
}

func TestTheCommandThatTriesAToken(t *testing.T) {
	services := []ownService{
		{Name: "wiki", URL: "https://wiki.example"},
		{Name: "reports", URL: "https://reports.example:8443"},
	}

	for _, tc := range []struct {
		name   string
		allows []string
		want   string
	}{
		{"all requests", nil, "curl -H 'Authorization: Bearer s3' 'https://reports.example:8443/'"},
		{
			"paths below one",
			[]string{"GET /reports/*"},
			"curl -H 'Authorization: Bearer s3' 'https://reports.example:8443/reports/'",
		},
		{
			"another method",
			[]string{"DELETE /x'y"},
			"curl -X DELETE -H 'Authorization: Bearer s3' 'https://reports.example:8443/x'\\''y'",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			made := madeToken{Token: jeton.Token{Audience: []string{"reports"}, Allows: tc.allows}, Secret: "s3"}
			if got := curlLine(made, services); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}
