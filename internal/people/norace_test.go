//go:build !race

package people_test

const raceDetector = false
