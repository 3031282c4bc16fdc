//go:build !unix

package netstream_test

func descriptorLimit() int { return 1 << 30 }
