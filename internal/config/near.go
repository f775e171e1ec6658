package config

import "strings"

// suggest ends a fault about a word that is not one of known: with the nearest
// of them, or with all of them when none is near.
func suggest(word string, known []string) string {
	near := nearest(word, known)
	if near != "" {
		return "did you mean " + near + "?"
	}
	return "known here: " + strings.Join(known, ", ")
}

// nearest returns the known word with the fewest slips of the pen to word, or ""
// when word is no slip of any: short words permit one slip, longer ones more.
func nearest(word string, known []string) string {
	best, least := "", 0
	for _, k := range known {
		allowed := 1 + len(k)/4
		if d := len(word) - len(k); d > allowed || -d > allowed {
			continue
		}
		if d := distance(strings.ToLower(word), k); d <= allowed && (best == "" || d < least) {
			best, least = k, d
		}
	}

	return best
}

// distance counts the letters to add, drop, change or swap with their neighbour
// to make b of a (optimal string alignment).
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
