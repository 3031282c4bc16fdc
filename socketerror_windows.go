package netstream

import "syscall"

// What package net calls the system calls of a connection.
const callRead, callWrite = "wsarecv", "wsasend"

// windowsErrnos maps what the Windows kernel answers with instead of a Winsock
// number, mostly when an overlapped operation fails. Package syscall names only
// some of them.
var windowsErrnos = [...]errnoCode{
	{4, CodeTooManyOpenSockets}, // ERROR_TOO_MANY_OPEN_FILES
	{syscall.ERROR_ACCESS_DENIED, CodeAccessDenied},
	{6, CodeOperationAborted},                            // ERROR_INVALID_HANDLE: closed by us, like EBADF
	{8, CodeNoBufferSpaceAvailable},                      // ERROR_NOT_ENOUGH_MEMORY
	{50, CodeOperationNotSupported},                      // ERROR_NOT_SUPPORTED
	{syscall.ERROR_NETNAME_DELETED, CodeConnectionReset}, // a reset seen by an overlapped call
	{87, CodeInvalidArgument},                            // ERROR_INVALID_PARAMETER
	{syscall.ERROR_BROKEN_PIPE, CodeShutdown},
	{121, CodeTimedOut},           // ERROR_SEM_TIMEOUT
	{232, CodeShutdown},           // ERROR_NO_DATA: the pipe is being closed
	{234, CodeMessageSize},        // ERROR_MORE_DATA
	{258, CodeTimedOut},           // WAIT_TIMEOUT
	{1225, CodeConnectionRefused}, // ERROR_CONNECTION_REFUSED
	{1226, CodeDisconnecting},     // ERROR_GRACEFUL_DISCONNECT
	{1231, CodeNetworkUnreachable},
	{1232, CodeHostUnreachable},
	{1233, CodeProtocolNotSupported}, // ERROR_PROTOCOL_UNREACHABLE
	{1234, CodeConnectionReset},      // ERROR_PORT_UNREACHABLE, Winsock's own translation
	{1235, CodeOperationAborted},     // ERROR_REQUEST_ABORTED
	{1236, CodeConnectionAborted},
	{syscall.EWOULDBLOCK, CodeWouldBlock}, // here another number than EAGAIN
}

// errnoToCode returns the code of a system error number. Winsock numbers are
// codes already and pass, named or not, as in .NET. Package syscall's E...
// names are inventions on Windows, but programs and fakes use them.
func errnoToCode(errno syscall.Errno) SocketErrorCode {
	if isWinsock(errno) {
		return SocketErrorCode(errno)
	}
	if code, ok := findErrno(windowsErrnos[:], errno); ok {
		return code
	}
	code, _ := findErrno(posixErrnos[:], errno)
	return code
}

// codeToErrno returns the Winsock number as an errno, 0 for CodeSocketError,
// CodeSuccess and numbers that are no Winsock errors.
func codeToErrno(code SocketErrorCode) syscall.Errno {
	if code > 0 && isWinsock(syscall.Errno(code)) {
		return syscall.Errno(code)
	}
	return 0
}

// isWinsock reports whether errno is a Winsock number: the two that overlapped
// calls share with the rest of Windows, or one of the block from WSABASEERR to
// the end of the name look-up errors.
func isWinsock(errno syscall.Errno) bool {
	return errno == syscall.ERROR_OPERATION_ABORTED || errno == syscall.ERROR_IO_PENDING ||
		errno >= 10000 && errno < 12000
}
