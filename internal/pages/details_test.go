package pages

import (
	"html"
	"regexp"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/password"
	"github.com/jeton-auth/jeton/internal/signin"
)

// TestWhatIsWrongWithAPasswordIsSaidInEveryLanguage takes the details from package password, so that no rule is
// phrased differently there without a message here.
func TestWhatIsWrongWithAPasswordIsSaidInEveryLanguage(t *testing.T) {
	p := newPages(t)
	policy := password.Policy{MinLength: 9}

	for _, tc := range []struct {
		name, password string
		number         string
	}{
		{"too short", "short", "9"},
		{"too long", strings.Repeat("ä", 600), "024"}, // 1,024 or 1.024,
		{"common", "123456789", ""},
		{"the name of the user", "dianediane", "8"},
	} {
		err := policy.Check(jeton.NewSecret(tc.password), "diane")
		got := detailText(jeton.Detail(err))
		if err == nil || got.Key == "" {
			t.Errorf("%s: the detail %q has no message, want one", tc.name, jeton.Detail(err))
			continue
		}

		for _, l := range p.languages {
			words, err := l.translate(got)
			if err != nil || !strings.Contains(string(words), tc.number) {
				t.Errorf("%s, %s: got %q, %v, want a sentence with %q", tc.name, l.code, words, err, tc.number)
			}
		}
	}
}

func TestADetailWithoutAMessageStaysAsItIs(t *testing.T) {
	for _, detail := range []string{"", "the password is", "want a day such as 2026-03-01"} {
		if got := detailText(detail); got.Key != "" {
			t.Errorf("detailText(%q) = %s, want none", detail, got.Key)
		}
	}

	if got := detailText("confirm the app: not found"); got.Key != "phrase.reason" {
		t.Errorf("detailText(confirm the app: not found) = %q, want the outcome with what was done", got.Key)
	}
	if got := detailText(string(signin.WrongPassword)); got.Key != "reason.wrong-password" {
		t.Errorf("detailText(%q) = %q, want reason.wrong-password", signin.WrongPassword, got.Key)
	}
}

var (
	// inEnglish matches what a page says to be English: the details of the server, and links to the English page.
	inEnglish = regexp.MustCompile(`<(\w+)[^>]* lang="en"[^>]*>[^<]*</\w+>`)
	// asCode matches what is the same in every language, such as a command.
	asCode = regexp.MustCompile(`<code>[^<]*</code>`)
	anyTag = regexp.MustCompile(`<[^>]*>`)
	// englishWord matches words that sentences have in English, and never in German.
	englishWord = regexp.MustCompile(`(?i)\b(the|is|are|of|and|with|you|your|not|has|have|this|that|from|for|by)\b`)
)

// TestNoGermanPageHasAnEnglishSentence renders every page with every sample.
func TestNoGermanPageHasAnEnglishSentence(t *testing.T) {
	english := 0
	eachPage(t, func(t *testing.T, _ *Pages, lang, name, body string) {
		body = inEnglish.ReplaceAllString(strings.ReplaceAll(body, html.EscapeString(hostile), ""), "")
		body = asCode.ReplaceAllString(body, "")
		words := englishWord.FindString(html.UnescapeString(anyTag.ReplaceAllString(body, " ")))
		switch {
		case lang == "en" && words != "":
			english++
		case lang == "de" && words != "":
			t.Errorf("%s has the English words %q, want German", name, words)
		}
	})

	if english < 30 {
		t.Errorf("%d English pages have an English word, want nearly all: the test finds none", english)
	}
}
