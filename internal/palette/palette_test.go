package palette_test

import (
	"math"
	"testing"

	"github.com/jeton-auth/jeton/internal/palette"
)

// colour returns a colour that is known to be valid.
func colour(t *testing.T, text string) palette.Colour {
	t.Helper()

	c, err := palette.Parse(text)
	if err != nil {
		t.Fatal(err)
	}

	return c
}

// TestContrastIsThatOfWCAG compares ratios with those that the examples of WCAG 2.2 and its checkers give.
func TestContrastIsThatOfWCAG(t *testing.T) {
	for _, tc := range []struct {
		front, behind string
		want          float64
	}{
		{"#000000", "#ffffff", 21},
		{"#ffffff", "#ffffff", 1},
		{"#777777", "#ffffff", 4.48},
		{"#767676", "#ffffff", 4.54},
		{"#0000ff", "#ffffff", 8.59},
	} {
		got := palette.Contrast(colour(t, tc.front), colour(t, tc.behind))
		if math.Abs(got-tc.want) > 0.005 {
			t.Errorf("Contrast(%s, %s) = %.3f, want %.2f", tc.front, tc.behind, got, tc.want)
		}
	}
}

// TestEveryPairCanBeRead computes the contrast of every pair of colours in both schemes, for the accent of ours and for
// others of every hue that are accepted.
func TestEveryPairCanBeRead(t *testing.T) {
	for _, accent := range []string{
		palette.DefaultAccent, "#1f4fbf", "#8a1c3c", "#6b2fa0", "#7a4a00", "#1c6b36", "#333333", "#000000",
	} {
		light := colour(t, accent)
		for name, scheme := range map[string]palette.Scheme{
			"light": palette.Light(light),
			"dark":  palette.Dark(palette.DarkAccent(light)),
		} {
			for _, pair := range scheme.Pairs() {
				got := palette.Contrast(pair.Front, pair.Behind)
				if got < pair.Least {
					t.Errorf("%s, %s: %s has %.2f:1, want at least %.1f:1", accent, name, pair.Name, got, pair.Least)
				}
			}
		}
	}
}

func TestAnAccentThatCannotBeReadHasALowContrast(t *testing.T) {
	yellow := colour(t, "#ffd500")
	if got := palette.Light(yellow).AccentContrast(); got >= palette.Text {
		t.Errorf("AccentContrast of yellow on light = %.2f, want below %.1f", got, palette.Text)
	}
	if got := palette.Dark(yellow).AccentContrast(); got < palette.Text {
		t.Errorf("AccentContrast of yellow on dark = %.2f, want at least %.1f", got, palette.Text)
	}
}

func TestWhatIsNoColour(t *testing.T) {
	for _, text := range []string{"", "#fff", "0f5c55", "#0f5c5g", "#0f5c5511", "teal", "#+f5c55"} {
		got, err := palette.Parse(text)
		if err == nil {
			t.Errorf("Parse(%q) = %v, want an error", text, got)
		}
	}
}
