package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jeton-auth/jeton/internal/test/need"
)

// rules are the rules of axe that pages must keep, by tag: WCAG 2.2 AA, and what axe calls best
// practice. They are listed because axe leaves out wcag22aa unless it is named.
const rules = `{type: 'tag', values: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}`

// colorRules are those of them that depend on the colours.
const colorRules = `{type: 'rule', values: ['color-contrast', 'link-in-text-block']}`

// finding is a rule of axe that a page breaks.
type finding struct {
	ID    string `json:"id"`
	Help  string `json:"help"`
	Nodes []struct {
		HTML    string `json:"html"`
		Summary string `json:"failureSummary"`
	} `json:"nodes"`
}

// Accessibility returns what axe finds in the page as it is now, one line a violation.
func (p *Page) Accessibility() []string {
	p.t.Helper()
	return p.axe(rules)
}

// Contrast is Accessibility for what the colours of the page alone decide.
func (p *Page) Contrast() []string {
	p.t.Helper()
	return p.axe(colorRules)
}

// axe returns what axe finds of some rules, one line a violation.
func (p *Page) axe(rules string) []string {
	p.t.Helper()
	if Value[bool](p, "window.axe === undefined") {
		modules, _ := need.NodeModules(p.t, packages)
		axe, err := os.ReadFile(filepath.Join(modules, "axe-core", "axe.min.js"))
		if err != nil {
			p.t.Fatal(err)
		}

		// By the debugger, so that the policy of the page does not forbid it.
		p.do("load axe", func(ctx context.Context) error {
			_, err := p.tab.evaluate(ctx, string(axe)+"; null")
			return err
		})
	}

	// Colours that still change to those of another scheme are of neither.
	p.Run("document.getAnimations().filter((a) => a instanceof CSSTransition).forEach((a) => a.finish())")
	found := Value[[]finding](p, `axe.run(document, {runOnly: `+rules+`, resultTypes: ['violations']})
		.then((r) => r.violations)`)

	var lines []string
	for _, f := range found {
		for _, n := range f.Nodes {
			lines = append(lines, fmt.Sprintf("%s: %s: %s (%s)", f.ID, f.Help, n.HTML,
				strings.Join(strings.Fields(n.Summary), " ")))
		}
	}

	return lines
}

// Markup returns what html-validate finds in a document, one line a message.
func Markup(t testing.TB, document string) []string {
	t.Helper()
	n := startNode(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()

	// The standard and accessibility; html-validate:recommended has opinions about style, too.
	text, err := n.call(ctx, 0, "return await validate(...args)", document, map[string]any{
		"extends": []string{"html-validate:standard", "html-validate:a11y", "html-validate:document"},
		"rules": map[string]any{
			"require-sri":             []any{"error", map[string]string{"target": "crossorigin"}},
			"no-implicit-button-type": "off", // in a form it is what we want
		},
	})
	if err != nil {
		t.Fatalf("html-validate: %v", err)
	}

	var lines []string
	err = json.Unmarshal(text, &lines)
	if err != nil {
		t.Fatal(err)
	}

	return lines
}

// Screenshots names the environment variable of the folder for screenshots.
const Screenshots = "JETON_SCREENSHOTS"

// Picture keeps a screenshot of the whole page as NAME.png in the folder that JETON_SCREENSHOTS names.
// Without the variable it takes none.
func (p *Page) Picture(name string) {
	p.t.Helper()
	dir := os.Getenv(Screenshots)
	if dir == "" {
		return
	}

	p.do("take a picture", func(ctx context.Context) error {
		png, err := p.tab.picture(ctx)
		if err != nil {
			return err
		}

		err = os.MkdirAll(dir, 0o755)
		if err != nil {
			return err
		}

		return os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	})
}
