package palette

// DefaultAccent is the accent of pages that are not configured.
const DefaultAccent = "#0f5c55"

// The lowest contrast of text (WCAG 2.2, 1.4.3) and of parts of controls (1.4.11).
const (
	Text    = 4.5
	Control = 3.0
)

// Scheme is the colours of the pages, for a light or a dark screen.
type Scheme struct {
	Paper  Colour // behind everything
	Card   Colour // behind content
	Sunken Colour // behind code and quiet controls
	Ink    Colour // text
	Soft   Colour // text that matters less
	Line   Colour // between things; means nothing
	Edge   Colour // of a field

	Accent     Colour // links, buttons, what is left of a meter
	AccentInk  Colour // text on the accent
	AccentWash Colour // behind text in the accent

	Warn     Colour
	WarnWash Colour
	Bad      Colour
	BadWash  Colour
	Good     Colour
	GoodWash Colour
}

// Light returns the scheme of light screens.
func Light(accent Colour) Scheme {
	s := Scheme{
		Paper:  Colour{0xf6, 0xf5, 0xf1},
		Card:   Colour{0xff, 0xff, 0xff},
		Sunken: Colour{0xf1, 0xef, 0xea},
		Ink:    Colour{0x1d, 0x1c, 0x1a},
		Soft:   Colour{0x5c, 0x58, 0x51},
		Line:   Colour{0xe5, 0xe2, 0xda},
		Edge:   Colour{0x8b, 0x87, 0x7f},

		Warn:     Colour{0x85, 0x50, 0x00},
		WarnWash: Colour{0xfb, 0xf0, 0xdc},
		Bad:      Colour{0xa1, 0x26, 0x22},
		BadWash:  Colour{0xfb, 0xea, 0xe8},
		Good:     Colour{0x1c, 0x69, 0x35},
		GoodWash: Colour{0xe4, 0xf2, 0xe7},
	}

	return s.withAccent(accent, 0.09)
}

// Dark returns the scheme of dark screens.
func Dark(accent Colour) Scheme {
	s := Scheme{
		Paper:  Colour{0x14, 0x14, 0x12},
		Card:   Colour{0x1d, 0x1d, 0x1a},
		Sunken: Colour{0x27, 0x27, 0x24},
		Ink:    Colour{0xec, 0xeb, 0xe6},
		Soft:   Colour{0xab, 0xa7, 0x9e},
		Line:   Colour{0x33, 0x32, 0x2e},
		Edge:   Colour{0x7d, 0x7a, 0x72},

		Warn:     Colour{0xe8, 0xb7, 0x68},
		WarnWash: Colour{0x33, 0x29, 0x1a},
		Bad:      Colour{0xf2, 0x9a, 0x94},
		BadWash:  Colour{0x3a, 0x21, 0x1f},
		Good:     Colour{0x86, 0xcf, 0x9a},
		GoodWash: Colour{0x1d, 0x2f, 0x22},
	}

	return s.withAccent(accent, 0.14)
}

// withAccent sets the accent and the colours that follow from it.
func (s Scheme) withAccent(accent Colour, wash float64) Scheme {
	s.Accent = accent
	s.AccentWash = s.Card.Mix(accent, wash)

	s.AccentInk = Colour{0xff, 0xff, 0xff}
	black := Colour{0x10, 0x16, 0x15}
	if Contrast(black, accent) > Contrast(s.AccentInk, accent) {
		s.AccentInk = black
	}

	return s
}

// AccentContrast returns the lowest contrast of text in the accent, and of text on it.
func (s Scheme) AccentContrast() float64 {
	lowest := Contrast(s.AccentInk, s.Accent)
	for _, behind := range []Colour{s.Paper, s.Card, s.Sunken, s.AccentWash} {
		lowest = min(lowest, Contrast(s.Accent, behind))
	}

	return lowest
}

// DarkAccent returns the accent for dark screens: of the same hue, and so light that it can be read there.
func DarkAccent(light Colour) Colour {
	hue, saturation, lightness := light.hsl()

	// Colours with much light look more colourful than they are.
	saturation = min(saturation, 0.48)

	for ; lightness < 1; lightness += 1.0 / 256 {
		accent := fromHSL(hue, saturation, lightness)
		if Dark(accent).AccentContrast() >= comfortable {
			return accent
		}
	}

	return fromHSL(hue, saturation, 1)
}

// comfortable is the contrast of a derived accent. It is more than the lowest, because thin light text on black is
// harder to read.
const comfortable = 6.5

// Pair is two colours that the pages use together, with the contrast that they need.
type Pair struct {
	Name   string
	Front  Colour
	Behind Colour
	Least  float64
}

// Pairs returns every pair of colours that the style sheet uses together.
func (s Scheme) Pairs() []Pair {
	return []Pair{
		{"ink on paper", s.Ink, s.Paper, Text},
		{"ink on card", s.Ink, s.Card, Text},
		{"ink on sunken", s.Ink, s.Sunken, Text},
		{"ink on accent wash", s.Ink, s.AccentWash, Text},
		{"soft on paper", s.Soft, s.Paper, Text},
		{"soft on card", s.Soft, s.Card, Text},
		{"soft on sunken", s.Soft, s.Sunken, Text},
		{"accent on paper", s.Accent, s.Paper, Text},
		{"accent on card", s.Accent, s.Card, Text},
		{"accent on sunken", s.Accent, s.Sunken, Text},
		{"accent on its wash", s.Accent, s.AccentWash, Text},
		{"text on accent", s.AccentInk, s.Accent, Text},
		{"warn on card", s.Warn, s.Card, Text},
		{"bad on paper", s.Bad, s.Paper, Text},
		{"good on paper", s.Good, s.Paper, Text},
		{"warn on paper", s.Warn, s.Paper, Text},
		{"warn on its wash", s.Warn, s.WarnWash, Text},
		{"bad on card", s.Bad, s.Card, Text},
		{"bad on its wash", s.Bad, s.BadWash, Text},
		{"good on card", s.Good, s.Card, Text},
		{"good on its wash", s.Good, s.GoodWash, Text},
		{"edge of a field on card", s.Edge, s.Card, Control},
		{"edge of a field on paper", s.Edge, s.Paper, Control},
		{"meter on its track", s.Accent, s.Line, Control},
		{"low meter on its track", s.Warn, s.Line, Control},
		{"spent meter on its track", s.Bad, s.Line, Control},
	}
}
