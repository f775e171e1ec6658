// Package examples carries the example configurations, so that the program can show them
// without a checkout. Each lies in a folder of its own with a README to follow.
package examples

import "embed"

// Files holds the jeton.yaml of each example, under the example's name.
//
//go:embed */jeton.yaml
var Files embed.FS
