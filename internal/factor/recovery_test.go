package factor

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
)

// TestARecoveryCodeHas120RandomBits sees that each bit of 15 random bytes changes the code, and how it looks.
func TestARecoveryCodeHas120RandomBits(t *testing.T) {
	code := func(b []byte) string {
		t.Helper()
		text, err := newRecoveryCode(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}

		return text
	}

	seen := map[string]bool{code(make([]byte, 15)): true}
	for bit := range 120 {
		b := make([]byte, 15)
		b[bit/8] = 1 << (bit % 8)
		seen[code(b)] = true
	}
	if len(seen) != 121 {
		t.Errorf("got %d codes of one bit each, want 121 with that of none", len(seen))
	}

	text, err := newRecoveryCode(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const clear = "abcdefghjkmnpqrstuvwxyz023456789"
	groups := strings.Split(inGroups(text), "-")
	if len(groups) != 4 || strings.Join(groups, "") != text || strings.Trim(text, clear) != "" {
		t.Errorf("got %q, want four groups, without characters that are taken for others", inGroups(text))
	}
}

func TestCodesOfAppsHaveSixDigits(t *testing.T) {
	if codeDigits != 6 || !isTOTP("000000") || isTOTP("00000") || isTOTP("0000000") {
		t.Errorf("codes have %d digits, want 6: about 20 bits", codeDigits)
	}
}
