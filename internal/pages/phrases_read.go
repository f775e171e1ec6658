package pages

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jeton-auth/jeton"
)

// maxPhrases bounds what is read of a text, in bytes: no check says more.
const maxPhrases = 2000

// maxCuts is how many separators a phrase may contain.
const maxCuts = 4

// separators stand between phrases, with the messages that join them.
var separators = []struct {
	between string
	join    Text
}{
	{": ", text("phrase.colon")},
	{"; ", text("phrase.semicolon")},
	{", ", text("admin.list")},
}

// phrasePatterns are compiled for the first text: a server that is idle shows none.
var phrasePatterns = sync.OnceValue(compilePhrases)

// phraseText returns what the audit log says in English, in the language of the page; the zero Text if a part of it is
// in no catalogue. The page then shows the text as it is.
func phraseText(value string) Text {
	if value == "" || len(value) > maxPhrases {
		return Text{}
	}

	// The longest beginning that is known goes first, so that a phrase may contain what separates others.
	whole := wholeText(value)
	if whole.Key != "" {
		return whole
	}

	// What follows a reason is what a caller has sent, which has no message.
	places := cuts(value)
	for _, cut := range places {
		reason := reasonText(value[:cut.at])
		if reason.Key != "" {
			return text("phrase.reason", reason, orCode(value[cut.at+2:]))
		}
	}

	for _, cut := range slices.Backward(places) {
		first := wholeText(value[:cut.at])
		if first.Key == "" {
			continue
		}

		rest := phraseText(value[cut.at+2:])
		if rest.Key == "" {
			return Text{}
		}

		return text(cut.join.Key, first, rest)
	}

	return Text{}
}

// orCode returns the message of a text, or the text as it is.
func orCode(value string) any {
	words := phraseText(value)
	if words.Key == "" {
		return Code(value)
	}

	return words
}

// cut is a place at which a text may be divided.
type cut struct {
	at   int
	join Text
}

// cuts returns where the first separators are.
func cuts(value string) []cut {
	var list []cut
	for i := range len(value) {
		for _, s := range separators {
			if strings.HasPrefix(value[i:], s.between) {
				list = append(list, cut{i, s.join})
			}
		}
		if len(list) == maxCuts {
			break
		}
	}

	return list
}

// wholeText returns the message for a text that is one phrase, or the zero Text.
func wholeText(value string) Text {
	for _, known := range []func(string) Text{reasonText, errorText, kindsText, allowText} {
		t := known(value)
		if t.Key != "" {
			return t
		}
	}

	for i, pattern := range phrasePatterns() {
		m := pattern.FindStringSubmatch(value)
		if m == nil {
			continue
		}

		t := allPhrases[i].text
		for group, name := range pattern.SubexpNames() {
			if name != "" {
				t.Args = append(t.Args, phraseArgument(name[0], m[group]))
			}
		}

		return t
	}

	return Text{}
}

// phraseArgument returns an argument of a message: see phrase.
func phraseArgument(kind byte, value string) any {
	switch kind {
	case 't':
		at, err := time.Parse(time.RFC3339, value) // also with a fraction of a second
		if err == nil {
			return at
		}
	case 'd':
		d, err := time.ParseDuration(value)
		if err == nil {
			return d
		}
	case 'n':
		n, err := strconv.ParseInt(value, 10, 64)
		if err == nil {
			return n
		}
	case 's':
		return Strong(value)
	case 'l':
		inside := strings.Trim(value, "[]")
		if inside == "" {
			return text("phrase.empty-list")
		}
		return Code(inside)
	case 'p':
		return shownText(value)
	case 'a':
		return allowText(value)
	case 'k':
		return kindsText(value)
	}

	return Code(value)
}

// shownText returns what a request shows, as in "a Bearer token and the cookie jeton-shop".
func shownText(value string) Text {
	first, rest, more := strings.Cut(value, " and ")
	if !more {
		return wholeText(value)
	}

	return text("phrase.and", wholeText(first), shownText(rest))
}

// errorText returns the message of an outcome by the text of its error.
func errorText(value string) Text {
	for _, outcome := range auditOutcomes {
		if outcome.Error() == value {
			return text("outcome." + jeton.Code(outcome))
		}
	}

	return Text{}
}

// isKinds matches kinds of credential as package policy lists them.
var isKinds = regexp.MustCompile(`^(session|token|password|client)( or (session|token|password|client))*$`)

// kindsText returns kinds of credential, or who may use a route that needs none.
func kindsText(value string) Text {
	switch {
	case value == "open":
		return text("admin.rule.open")
	case value == "nothing", value == "closed":
		return text("admin.rule.none")
	case value == "operator":
		return text("phrase.operator")
	case isKinds.MatchString(value):
		return anyOf(kindTexts(strings.Split(value, " or ")))
	}

	return Text{}
}

// isAllow matches who is allowed, as package policy lists them.
var isAllow = regexp.MustCompile(
	`^(every user)? ?(?:users \[([^\]]*)\])? ?(?:groups \[([^\]]*)\])? ?(?:clients \[([^\]]*)\])?$`,
)

// allowText returns who is allowed.
func allowText(value string) Text {
	if value == "no caller" {
		return text("admin.rule.none")
	}

	m := isAllow.FindStringSubmatch(value)
	if m == nil {
		return Text{}
	}

	return anyOf(allowTexts(&allowed{
		AnyUser: m[1] != "",
		Users:   strings.Fields(m[2]),
		Groups:  strings.Fields(m[3]),
		Clients: strings.Fields(m[4]),
	}))
}
