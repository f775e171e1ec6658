// Package palette has the colours of the pages and computes their contrast.
//
// Every colour follows from one accent: the schemes add paper, ink and the colours of messages, and a dark accent if
// none is given. Contrast is that of WCAG 2.2, success criteria 1.4.3 (text) and 1.4.11 (parts of controls). Package
// config refuses an accent that cannot be read; package pages writes the colours into its style sheet.
package palette

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Colour is an opaque colour of sRGB.
type Colour struct{ R, G, B uint8 }

// Parse reads a colour such as #0f5c55.
func Parse(text string) (Colour, error) {
	hex, ok := strings.CutPrefix(text, "#")
	n, err := strconv.ParseUint(hex, 16, 32)
	if !ok || len(hex) != 6 || err != nil {
		return Colour{}, fmt.Errorf("want a colour such as %s", DefaultAccent)
	}

	return Colour{uint8(n >> 16), uint8(n >> 8), uint8(n)}, nil
}

// String returns the colour as CSS reads it, such as #0f5c55.
func (c Colour) String() string { return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B) }

// Mix returns the colour with a share of another one, from 0 to 1, in it.
func (c Colour) Mix(other Colour, share float64) Colour {
	channel := func(a, b uint8) uint8 {
		return uint8(math.Round(float64(a)*(1-share) + float64(b)*share))
	}

	return Colour{channel(c.R, other.R), channel(c.G, other.G), channel(c.B, other.B)}
}

// luminance returns the relative luminance (WCAG 2.2, glossary), from 0 to 1.
func (c Colour) luminance() float64 {
	linear := func(channel uint8) float64 {
		v := float64(channel) / 255
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}

	return 0.2126*linear(c.R) + 0.7152*linear(c.G) + 0.0722*linear(c.B)
}

// Contrast returns the contrast ratio of two colours, from 1 to 21.
func Contrast(a, b Colour) float64 {
	dark := a.luminance()
	light := b.luminance()
	if dark > light {
		dark, light = light, dark
	}

	return (light + 0.05) / (dark + 0.05)
}

// hsl returns the hue, in sixths of a circle, the saturation and the lightness, from 0 to 1 (CSS Color 4, section 7).
func (c Colour) hsl() (hue, saturation, lightness float64) {
	r, g := float64(c.R)/255, float64(c.G)/255
	b := float64(c.B) / 255
	high := max(r, g, b)
	low := min(r, g, b)
	lightness = (high + low) / 2

	chroma := high - low
	if chroma == 0 {
		return 0, 0, lightness
	}

	switch high {
	case r:
		hue = math.Mod((g-b)/chroma+6, 6)
	case g:
		hue = (b-r)/chroma + 2
	default:
		hue = (r-g)/chroma + 4
	}

	return hue, chroma / (1 - math.Abs(2*lightness-1)), lightness
}

// fromHSL returns the colour of a hue, a saturation and a lightness, as hsl returns them.
func fromHSL(hue, saturation, lightness float64) Colour {
	channel := func(n float64) uint8 {
		k := math.Mod(n+2*hue, 12)
		reach := saturation * min(lightness, 1-lightness)

		return uint8(math.Round(255 * (lightness - reach*max(-1, min(k-3, 9-k, 1)))))
	}

	return Colour{channel(0), channel(8), channel(4)}
}
