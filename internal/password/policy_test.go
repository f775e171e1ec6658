package password

import (
	"errors"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton"
)

func TestCheckNew(t *testing.T) {
	for _, tc := range []struct {
		name string
		pw   string
		want error
	}{
		{"nothing", "", jeton.ErrInvalid},
		{"seven characters", "1234567", jeton.ErrInvalid},
		{"seven characters in eight bytes", "123456é", jeton.ErrInvalid},
		{"eight characters", "12345678", nil},
		{"eight blanks, which are not trimmed", "        ", nil},
		{"1024 bytes", strings.Repeat("x", 1024), nil},
		{"1025 bytes", strings.Repeat("x", 1025), jeton.ErrInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := CheckNew(jeton.NewSecret(tc.pw))
			if !errors.Is(err, tc.want) {
				t.Errorf("CheckNew = %v, want %v", err, tc.want)
			}
			if err != nil && jeton.Detail(err) == "" {
				t.Error("the error has no detail for the user")
			}
		})
	}
}

func TestPolicy(t *testing.T) {
	const (
		tooShort  = "too short"
		tooLong   = "too long"
		tooCommon = "list of common passwords"
		tooKnown  = "hardly more than the name"
	)

	normal, short := Policy{Words: []string{"webshop"}}, Policy{MinLength: 8, Words: []string{"webshop"}}
	worded := Policy{Words: []string{"Acme Rockets"}}

	for _, tc := range []struct {
		name   string
		policy Policy
		pw     string
		want   string // in the detail of the error; "": none
	}{
		{"a phrase", normal, "correct horse battery", ""},
		{"fifteen characters", normal, "vulpine-quartz3", ""},
		{"fourteen characters", normal, "vulpine-quartz", tooShort},
		{"fifteen bytes of fewer characters", normal, "vulpinè-quàrtz", tooShort},
		{"over the maximum", normal, strings.Repeat("vulpine-", 128) + "x", tooLong},
		{"a long common one", normal, "passwordpassword", tooCommon},
		{"a long common one in capitals", normal, "PassWordPassWord", tooCommon},
		{"a long common one in full-width digits", normal, "１２３４５６７８９０１２３４５", tooCommon},
		{"the user's name, repeated", normal, "eshanaeshanaeshana", tooKnown},
		{"the user's name and a year", normal, "Eshana-Eshana-2026", tooKnown},
		{"the user's address", normal, "eshana.k@mail.example.org", tooKnown},
		{"the parts of the user's address", normal, "Mail.Example.Eshana", tooKnown},
		{"the name of a service", normal, "webshop-webshop-1", tooKnown},
		{"the name of this software", normal, "jetonJETONjeton123", tooKnown},
		{"all of them", normal, "jeton-webshop-eshana!", tooKnown},
		{"a word of the operator, and a year", worded, "Acme-Rockets-2026", tooKnown},
		{"the same where the operator gives none", normal, "Acme-Rockets-2026", ""},
		{"a word of the operator within a phrase", worded, "acme in a purple bathtub", ""},
		{"a name within a phrase", normal, "jeton in a purple bathtub", ""},

		{"eight characters, where that is enough", short, "vulpine7", ""},
		{"seven characters", short, "vulpine", tooShort},
		{"the commonest of all", short, "password", tooCommon},
		{"the commonest digits", short, "12345678", tooCommon},
		{"the first of the list", short, firstCommon(t), tooCommon},
		{"the last of the list", short, lastCommon(t), tooCommon},
		{"after the last of the list", short, "\u00ff" + strings.Repeat("z", 8), ""},
		{"the user's name and two digits", short, "eshana42", tooKnown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.policy.Check(jeton.NewSecret(tc.pw), "Eshana", "eshana.k@mail.example.org", "", "")
			if tc.want == "" {
				if err != nil {
					t.Errorf("Check = %v, want nil", err)
				}
				return
			}

			if !errors.Is(err, jeton.ErrInvalid) || !strings.Contains(jeton.Detail(err), tc.want) {
				t.Errorf("Check = %v (%s), want ErrInvalid with %q", err, jeton.Detail(err), tc.want)
			}
		})
	}
}

// TestCommonPasswords checks what isCommon relies on: the list is folded, sorted and large.
func TestCommonPasswords(t *testing.T) {
	list := commonList(t)
	if len(list) != 197_507 {
		t.Errorf("the list has %d passwords, want 197507", len(list))
	}

	for i, pw := range list {
		if len(pw) < MinNew || pw != foldPassword(pw) {
			t.Errorf("line %d: %q is shorter than %d or not folded", i+1, pw, MinNew)
		}
		if i > 0 && list[i-1] >= pw {
			t.Errorf("line %d: %q is not after %q", i+1, pw, list[i-1])
		}
	}
}

func firstCommon(t *testing.T) string { return commonList(t)[0] }

func lastCommon(t *testing.T) string {
	list := commonList(t)
	return list[len(list)-1]
}

func commonList(t *testing.T) []string {
	t.Helper()
	var list []string

	err := readCommon(func(line []byte) bool {
		list = append(list, string(line))
		return true
	})
	if err != nil {
		t.Fatal(err)
	}

	return list
}

// TestTheFilterLetsEachCommonPasswordPass checks that the filter hides none, and spares most readings of the list.
func TestTheFilterLetsEachCommonPasswordPass(t *testing.T) {
	f, err := commonFilter()
	if err != nil {
		t.Fatal(err)
	}

	list, passed := commonList(t), 0
	for _, pw := range list {
		if !f.mayHave([]byte(pw)) {
			t.Errorf("the filter hides %q, want it passed", pw)
		}
		if f.mayHave([]byte("not " + pw)) {
			passed++
		}
	}

	if passed > len(list)/20 {
		t.Errorf("%d of %d other passwords pass, want about 1 of 100", passed, len(list))
	}
}
