package factor

import (
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// TestCodesOfTheStandard compares codes with RFC 6238, appendix B, for SHA-1.
func TestCodesOfTheStandard(t *testing.T) {
	key := []byte("12345678901234567890")

	for _, tc := range []struct {
		second int64
		want   string
	}{
		{59, "94287082"},
		{1111111109, "07081804"},
		{1111111111, "14050471"},
		{1234567890, "89005924"},
		{2000000000, "69279037"},
		{20000000000, "65353130"},
	} {
		got := codeAt(key, StepAt(time.Unix(tc.second, 0)), 8)
		if got != tc.want {
			t.Errorf("code at %d = %s, want %s", tc.second, got, tc.want)
		}
	}
}

func TestOnlyCodesNearTheTimeMatch(t *testing.T) {
	key := []byte("12345678901234567890")
	now := time.Unix(1_800_000_015, 0)
	current := StepAt(now)

	for _, tc := range []struct {
		name string
		step int64
		want bool
	}{
		{"two steps ago", current - 2, false},
		{"the step before", current - 1, true},
		{"the current step", current, true},
		{"the next step", current + 1, true},
		{"in two steps", current + 2, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			step, ok := matching(key, codeAt(key, tc.step, codeDigits), now)
			if ok != tc.want || ok && step != tc.step {
				t.Errorf("matching = %d, %t, want %d, %t", step, ok, tc.step, tc.want)
			}
		})
	}
}

// TestAppsReadTheNamesOfAKey parses as apps do, which read + as it is.
func TestAppsReadTheNamesOfAKey(t *testing.T) {
	const want = "otpauth://totp/Smith%20&%20Co%20+%20Sons:diane?secret=ABC&issuer=Smith%20%26%20Co%20%2B%20Sons"
	if got := keyURI("Smith & Co + Sons", "diane", "ABC"); got != want {
		t.Errorf("keyURI = %s, want %s", got, want)
	}
}

func TestSpellingsOfACode(t *testing.T) {
	for _, tc := range []struct {
		name string
		text string
		want bool
	}{
		{"as it is shown", "123456", true},
		{"in two groups", "123 456", true},
		{"with a hyphen", "123-456", true},
		{"with a line break", "123456\r\n", true},
		{"with a no-break space", "123\u00a0456", true},
		{"full-width digits", "\uff11\uff12\uff13\uff14\uff15\uff16", false},
		{"Arabic digits", "\u0661\u0662\u0663\u0664\u0665\u0666", false},
		{"a digit too many", "1234567", false},
		{"a digit too few", "12345", false},
		{"a sign", "+12345", false},
		{"nothing", "", false},
		{"very long", strings.Repeat(" ", 1000) + "123456", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := isTOTP(cleaned(tc.text)); got != tc.want {
				t.Errorf("isTOTP(%q) = %t, want %t", tc.text, got, tc.want)
			}
		})
	}
}

// TestCodesOfAnotherProgram compares codes with those of oathtool.
func TestCodesOfAnotherProgram(t *testing.T) {
	tool := need.Program(t, "oathtool")
	key := []byte("\x00\xffjeton secret \x80key 20")
	text := secretEncoding.EncodeToString(key)

	for _, second := range []int64{0, 29, 30, 1_800_000_015, 4_102_444_800} {
		cmd := exec.CommandContext(
			t.Context(), tool, "--totp", "--base32", "--now=@"+strconv.FormatInt(second, 10), text,
		)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}

		want := strings.TrimSpace(string(out))
		if got := codeAt(key, StepAt(time.Unix(second, 0)), codeDigits); got != want {
			t.Errorf("code at %d = %s, want %s", second, got, want)
		}
	}
}
