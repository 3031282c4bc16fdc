//go:build !unix

package reliability_test

func descriptorLimit() int { return 1 << 30 }
