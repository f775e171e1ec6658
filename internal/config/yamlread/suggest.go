package yamlread

import "strings"

// Suggest ends a fault about a word that is not one of known: with the nearest of
// them, or with all of them when none is near.
func Suggest(word string, known []string) string {
	near := Nearest(word, known)
	switch {
	case near != "":
		return "did you mean " + near + "?"
	case len(known) == 0:
		return "there are none"
	}

	return "want one of " + strings.Join(known, ", ")
}

// OneOf lists the words that a value may be, and the nearest if one is near.
func OneOf(word string, known []string) string {
	list := "one of " + strings.Join(known, ", ")
	if known[0] == "" {
		list = `one of ""` + strings.Join(known, ", ")
	}

	near := Nearest(word, known)
	if near != "" {
		return list + "; did you mean " + near + "?"
	}

	return list
}

// Nearest returns the known word with the fewest typing errors to word, or "" when
// none is near: short words permit one error, longer ones more.
func Nearest(word string, known []string) string {
	word = strings.ToLower(word)
	best, fewest := "", 0
	for _, k := range known {
		allowed := 1 + len(k)/4
		if len(word) > len(k)+allowed || len(k) > len(word)+allowed {
			continue
		}

		d := distance(word, strings.ToLower(k))
		if d <= allowed && (best == "" || d < fewest) {
			best, fewest = k, d
		}
	}

	return best
}

// distance counts the letters to add, drop, change or swap with their neighbour
// to turn a into b (optimal string alignment).
func distance(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}

	for i := 1; i <= len(a); i++ {
		row := make([]int, len(b)+1)
		row[0] = i

		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}

			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}

		before, last = last, row
	}

	return last[len(b)]
}
