//go:build unix && !linux && !darwin

package sys

const notSentLowWater = 0
