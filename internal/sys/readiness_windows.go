package sys

import (
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// Windows tells when an operation is over, not when a socket is ready. What
// tells that is the driver behind select and WSAPoll, \Device\Afd, asked the way
// libuv (src/win/poll.c), mio (src/sys/windows/afd.rs) and wepoll ask it: one
// request for one socket, whose answer arrives at a completion port.

const (
	ioctlAFDPoll = 0x12024

	afdSend       = 0x4
	afdDisconnect = 0x8
	afdAbort      = 0x10
	afdClose      = 0x20
)

var (
	ntdll                     = windows.NewLazySystemDLL("ntdll.dll")
	procNtDeviceIoControlFile = ntdll.NewProc("NtDeviceIoControlFile")
	procNtCancelIoFileEx      = ntdll.NewProc("NtCancelIoFileEx")
)

// afdPollInfo is AFD_POLL_INFO with room for one socket.
type afdPollInfo struct {
	timeout   int64 // in units of 100 ns; negative: from now on
	handles   uint32
	exclusive uint32
	handle    windows.Handle
	events    uint32
	status    uint32
}

const forever = 1<<63 - 1

// A RoomRequest asks once for room in a socket's send buffer. From Ask to the
// moment [Readiness.Next] returns it, it belongs to the system: the caller keeps
// a reference to it for so long.
type RoomRequest struct {
	status windows.IO_STATUS_BLOCK // the first field: Next finds the request by its address
	info   afdPollInfo

	refused bool
}

// A Readiness is a completion port for [RoomRequest]s.
type Readiness struct {
	afd, port windows.Handle
}

// OpenReadiness opens one. It is not meant to be closed.
func OpenReadiness() (*Readiness, error) {
	afd, err := openAFD()
	if err != nil {
		return nil, err
	}
	port, err := windows.CreateIoCompletionPort(afd, 0, 0, 0)
	if err != nil {
		_ = windows.CloseHandle(afd)
		return nil, err
	}
	return &Readiness{afd, port}, nil
}

func openAFD() (afd windows.Handle, err error) {
	name, err := windows.NewNTUnicodeString(`\Device\Afd\netstream`) // what follows Afd may be anything
	if err != nil {
		return 0, err
	}
	attributes := windows.OBJECT_ATTRIBUTES{ObjectName: name}
	attributes.Length = uint32(unsafe.Sizeof(attributes))
	var status windows.IO_STATUS_BLOCK
	err = windows.NtCreateFile(&afd, windows.SYNCHRONIZE, &attributes, &status, nil, 0,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, windows.FILE_OPEN, 0, 0, 0)
	return afd, err
}

// Ask begins q: Next returns it once the socket has room, cannot get any more,
// was closed, or q was taken back. When the system does not know the socket, Next
// returns q at once and [RoomRequest.Refused] is true.
func (r *Readiness) Ask(q *RoomRequest, fd int) {
	q.info = afdPollInfo{timeout: forever, handles: 1, handle: windows.Handle(fd), events: afdSend | afdAbort | afdClose}
	status := r.poll(uintptr(unsafe.Pointer(q)), &q.status, &q.info)
	if status != windows.STATUS_PENDING && status != 0 {
		q.refused = true
		_ = windows.PostQueuedCompletionStatus(r.port, 0, 0, (*windows.Overlapped)(unsafe.Pointer(q)))
	}
}

// Refused tells, once Next has returned q, whether the system did not know the
// socket.
func (q *RoomRequest) Refused() bool { return q.refused }

func (r *Readiness) poll(context uintptr, status *windows.IO_STATUS_BLOCK, info *afdPollInfo) windows.NTStatus {
	size := unsafe.Sizeof(*info)
	code, _, _ := syscall.SyscallN(procNtDeviceIoControlFile.Addr(), uintptr(r.afd), 0, 0, context, uintptr(unsafe.Pointer(status)),
		ioctlAFDPoll, uintptr(unsafe.Pointer(info)), size, uintptr(unsafe.Pointer(info)), size)
	return windows.NTStatus(code)
}

// TakeBack has Next return q soon. It does nothing when Next is about to return
// it anyway, or has.
func (r *Readiness) TakeBack(q *RoomRequest) {
	var status windows.IO_STATUS_BLOCK
	_, _, _ = syscall.SyscallN(procNtCancelIoFileEx.Addr(), uintptr(r.afd), uintptr(unsafe.Pointer(&q.status)), uintptr(unsafe.Pointer(&status)))
}

// Next waits until a request is over and returns it.
func (r *Readiness) Next() *RoomRequest {
	for {
		var n uint32
		var key uintptr
		var done *windows.Overlapped
		_ = windows.GetQueuedCompletionStatus(r.port, &n, &key, &done, windows.INFINITE) // its error is that of the request
		if done != nil {
			return (*RoomRequest)(unsafe.Pointer(done))
		}
	}
}

// late holds what the system may still write to.
var late sync.Map

// Ended reports how the peer has ended its stream: with a reset, whoever has been
// told of it, and in order.
func (r *Readiness) Ended(fd int) (reset, orderly bool) {
	q := new(RoomRequest)
	// Without a timeout the answer comes at once, and without a context nothing arrives at the port.
	q.info = afdPollInfo{handles: 1, handle: windows.Handle(fd), events: afdAbort | afdDisconnect}
	status := r.poll(0, &q.status, &q.info)
	if status == windows.STATUS_PENDING { // no known version does that
		late.Store(q, nil)
	}
	if status != 0 || q.info.handles != 1 {
		return false, false
	}
	return q.info.events&afdAbort != 0, q.info.events&afdDisconnect != 0
}
