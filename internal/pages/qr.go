package pages

import (
	"fmt"
	"html/template"
	"strings"

	"rsc.io/qr"
)

// quiet is the margin of a QR code, in modules (ISO/IEC 18004, section 6.3.8).
const quiet = 4

// qrCode returns a QR code as SVG without a style. The path has a line for each run of dark modules; the background is
// white in every colour scheme, as cameras need it.
func qrCode(text string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("QR code: %w", err)
	}

	var path strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&path, "M%d %dh%dv1h-%dz", x+quiet, y+quiet, run, run)
				x += run
			}
		}
	}

	size := code.Size + 2*quiet

	return template.HTML(fmt.Sprintf(
		`<svg class="qr" viewBox="0 0 %d %d" width="%d" height="%d" aria-hidden="true" shape-rendering="crispEdges">`+
			`<path fill="#fff" d="M0 0h%dv%dH0z"/><path fill="#000" d="%s"/></svg>`,
		size, size, 5*size, 5*size, size, size, path.String(),
	)), nil
}

// inGroups returns a secret in groups of four, for users who type it.
func inGroups(text string) string {
	var groups []string
	for len(text) > 4 {
		groups = append(groups, text[:4])
		text = text[4:]
	}

	return strings.Join(append(groups, text), " ")
}
