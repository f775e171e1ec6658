package password

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jeton-auth/jeton"

	"golang.org/x/text/unicode/norm"
)

// The length of a password.
const (
	MinNew     = 8    // characters of any that is set, and the least that a Policy may demand
	DefaultMin = 15   // characters, where the password is the only factor (NIST SP 800-63B-4, section 3.1.1.2)
	Max        = 1024 // bytes of any; longer ones are never hashed
)

// minBesides is how many characters a password has besides the words that an attacker knows.
const minBesides = 8

// MinWord is the length of the shortest word that counts as known, in characters: shorter ones are in many passwords.
const MinWord = 3

// Policy is what is demanded of a new password. The zero value demands DefaultMin characters.
type Policy struct {
	MinLength int      // in characters (Unicode code points); 0 means DefaultMin
	Words     []string // that attackers of this server try first: names of its services, words of the operator
}

// Check returns jeton.ErrInvalid, with a text for the user, when pw must not be set. It is too short or too long,
// common, or hardly more than words that an attacker knows: those of the policy, "jeton", and words, which are the
// names and addresses of the user. An empty word does not count.
func (p Policy) Check(pw jeton.Secret, words ...string) error {
	least := cmp.Or(p.MinLength, DefaultMin)
	if err := checkLength(pw, least); err != nil {
		return err
	}

	folded := foldPassword(pw.Reveal())
	common, err := isCommon(folded)
	if err != nil {
		return err
	}
	if common {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			"the password is in the list of common passwords; use another, such as several words",
		)
	}

	known := slices.Concat([]string{"jeton"}, p.Words, words)
	if besides(folded, known) < minBesides {
		return jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf(
				"the password is hardly more than the name of the user or of a service, or a word that attackers try "+
					"first; use at least %d other characters",
				minBesides,
			),
		)
	}

	return nil
}

// CheckNew returns jeton.ErrInvalid, with a text for the user, when pw is too short or too long for any user:
// also for the operator who declares a user and chooses the password.
func CheckNew(pw jeton.Secret) error { return checkLength(pw, MinNew) }

// checkLength counts characters at the lower end, as users do, and bytes at the upper,
// which bound the work.
func checkLength(pw jeton.Secret, least int) error {
	switch {
	case utf8.RuneCountInString(pw.Reveal()) < least:
		return jeton.WithDetail(
			jeton.ErrInvalid,
			fmt.Sprintf("the password is too short; use at least %d characters, such as several words", least),
		)
	case len(pw.Reveal()) > Max:
		return jeton.WithDetail(jeton.ErrInvalid, fmt.Sprintf("the password is too long; use at most %d bytes", Max))
	}

	return nil
}

// foldPassword returns the same text for spellings of a password that an attacker tries together.
func foldPassword(pw string) string { return strings.ToLower(norm.NFKC.String(pw)) }

// besides returns how many characters of a folded password are not in the words.
func besides(folded string, words []string) int {
	var known []string
	for _, w := range words {
		known = append(known, partsOf(foldPassword(w))...)
	}

	// The longest first, so that a word does not hide another that contains it.
	slices.SortFunc(known, func(a, b string) int { return cmp.Compare(len(b), len(a)) })

	for _, w := range known {
		// A control character keeps what stood before the word from forming another with what stood after it.
		folded = strings.ReplaceAll(folded, w, "\x00")
	}

	return utf8.RuneCountInString(strings.ReplaceAll(folded, "\x00", ""))
}

// partsOf returns a name and its parts: those of an e-mail address, and those between punctuation.
func partsOf(name string) []string {
	parts := strings.FieldsFunc(name, func(r rune) bool { return strings.ContainsRune("@.-_+ ", r) })
	parts = append(parts, name)

	return slices.DeleteFunc(parts, func(s string) bool { return utf8.RuneCountInString(s) < MinWord })
}
