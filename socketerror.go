package netstream

import (
	"errors"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// SocketErrorCode is a portable socket error number, the same on every
// operating system. It mirrors .NET's SocketError enumeration, which uses the
// Winsock numbers. A code is an error itself, so that
// errors.Is(err, CodeConnectionReset) works on any error of this package.
type SocketErrorCode int

// The values of .NET's SocketError. The comment after each one names the errno
// that leads to it on unix systems; the preferred one for the way back comes
// first.
const (
	CodeSocketError                SocketErrorCode = -1    // every errno without a row of its own, and errors without errno
	CodeSuccess                    SocketErrorCode = 0     // errno 0
	CodeOperationAborted           SocketErrorCode = 995   // ECANCELED, EBADF; also: closed or cancelled by this program
	CodeIOPending                  SocketErrorCode = 997   // no errno leads here; shown as EINPROGRESS
	CodeInterrupted                SocketErrorCode = 10004 // EINTR
	CodeAccessDenied               SocketErrorCode = 10013 // EACCES, EPERM
	CodeFault                      SocketErrorCode = 10014 // EFAULT
	CodeInvalidArgument            SocketErrorCode = 10022 // EINVAL
	CodeTooManyOpenSockets         SocketErrorCode = 10024 // ENFILE, EMFILE
	CodeWouldBlock                 SocketErrorCode = 10035 // EAGAIN
	CodeInProgress                 SocketErrorCode = 10036 // EINPROGRESS
	CodeAlreadyInProgress          SocketErrorCode = 10037 // EALREADY
	CodeNotSocket                  SocketErrorCode = 10038 // ENOTSOCK
	CodeDestinationAddressRequired SocketErrorCode = 10039 // EDESTADDRREQ
	CodeMessageSize                SocketErrorCode = 10040 // EMSGSIZE
	CodeProtocolType               SocketErrorCode = 10041 // EPROTOTYPE
	CodeProtocolOption             SocketErrorCode = 10042 // ENOPROTOOPT
	CodeProtocolNotSupported       SocketErrorCode = 10043 // EPROTONOSUPPORT
	CodeSocketNotSupported         SocketErrorCode = 10044 // ESOCKTNOSUPPORT
	CodeOperationNotSupported      SocketErrorCode = 10045 // EOPNOTSUPP, ENOTSUP
	CodeProtocolFamilyNotSupported SocketErrorCode = 10046 // EPFNOSUPPORT
	CodeAddressFamilyNotSupported  SocketErrorCode = 10047 // EAFNOSUPPORT
	CodeAddressAlreadyInUse        SocketErrorCode = 10048 // EADDRINUSE
	CodeAddressNotAvailable        SocketErrorCode = 10049 // EADDRNOTAVAIL, ENOENT
	CodeNetworkDown                SocketErrorCode = 10050 // ENETDOWN
	CodeNetworkUnreachable         SocketErrorCode = 10051 // ENETUNREACH
	CodeNetworkReset               SocketErrorCode = 10052 // ENETRESET
	CodeConnectionAborted          SocketErrorCode = 10053 // ECONNABORTED
	CodeConnectionReset            SocketErrorCode = 10054 // ECONNRESET
	CodeNoBufferSpaceAvailable     SocketErrorCode = 10055 // ENOBUFS; also: the write queue is full
	CodeIsConnected                SocketErrorCode = 10056 // EISCONN
	CodeNotConnected               SocketErrorCode = 10057 // ENOTCONN
	CodeShutdown                   SocketErrorCode = 10058 // EPIPE, not ESHUTDOWN
	CodeTimedOut                   SocketErrorCode = 10060 // ETIMEDOUT; also: a deadline or timeout of this program
	CodeConnectionRefused          SocketErrorCode = 10061 // ECONNREFUSED
	CodeHostDown                   SocketErrorCode = 10064 // EHOSTDOWN
	CodeHostUnreachable            SocketErrorCode = 10065 // EHOSTUNREACH
	CodeProcessLimit               SocketErrorCode = 10067 // Windows only
	CodeSystemNotReady             SocketErrorCode = 10091 // Windows only
	CodeVersionNotSupported        SocketErrorCode = 10092 // Windows only
	CodeNotInitialized             SocketErrorCode = 10093 // Windows only
	CodeDisconnecting              SocketErrorCode = 10101 // ESHUTDOWN
	CodeTypeNotFound               SocketErrorCode = 10109 // Windows only
	CodeHostNotFound               SocketErrorCode = 11001 // ENXIO, and name look-ups; no errno on the way back
	CodeTryAgain                   SocketErrorCode = 11002 // temporary name look-up failures; shown as EAGAIN
	CodeNoRecovery                 SocketErrorCode = 11003 // Windows only
	CodeNoData                     SocketErrorCode = 11004 // ENODATA
)

// codeNames holds, for each code, .NET's name and a text for errors that have
// neither a cause nor an errno to speak for them.
var codeNames = map[SocketErrorCode]struct{ name, text string }{
	CodeSocketError:                {"SocketError", "socket error"},
	CodeSuccess:                    {"Success", "no error"},
	CodeOperationAborted:           {"OperationAborted", "operation aborted"},
	CodeIOPending:                  {"IOPending", "operation pending"},
	CodeInterrupted:                {"Interrupted", "call interrupted"},
	CodeAccessDenied:               {"AccessDenied", "access denied"},
	CodeFault:                      {"Fault", "bad address"},
	CodeInvalidArgument:            {"InvalidArgument", "invalid argument"},
	CodeTooManyOpenSockets:         {"TooManyOpenSockets", "too many open sockets"},
	CodeWouldBlock:                 {"WouldBlock", "operation would block"},
	CodeInProgress:                 {"InProgress", "operation in progress"},
	CodeAlreadyInProgress:          {"AlreadyInProgress", "operation already in progress"},
	CodeNotSocket:                  {"NotSocket", "not a socket"},
	CodeDestinationAddressRequired: {"DestinationAddressRequired", "destination address required"},
	CodeMessageSize:                {"MessageSize", "message too long"},
	CodeProtocolType:               {"ProtocolType", "wrong protocol type for socket"},
	CodeProtocolOption:             {"ProtocolOption", "unknown protocol option"},
	CodeProtocolNotSupported:       {"ProtocolNotSupported", "protocol not supported"},
	CodeSocketNotSupported:         {"SocketNotSupported", "socket type not supported"},
	CodeOperationNotSupported:      {"OperationNotSupported", "operation not supported"},
	CodeProtocolFamilyNotSupported: {"ProtocolFamilyNotSupported", "protocol family not supported"},
	CodeAddressFamilyNotSupported:  {"AddressFamilyNotSupported", "address family not supported"},
	CodeAddressAlreadyInUse:        {"AddressAlreadyInUse", "address already in use"},
	CodeAddressNotAvailable:        {"AddressNotAvailable", "address not available"},
	CodeNetworkDown:                {"NetworkDown", "network is down"},
	CodeNetworkUnreachable:         {"NetworkUnreachable", "network is unreachable"},
	CodeNetworkReset:               {"NetworkReset", "connection dropped by network"},
	CodeConnectionAborted:          {"ConnectionAborted", "connection aborted"},
	CodeConnectionReset:            {"ConnectionReset", "connection reset by peer"},
	CodeNoBufferSpaceAvailable:     {"NoBufferSpaceAvailable", "no buffer space available"},
	CodeIsConnected:                {"IsConnected", "already connected"},
	CodeNotConnected:               {"NotConnected", "not connected"},
	CodeShutdown:                   {"Shutdown", "sending was shut down"},
	CodeTimedOut:                   {"TimedOut", "operation timed out"},
	CodeConnectionRefused:          {"ConnectionRefused", "connection refused"},
	CodeHostDown:                   {"HostDown", "host is down"},
	CodeHostUnreachable:            {"HostUnreachable", "host is unreachable"},
	CodeProcessLimit:               {"ProcessLimit", "too many processes use sockets"},
	CodeSystemNotReady:             {"SystemNotReady", "network subsystem not ready"},
	CodeVersionNotSupported:        {"VersionNotSupported", "socket library version not supported"},
	CodeNotInitialized:             {"NotInitialized", "socket library not initialized"},
	CodeDisconnecting:              {"Disconnecting", "graceful shutdown in progress"},
	CodeTypeNotFound:               {"TypeNotFound", "class type not found"},
	CodeHostNotFound:               {"HostNotFound", "host not found"},
	CodeTryAgain:                   {"TryAgain", "name look-up failed for now"},
	CodeNoRecovery:                 {"NoRecovery", "name look-up failed for good"},
	CodeNoData:                     {"NoData", "host has no address of that kind"},
}

// String returns .NET's name of the code ("ConnectionReset"), or the number
// for a value that has no name, as .NET prints undefined enumeration values.
func (c SocketErrorCode) String() string {
	if n, ok := codeNames[c]; ok {
		return n.name
	}
	return strconv.Itoa(int(c))
}

// Error returns a short text for the code.
func (c SocketErrorCode) Error() string {
	if n, ok := codeNames[c]; ok {
		return n.text
	}
	return "socket error " + strconv.Itoa(int(c))
}

// errnoCode is one row of the table between errno and code.
type errnoCode struct {
	errno syscall.Errno
	code  SocketErrorCode
}

// posixErrnos is .NET's own table, by name and not by number, because numbers
// differ from one system to the next. Where several errnos share a code, the
// first row is the way back. It is searched in order: errors are rare, and with
// names that some systems lack (0, see the errno… constants) or give the same
// value (ENOTSUP), a map could not be written as one literal.
var posixErrnos = [...]errnoCode{
	{0, CodeSuccess},
	{syscall.ECONNRESET, CodeConnectionReset},
	{syscall.EPIPE, CodeShutdown},
	{syscall.ETIMEDOUT, CodeTimedOut},
	{syscall.EAGAIN, CodeWouldBlock},
	{syscall.ECANCELED, CodeOperationAborted},
	{syscall.EBADF, CodeOperationAborted},
	{syscall.EINTR, CodeInterrupted},
	{syscall.EACCES, CodeAccessDenied},
	{syscall.EPERM, CodeAccessDenied},
	{syscall.EFAULT, CodeFault},
	{syscall.EINVAL, CodeInvalidArgument},
	{syscall.ENFILE, CodeTooManyOpenSockets},
	{syscall.EMFILE, CodeTooManyOpenSockets},
	{syscall.EINPROGRESS, CodeInProgress},
	{syscall.EALREADY, CodeAlreadyInProgress},
	{syscall.ENOTSOCK, CodeNotSocket},
	{syscall.EDESTADDRREQ, CodeDestinationAddressRequired},
	{syscall.EMSGSIZE, CodeMessageSize},
	{syscall.EPROTOTYPE, CodeProtocolType},
	{syscall.ENOPROTOOPT, CodeProtocolOption},
	{syscall.EPROTONOSUPPORT, CodeProtocolNotSupported},
	{errnoSocketType, CodeSocketNotSupported},
	{syscall.EOPNOTSUPP, CodeOperationNotSupported},
	{syscall.ENOTSUP, CodeOperationNotSupported},
	{errnoProtocolFamily, CodeProtocolFamilyNotSupported},
	{syscall.EAFNOSUPPORT, CodeAddressFamilyNotSupported},
	{syscall.EADDRINUSE, CodeAddressAlreadyInUse},
	{syscall.EADDRNOTAVAIL, CodeAddressNotAvailable},
	{syscall.ENOENT, CodeAddressNotAvailable},
	{syscall.ENETDOWN, CodeNetworkDown},
	{syscall.ENETUNREACH, CodeNetworkUnreachable},
	{syscall.ENETRESET, CodeNetworkReset},
	{syscall.ECONNABORTED, CodeConnectionAborted},
	{syscall.ENOBUFS, CodeNoBufferSpaceAvailable},
	{syscall.EISCONN, CodeIsConnected},
	{syscall.ENOTCONN, CodeNotConnected},
	{syscall.ECONNREFUSED, CodeConnectionRefused},
	{errnoHostDown, CodeHostDown},
	{syscall.EHOSTUNREACH, CodeHostUnreachable},
	{errnoShutdown, CodeDisconnecting},
	{syscall.ENXIO, CodeHostNotFound},
	{errnoNoData, CodeNoData},
}

// findErrno looks an errno up in a table; ok is false when it has no row.
func findErrno(table []errnoCode, errno syscall.Errno) (code SocketErrorCode, ok bool) {
	for _, row := range table {
		if row.errno == errno {
			return row.code, true
		}
	}
	return CodeSocketError, false
}

// SocketError is a failure of the socket layer. It mirrors .NET's
// SocketException, with one difference: ErrorCode is the Winsock number on every
// system, as the .NET documentation has it, and Errno stands beside it.
//
// A SocketError may be shared between failures: read it, do not change it.
type SocketError struct {
	// Code is the portable code (.NET SocketErrorCode).
	Code SocketErrorCode
	// Errno is the operating system's number for the failure. When no system
	// call failed (a deadline, a cancellation, Close), it is the number this
	// system uses for Code, as in .NET, and 0 when it has none; errors.Is and
	// errors.As find no errno then, as with package net.
	Errno syscall.Errno

	cause error // what happened: the *os.SyscallError of a system call, or what says more than Code; may be nil
}

var _ net.Error = (*SocketError)(nil)

// ErrorCode returns the Winsock number of the error: 10054 for
// CodeConnectionReset, on every system (.NET ErrorCode as documented).
func (e *SocketError) ErrorCode() int { return int(e.Code) }

// Error returns the text of the cause, else the system's text for Errno, else
// a text for Code.
func (e *SocketError) Error() string {
	switch {
	case e.cause != nil:
		return e.cause.Error()
	case e.Errno != 0:
		return e.Errno.Error()
	}
	return e.Code.Error()
}

// Unwrap returns the cause of the error: the *os.SyscallError around the errno
// when a system call failed. It may be nil.
func (e *SocketError) Unwrap() error { return e.cause }

// Is reports whether target is this error's SocketErrorCode.
func (e *SocketError) Is(target error) bool {
	code, ok := target.(SocketErrorCode)
	return ok && code == e.Code
}

// fromSystem reports whether a system call has failed and nothing more is known.
func (e *SocketError) fromSystem() bool {
	call, ok := e.cause.(*os.SyscallError)
	if !ok {
		return false
	}
	_, ok = call.Err.(syscall.Errno)
	return ok
}

// isBroken reports whether the connection was ended because it broke the rules of a net.Conn.
func (e *SocketError) isBroken() bool {
	_, ok := e.cause.(*engine.BrokenError)
	return ok
}

// Timeout reports whether a deadline, a timeout or the kernel's patience ran
// out. A cause that can tell is asked first, but not the errno of a system call,
// which on Windows knows only its own numbers.
func (e *SocketError) Timeout() bool {
	if t, ok := asTimeout(e.cause); ok && !e.fromSystem() {
		return t
	}
	return e.Code == CodeTimedOut || e.Code == CodeWouldBlock
}

// Temporary reports whether the same call may succeed later: true for
// timeouts, interrupted calls and a shortage of descriptors, as package syscall
// has it. crypto/tls gives a connection up after a read error for which this is
// false, so a read deadline must answer true.
func (e *SocketError) Temporary() bool {
	if t, ok := asTemporary(e.cause); ok && !e.fromSystem() {
		return t
	}
	return e.Code == CodeInterrupted || e.Code == CodeTooManyOpenSockets || e.Timeout()
}

// asTimeout asks the first error of the chain that has an opinion.
func asTimeout(err error) (timeout, ok bool) {
	var t interface{ Timeout() bool }
	if errors.As(err, &t) {
		return t.Timeout(), true
	}
	return false, false
}

// asTemporary is asTimeout for Temporary.
func asTemporary(err error) (temporary, ok bool) {
	var t interface{ Temporary() bool }
	if errors.As(err, &t) {
		return t.Temporary(), true
	}
	return false, false
}
