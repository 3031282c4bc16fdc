// Package sys makes the raw, non-blocking socket calls of netstream. It knows
// descriptors, buffers and errno values, nothing of streams, and it is the
// only package of the module that may import unsafe.
//
// # Contract
//
// Every descriptor given to this package is already in non-blocking mode and
// stays open for the length of the call; the caller sees to both. No call
// waits, so the hot calls are made without telling the scheduler
// (RawSyscall), except for transfers so large that the copy itself takes long
// (see rawLimit).
//
// Errors are [syscall.Errno] values, 0 for success, so that no call allocates
// for EAGAIN. EINTR is retried inside and never returned. A count is 0
// whenever the errno is not.
//
// All functions may be called from any goroutine. Buffers belong to the call
// only until it returns.
//
// On systems that are not unix the package is empty.
package sys
