//go:build race

package kit

// RaceEnabled reports whether the race detector is on.
const RaceEnabled = true
