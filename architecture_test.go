package jeton_test

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestArchitecturePicture checks that the picture of docs/architecture.md shows the packages
// and their layers.
func TestArchitecturePicture(t *testing.T) {
	const (
		page  = "docs/architecture.md"
		begin = "<!-- layers: begin -->\n"
		end   = "<!-- layers: end -->\n"
	)

	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}

	before, rest, found := strings.Cut(string(text), begin)
	_, after, ended := strings.Cut(rest, end)
	if !found || !ended {
		t.Fatalf("%s has no place for the picture between %q and %q", page, begin, end)
	}

	golden(t, page, before+begin+picture()+end+after)
}

// picture draws the layers, the highest first, with the stores beside them.
func picture() string {
	const left, right = 58, 26
	main := map[int][]string{}
	var stores []string

	for _, pkg := range slices.Sorted(maps.Keys(layers)) {
		name := strings.TrimPrefix(pkg, "internal/")
		switch {
		case strings.HasPrefix(name, "test/"):
		case strings.HasPrefix(name, "store/"):
			stores = append(stores, name)
		case pkg == ".":
			main[0] = append(main[0], "jeton")
		default:
			main[layers[pkg]] = append(main[layers[pkg]], name)
		}
	}

	beside := append([]string{"stores, seen by server only:"}, stores...)
	var b strings.Builder
	b.WriteString("```text\n")
	for _, layer := range slices.Backward(slices.Sorted(maps.Keys(main))) {
		for i, line := range wrap(main[layer], left) {
			number := "  "
			if i == 0 {
				number = fmt.Sprintf("%2d", layer)
			}

			other := ""
			if len(beside) > 0 {
				other, beside = beside[0], beside[1:]
			}
			row := fmt.Sprintf("%s │ %-*s │ %-*s", number, left, line, right, other)
			b.WriteString(strings.TrimRight(row, " ") + "\n")
		}
	}
	b.WriteString("```\n")

	return b.String()
}

// wrap joins names to lines of at most width columns.
func wrap(names []string, width int) []string {
	var lines []string
	for _, name := range names {
		last := len(lines) - 1
		if last < 0 || len([]rune(lines[last]))+len(" · ")+len(name) > width {
			lines = append(lines, name)
			continue
		}
		lines[last] += " · " + name
	}

	return lines
}
