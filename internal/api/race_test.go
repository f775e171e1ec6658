//go:build race

package api_test

// raceDetector says that the race detector watches, which makes everything ten times slower:
// tests whose length is their point go a tenth of the way.
const raceDetector = true
