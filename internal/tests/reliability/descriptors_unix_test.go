//go:build unix

package reliability_test

import "syscall"

// descriptorLimit is how many descriptors this process may have. The runtime raises the soft limit to the hard one when
// a program starts.
func descriptorLimit() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), 1<<30))
}
