package secret_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jeton-auth/jeton/internal/secret"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func made(t *testing.T, k secret.Kind, r io.Reader) string {
	t.Helper()
	s, err := secret.New(k, r)
	if err != nil {
		t.Fatal(err)
	}

	return s.Reveal()
}

// digits are those of secrets, by their value.
const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

func TestForm(t *testing.T) {
	for name, k := range map[string]secret.Kind{"jtn_a_": secret.Access, "jtn_c_": secret.Client} {
		text := made(t, k, rand.Reader)
		if !strings.HasPrefix(text, name) || len(text) != secret.Len || strings.Trim(text[len(name):], digits) != "" {
			t.Errorf("secret = %q, want %d characters that begin with %s", text, secret.Len, name)
		}
		if !secret.Is(k, text) {
			t.Errorf("Is(%v, %q) = false, want true", k, text)
		}
	}

	if s, err := secret.New(secret.Access, rand.Reader); err != nil || strings.Contains(fmt.Sprint(s), "jtn_") {
		t.Errorf("printed: %v, %v", s, err)
	}
}

// TestNumbers reads the random part as the number in base62 that it is.
func TestNumbers(t *testing.T) {
	for _, b := range [][]byte{
		make([]byte, 32),
		bytes.Repeat([]byte{0xff}, 32),
		append(make([]byte, 31), 61),
		append(make([]byte, 31), 62),
		bytes.Repeat([]byte{0x80, 0x01}, 16),
	} {
		text := made(t, secret.Access, bytes.NewReader(b))
		n := new(big.Int)
		for _, c := range text[6 : secret.Len-6] {
			n.Add(n.Mul(n, big.NewInt(62)), big.NewInt(int64(strings.IndexRune(digits, c))))
		}

		want := new(big.Int).SetBytes(b)
		if n.Cmp(want) != 0 {
			t.Errorf("%s holds %x, want %x", text, n, want)
		}
	}

	// Its end is the CRC-32 of all that is before it, as another program works it out.
	if text := made(
		t, secret.Access, bytes.NewReader(make([]byte, 32)),
	); text != "jtn_a_"+strings.Repeat("0", 43)+"2hklFN" {
		t.Errorf("secret of zero bits = %q, want zeros and the CRC-32 2hklFN", text)
	}
}

func TestNoTwoAreAlike(t *testing.T) {
	seen := map[string]bool{}
	var counts [62]int
	for range 2000 {
		text := made(t, secret.Access, rand.Reader)
		body := text[6 : secret.Len-6]
		if seen[body] {
			t.Fatalf("secret %q was made twice, want 2000 different ones", text)
		}

		seen[body] = true

		for _, c := range body[8:] {
			counts[strings.IndexRune(digits, c)]++
		}
	}

	// 70000 digits, 1129 of each: one that is a third off is no chance.
	for i, n := range counts {
		if n < 750 || n > 1500 {
			t.Errorf("digit %c is there %d times, want 750 to 1500", digits[i], n)
		}
	}

	t.Run("every bit of the randomness is in it", func(t *testing.T) {
		zero := make([]byte, 32)
		texts := map[string]bool{made(t, secret.Access, bytes.NewReader(zero)): true}
		for bit := range 256 {
			b := slices.Clone(zero)
			b[bit/8] |= 1 << (bit % 8)
			texts[made(t, secret.Access, bytes.NewReader(b))] = true
		}

		if len(texts) != 257 {
			t.Errorf("%d different secrets, want 257", len(texts))
		}
	})
}

func TestRandomnessThatFails(t *testing.T) {
	broken := errors.New("no randomness")
	for name, r := range map[string]io.Reader{
		"at once":   iotest.ErrReader(broken),
		"too early": io.MultiReader(bytes.NewReader(make([]byte, 7)), iotest.ErrReader(broken)),
	} {
		if s, err := secret.New(secret.Access, r); !errors.Is(err, broken) || !s.IsZero() {
			t.Errorf("New, which fails %s: %v, %v", name, s, err)
		}
		if id, err := secret.ID("t_", noon, r); err == nil || id != "" {
			t.Errorf("ID, which fails %s: %q, %v", name, id, err)
		}
	}

	if s, err := secret.New(
		secret.Access,
		bytes.NewReader(make([]byte, 31)),
	); !errors.Is(err, io.ErrUnexpectedEOF) || !s.IsZero() {
		t.Errorf("New of 31 bytes: %v, %v", s, err)
	}
}

func TestWhatIsNoSecret(t *testing.T) {
	text := made(t, secret.Access, rand.Reader)
	other := func(c byte) string {
		if c == '0' {
			return "1"
		}
		return "0"
	}

	t.Run("with one character changed", func(t *testing.T) {
		for i := range len(text) {
			if wrong := text[:i] + other(text[i]) + text[i+1:]; secret.Is(secret.Access, wrong) {
				t.Errorf("changed at %d: Is(%q) = true, want false", i, wrong)
			}
		}
	})

	t.Run("with two neighbours exchanged", func(t *testing.T) {
		for i := range len(text) - 1 {
			if wrong := text[:i] + text[i+1:i+2] + text[i:i+1] + text[i+2:]; wrong != text && secret.Is(
				secret.Access,
				wrong,
			) {
				t.Errorf("exchanged at %d: Is(%q) = true, want false", i, wrong)
			}
		}
	})

	for i := range len(text) {
		if secret.Is(secret.Access, text[:i]) || i > 0 && secret.Is(secret.Access, text[i:]) {
			t.Errorf("Is of the part up to or from %d = true, want false", i)
		}
	}

	for name, wrong := range map[string]string{
		"another kind":           made(t, secret.Client, rand.Reader),
		"more behind it":         text + "0",
		"more before it":         "0" + text,
		"capitals":               strings.ToUpper(text),
		"small letters":          strings.ToLower(text),
		"a space behind it":      text + " ",
		"a line break behind it": text + "\n",
		"nothing":                "",
		"the prefix":             "jtn_a_",
		"a dash in it":           text[:20] + "-" + text[21:],
		"an umlaut in it":        text[:20] + "ü" + text[22:],
		"bytes that are no text": text[:20] + "\xff" + text[21:],
		"a NUL in it":            text[:20] + "\x00" + text[21:],
		"long":                   strings.Repeat(text, 1000),
	} {
		if secret.Is(secret.Access, wrong) {
			t.Errorf("%s: Is(%q) = true, want false", name, wrong)
		}
	}

	if secret.Is(secret.Client, text) {
		t.Errorf("Is(secret.Client, %q) = true, want false for an access token", text)
	}
}

func TestHashes(t *testing.T) {
	// The SHA-256 of abc (FIPS 180-2, appendix B.1).
	got := fmt.Sprintf("%x", secret.HashOf("abc"))
	if got != "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" {
		t.Errorf("HashOf(abc) = %s, want that of FIPS 180-2", got)
	}
}

func TestIDs(t *testing.T) {
	id := func(at time.Time, r io.Reader) string {
		t.Helper()
		text, err := secret.ID("t_", at, r)
		if err != nil {
			t.Fatal(err)
		}

		return text
	}

	t.Run("sort by time, whatever the randomness", func(t *testing.T) {
		low, high := func() io.Reader {
			return bytes.NewReader(make([]byte, 16))
		}, func() io.Reader { return bytes.NewReader(bytes.Repeat([]byte{0xff}, 16)) }

		var last string
		for _, at := range []time.Time{
			time.UnixMilli(0),
			time.UnixMilli(1),
			time.UnixMilli(255),
			time.UnixMilli(256),
			noon,
			noon.Add(time.Millisecond),
			noon.Add(time.Hour),
			noon.AddDate(10, 0, 0),
			noon.AddDate(4000, 0, 0),
		} {
			first, second := id(at, high()), id(at.Add(time.Millisecond), low())
			if first >= second || last >= id(at, low()) {
				t.Errorf("at %v: %s, and a millisecond later %s; before it %s; want an order", at, first, second, last)
			}
			last = id(at, low())
		}
	})

	t.Run("are short, of one length, and of characters that are not confused", func(t *testing.T) {
		for _, at := range []time.Time{time.UnixMilli(0), noon, noon.AddDate(1000, 0, 0)} {
			if text := id(at, rand.Reader); len(text) != 25 || !strings.HasPrefix(
				text,
				"t_",
			) || strings.Trim(text[2:], "0123456789abcdefghjkmnpqrstvwxyz") != "" {
				t.Errorf("ID = %q, want t_ and 23 characters of its alphabet", text)
			}
		}
	})

	t.Run("are read as what they were made of, and written again as they were", func(t *testing.T) {
		for _, at := range []time.Time{time.UnixMilli(0), noon, noon.AddDate(1000, 0, 0)} {
			text := id(at, rand.Reader)
			h, ok := secret.ReadID("t_", text)
			got := "t_" + string(h.Append(nil))
			if !ok || got != text || len(got) != 2+secret.HandleLen {
				t.Errorf("%s is read as %x, %t, and written as %s", text, h, ok, got)
			}

			ms := binary.BigEndian.Uint64(h[:]) >> 16
			if int64(ms) != at.UnixMilli() {
				t.Errorf("%s is of %d ms, want %d", text, ms, at.UnixMilli())
			}
		}

		text := id(noon, rand.Reader)[:24] + "0"
		for name, wrong := range map[string]string{
			"nothing":                          "",
			"the prefix":                       "t_",
			"another prefix":                   "s_" + text[2:],
			"no prefix":                        text[2:],
			"a character less":                 text[:24],
			"one more":                         text + "0",
			"capitals":                         strings.ToUpper(text),
			"a character that is none of ours": text[:5] + "l" + text[6:],
			"bits behind the end":              text[:24] + "1",
			"a line break in it":               text[:5] + "\n" + text[6:],
		} {
			if h, ok := secret.ReadID("t_", wrong); ok {
				t.Errorf("%s: ReadID(%q) = %x, want none", name, wrong, h)
			}
		}
	})

	t.Run("of one moment are distinguished by 64 bits", func(t *testing.T) {
		base := make([]byte, 16)
		texts := map[string]bool{}
		for bit := range 128 {
			b := slices.Clone(base)
			b[bit/8] |= 1 << (bit % 8)
			texts[id(noon, bytes.NewReader(b))] = true
		}

		if len(texts) < 64 {
			t.Errorf("%d ids of 128 different readings, want 64 at least", len(texts))
		}
	})
}
