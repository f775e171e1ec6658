//go:build !race

package people_test

const underRace = false
