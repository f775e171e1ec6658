package pages

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"net/http"
	"reflect"
	"strings"

	"github.com/jeton-auth/jeton"
	"github.com/jeton-auth/jeton/internal/config"
	"github.com/jeton-auth/jeton/internal/palette"
	"github.com/jeton-auth/jeton/internal/web"
)

//go:embed assets
var assetFiles embed.FS

// assetsPath is where the files of the pages are, below the hash of their content.
const assetsPath = "/.jeton/assets/"

// markSVG is the mark of the pages, with its colour, as the icon of a tab.
const markSVG = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24">` +
	`<g fill="none" stroke="%s" stroke-width="2.4">` +
	`<circle cx="12" cy="12" r="10"/><circle cx="12" cy="12" r="5"/></g></svg>`

// MaxLogo bounds the file of a logo, in bytes.
const MaxLogo = 256 << 10

// assets is the files that pages load. Their hash is in their address, so that browsers keep them for good and load
// new ones after an upgrade.
type assets struct {
	hash  string
	style []byte
	files map[string]file
	logo  string // name of the logo, or ""
}

// file is one of the assets.
type file struct {
	contentType string
	body        []byte
}

// newAssets returns the assets of a brand.
func newAssets(brand config.Brand, logo []byte) (assets, error) {
	var sheet []byte
	for _, name := range []string{"assets/style.css", "assets/admin.css"} {
		part, err := assetFiles.ReadFile(name)
		if err != nil {
			return assets{}, err
		}
		sheet = append(append(sheet, part...), '\n')
	}

	var script []byte
	for _, name := range []string{"assets/app.js", "assets/passkey.js"} {
		part, err := assetFiles.ReadFile(name)
		if err != nil {
			return assets{}, err
		}
		script = append(script, part...)
	}

	colours, err := tokens(brand)
	if err != nil {
		return assets{}, err
	}

	a := assets{style: append(colours, sheet...)}
	a.files = map[string]file{
		"style.css": {"text/css; charset=utf-8", a.style},
		"app.js":    {"text/javascript; charset=utf-8", script},
	}

	a.files["mark.svg"] = file{"image/svg+xml", []byte(fmt.Sprintf(markSVG, brand.Accent))}

	if logo != nil {
		a.logo = "logo.png"
		contentType := "image/png"
		if strings.HasSuffix(strings.ToLower(brand.Logo), ".svg") {
			a.logo, contentType = "logo.svg", "image/svg+xml"
		}
		a.files[a.logo] = file{contentType, logo}
	}

	h := sha256.New()
	for _, name := range []string{"style.css", "app.js", "mark.svg", a.logo} {
		f := a.files[name]
		fmt.Fprintf(h, "%s %d\n", name, len(f.body))
		h.Write(f.body)
	}
	a.hash = hex.EncodeToString(h.Sum(nil)[:10])

	return a, nil
}

// tokens returns the colours of a brand as custom properties of CSS.
func tokens(brand config.Brand) ([]byte, error) {
	light, err := palette.Parse(brand.Accent)
	if err != nil {
		return nil, err
	}

	dark, err := palette.Parse(brand.AccentDark)
	if err != nil {
		return nil, err
	}

	var b bytes.Buffer
	b.WriteString(":root {\n  color-scheme: light dark;\n")
	writeColours(&b, "  ", palette.Light(light))
	b.WriteString("}\n\n@media (prefers-color-scheme: dark) {\n  :root {\n")
	writeColours(&b, "    ", palette.Dark(dark))
	b.WriteString("  }\n}\n\n")

	return b.Bytes(), nil
}

// writeColours writes each colour of a scheme: AccentWash becomes --accent-wash.
func writeColours(b *bytes.Buffer, indent string, s palette.Scheme) {
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		var name strings.Builder
		for k, r := range v.Type().Field(i).Name {
			if k > 0 && 'A' <= r && r <= 'Z' {
				name.WriteByte('-')
			}
			name.WriteRune(r)
		}

		fmt.Fprintf(b, "%s--%s: %s;\n", indent, strings.ToLower(name.String()), v.Field(i).Interface())
	}
}

// URL returns the address of a file, for the layout.
func (a assets) URL(name string) string { return assetsPath + a.hash + "/" + name }

// Logo returns the address of the logo, or "".
func (a assets) Logo() string {
	if a.logo == "" {
		return ""
	}
	return a.URL(a.logo)
}

// Style returns the style sheet for a page that cannot load it.
func (a assets) Style() template.CSS { return template.CSS(a.style) }

// asset answers GET below /.jeton/assets/.
func (p *Pages) asset(w *web.Reply, r *http.Request) error {
	f, ok := p.assets.files[r.PathValue("name")]
	if !ok {
		return jeton.ErrNotFound
	}

	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("X-Content-Type-Options", "nosniff")
	// A logo could have a script in it: it is an image, also for who opens it alone.
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox")

	// During an upgrade the page of one node asks another node: what it gets must not be kept under that address.
	h.Set("Cache-Control", "no-cache")
	if r.PathValue("hash") == p.assets.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}

	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(f.body)
	}

	return nil
}
