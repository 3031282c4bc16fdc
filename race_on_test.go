//go:build race

package netstream_test

const raceEnabled = true
