// Package sys makes the raw, non-blocking socket calls of netstream. It knows
// descriptors, buffers and errno values, nothing of streams, and it is the
// only package of the module that may import unsafe.
//
// # Contract
//
// Every descriptor given to this package stays open for the length of the
// call; the caller sees to that. Receives and sends never wait, so on most of
// Linux they are made without telling the scheduler (RawSyscall), except for
// transfers so large that the copy itself takes long (see rawLimit). They do
// not rely on the descriptor's mode: O_NONBLOCK belongs to the open file, which
// os.File.Fd or another process may put in blocking mode at any time, and a
// receive that waited in a RawSyscall would stop the whole process with the
// next collection. Sendfile and Splice have no such flag for the socket;
// whoever sends with them sets the mode before each call. Windows has no such flags
// at all: there the calls wait in blocking mode, as a send does on macOS, and hold
// up a thread and its caller.
//
// Errors are [syscall.Errno] values, 0 for success, so that no call allocates
// for EAGAIN. EINTR is retried inside and never returned. A count is 0
// whenever the errno is not.
//
// All functions may be called from any goroutine. Buffers belong to the call
// only until it returns.
//
// On js, wasip1 and plan9 the package is empty.
package sys
