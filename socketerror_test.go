package netstream

import (
	"bufio"
	"context"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// socketErrorRows is .NET's table of all SocketError values, written out: name,
// Winsock number, the errnos that .NET on Linux turns into it, and the errno it
// shows for it (0: none; .NET then shows the Winsock number or, for HostNotFound
// and SocketError, a number of its own).
var socketErrorRows = []struct {
	code   SocketErrorCode
	name   string
	number int
	from   []int
	shown  int
}{
	{CodeSuccess, "Success", 0, []int{0}, 0},
	{CodeOperationAborted, "OperationAborted", 995, []int{9, 125}, 125},
	{CodeIOPending, "IOPending", 997, nil, 115},
	{CodeInterrupted, "Interrupted", 10004, []int{4}, 4},
	{CodeAccessDenied, "AccessDenied", 10013, []int{1, 13}, 13},
	{CodeFault, "Fault", 10014, []int{14}, 14},
	{CodeInvalidArgument, "InvalidArgument", 10022, []int{22}, 22},
	{CodeTooManyOpenSockets, "TooManyOpenSockets", 10024, []int{23, 24}, 23},
	{CodeWouldBlock, "WouldBlock", 10035, []int{11}, 11},
	{CodeInProgress, "InProgress", 10036, []int{115}, 115},
	{CodeAlreadyInProgress, "AlreadyInProgress", 10037, []int{114}, 114},
	{CodeNotSocket, "NotSocket", 10038, []int{88}, 88},
	{CodeDestinationAddressRequired, "DestinationAddressRequired", 10039, []int{89}, 89},
	{CodeMessageSize, "MessageSize", 10040, []int{90}, 90},
	{CodeProtocolType, "ProtocolType", 10041, []int{91}, 91},
	{CodeProtocolOption, "ProtocolOption", 10042, []int{92}, 92},
	{CodeProtocolNotSupported, "ProtocolNotSupported", 10043, []int{93}, 93},
	{CodeSocketNotSupported, "SocketNotSupported", 10044, []int{94}, 94},
	{CodeOperationNotSupported, "OperationNotSupported", 10045, []int{95}, 95},
	{CodeProtocolFamilyNotSupported, "ProtocolFamilyNotSupported", 10046, []int{96}, 96},
	{CodeAddressFamilyNotSupported, "AddressFamilyNotSupported", 10047, []int{97}, 97},
	{CodeAddressAlreadyInUse, "AddressAlreadyInUse", 10048, []int{98}, 98},
	{CodeAddressNotAvailable, "AddressNotAvailable", 10049, []int{2, 99}, 99},
	{CodeNetworkDown, "NetworkDown", 10050, []int{100}, 100},
	{CodeNetworkUnreachable, "NetworkUnreachable", 10051, []int{101}, 101},
	{CodeNetworkReset, "NetworkReset", 10052, []int{102}, 102},
	{CodeConnectionAborted, "ConnectionAborted", 10053, []int{103}, 103},
	{CodeConnectionReset, "ConnectionReset", 10054, []int{104}, 104},
	{CodeNoBufferSpaceAvailable, "NoBufferSpaceAvailable", 10055, []int{105}, 105},
	{CodeIsConnected, "IsConnected", 10056, []int{106}, 106},
	{CodeNotConnected, "NotConnected", 10057, []int{107}, 107},
	{CodeShutdown, "Shutdown", 10058, []int{32}, 32},
	{CodeTimedOut, "TimedOut", 10060, []int{110}, 110},
	{CodeConnectionRefused, "ConnectionRefused", 10061, []int{111}, 111},
	{CodeHostDown, "HostDown", 10064, []int{112}, 112},
	{CodeHostUnreachable, "HostUnreachable", 10065, []int{113}, 113},
	{CodeProcessLimit, "ProcessLimit", 10067, nil, 0},
	{CodeSystemNotReady, "SystemNotReady", 10091, nil, 0},
	{CodeVersionNotSupported, "VersionNotSupported", 10092, nil, 0},
	{CodeNotInitialized, "NotInitialized", 10093, nil, 0},
	{CodeDisconnecting, "Disconnecting", 10101, []int{108}, 108},
	{CodeTypeNotFound, "TypeNotFound", 10109, nil, 0},
	{CodeHostNotFound, "HostNotFound", 11001, []int{6}, 0},
	{CodeTryAgain, "TryAgain", 11002, nil, 11},
	{CodeNoRecovery, "NoRecovery", 11003, nil, 0},
	{CodeNoData, "NoData", 11004, []int{61}, 61},
	{CodeSocketError, "SocketError", -1, nil, 0},
}

// requireLinuxErrnos skips where errnos have other numbers than in the golden
// data; the tables go by name, so one architecture is enough to hold them.
func requireLinuxErrnos(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" || strings.HasPrefix(runtime.GOARCH, "mips") {
		t.Skipf("errnos have other numbers on %s/%s", runtime.GOOS, runtime.GOARCH)
	}
}

func TestSocketErrorCodeNamesAndNumbers(t *testing.T) {
	if len(socketErrorRows) != 47 || len(codeNames) != 47 {
		t.Fatalf("%d rows here and %d names there, want 47 each", len(socketErrorRows), len(codeNames))
	}
	texts := map[string]SocketErrorCode{}
	for _, row := range socketErrorRows {
		if int(row.code) != row.number || row.code.String() != row.name {
			t.Errorf("Code%s = %d %q, want %d", row.name, int(row.code), row.code.String(), row.number)
		}
		text := row.code.Error()
		if other, dup := texts[text]; dup || text == "" {
			t.Errorf("Code%s has the text %q of Code%s", row.name, text, other)
		}
		texts[text] = row.code
		if got := codeError(row.code, nil).ErrorCode(); got != row.number {
			t.Errorf("Code%s: ErrorCode() = %d, want %d", row.name, got, row.number)
		}
	}
	// Row 193: a number without a name is kept as it is.
	if c := SocketErrorCode(12345); c.String() != "12345" || c.Error() != "socket error 12345" {
		t.Errorf("undefined code: %q, %q", c.String(), c.Error())
	}
}

func TestSocketErrorErrnoTable(t *testing.T) {
	requireLinuxErrnos(t)
	for _, row := range socketErrorRows {
		for _, n := range row.from {
			if got := errnoToCode(syscall.Errno(n)); got != row.code {
				t.Errorf("errno %d -> %v, want %s", n, got, row.name)
			}
		}
		if got := codeToErrno(row.code); int(got) != row.shown {
			t.Errorf("Code%s -> errno %d, want %d", row.name, got, row.shown)
		}
	}
}

// Every errno that .NET 9 was asked about, against its answer.
func TestSocketErrorGoldenNet9(t *testing.T) {
	requireLinuxErrnos(t)
	f, err := os.Open("testdata/errno_net9.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := map[int]SocketErrorCode{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Split(lines.Text(), "\t")
		errno, err1 := strconv.Atoi(fields[0])
		number, err2 := strconv.Atoi(fields[3])
		if err1 != nil || err2 != nil {
			t.Fatalf("bad line %q", lines.Text())
		}
		want[errno] = SocketErrorCode(number)
		if got := SocketErrorCode(number).String(); got != fields[2] {
			t.Errorf("%d is called %s, want %s", number, got, fields[2])
		}
	}
	if len(want) != 42 {
		t.Fatalf("%d golden lines, want 42", len(want))
	}
	for errno := 0; errno <= 133; errno++ {
		code, ok := want[errno]
		if !ok {
			code = CodeSocketError // row 188
		}
		if got := errnoToCode(syscall.Errno(errno)); got != code {
			t.Errorf("errno %d -> %v, want %v", errno, got, code)
		}
	}
}

// Rows 188 to 192, by errno name, so that they hold on every unix.
func TestSocketErrorNamedErrnos(t *testing.T) {
	for errno, want := range map[syscall.Errno]SocketErrorCode{
		syscall.EIO:        CodeSocketError,
		syscall.ENOMEM:     CodeSocketError,
		syscall.EAGAIN:     CodeWouldBlock,
		syscall.EPIPE:      CodeShutdown,
		syscall.EPERM:      CodeAccessDenied,
		syscall.EACCES:     CodeAccessDenied,
		syscall.ENOENT:     CodeAddressNotAvailable,
		syscall.ENFILE:     CodeTooManyOpenSockets,
		syscall.EMFILE:     CodeTooManyOpenSockets,
		syscall.EBADF:      CodeOperationAborted,
		syscall.ECANCELED:  CodeOperationAborted,
		syscall.ECONNRESET: CodeConnectionReset,
		syscall.ENOTSUP:    CodeOperationNotSupported,
	} {
		// Unlike .NET, the original errno is kept (row 192).
		if e := errnoError(callRead, errno); e.Code != want || e.Errno != errno {
			t.Errorf("%v: %v (errno %d), want %v", errno, e.Code.String(), e.Errno, want)
		}
	}
	if errnoShutdown != 0 && errnoToCode(errnoShutdown) != CodeDisconnecting {
		t.Error("ESHUTDOWN is not Disconnecting")
	}
}

// On Windows a Winsock number is the code, and the kernel's own numbers have a
// table.
func TestSocketErrorWindows(t *testing.T) {
	if runtime.GOOS != "windows" {
		t.Skip("Winsock numbers are errnos on Windows only")
	}
	for _, row := range socketErrorRows {
		if row.number <= 0 {
			continue
		}
		if errno := syscall.Errno(row.number); errnoToCode(errno) != row.code || codeToErrno(row.code) != errno {
			t.Errorf("%s: %v and back %d", row.name, errnoToCode(errno), codeToErrno(row.code))
		}
	}
	for errno, want := range map[syscall.Errno]SocketErrorCode{
		5: CodeAccessDenied, 64: CodeConnectionReset, 109: CodeShutdown, 121: CodeTimedOut,
		1225: CodeConnectionRefused, 1231: CodeNetworkUnreachable, 1236: CodeConnectionAborted,
	} {
		if got := errnoToCode(errno); got != want {
			t.Errorf("%d: %s, want %s", errno, got.String(), want.String())
		}
	}
}

func TestSocketErrorTextAndChain(t *testing.T) {
	reset := errnoError(callRead, syscall.ECONNRESET)
	if reset.Error() != callRead+": "+syscall.ECONNRESET.Error() {
		t.Errorf("text %q", reset.Error())
	}
	if !errors.Is(reset, syscall.ECONNRESET) || !errors.Is(reset, CodeConnectionReset) {
		t.Error("a reset is neither ECONNRESET nor CodeConnectionReset")
	}
	if errors.Is(reset, syscall.EPIPE) || errors.Is(reset, CodeShutdown) || errors.Is(reset, os.ErrClosed) {
		t.Error("a reset is also something else")
	}
	if errno := syscall.Errno(0); !errors.As(reset, &errno) || errno != syscall.ECONNRESET {
		t.Errorf("errors.As finds errno %d", errno)
	}
	if call := (*os.SyscallError)(nil); !errors.As(reset, &call) || call.Syscall != callRead || call.Err != syscall.ECONNRESET {
		t.Errorf("errors.As finds %v", call)
	}
	if denied := errnoError(callRead, syscall.EACCES); !errors.Is(denied, os.ErrPermission) {
		t.Error("EACCES is not os.ErrPermission")
	}

	why := errors.New("why")
	caused := codeError(CodeNetworkDown, why)
	if caused.Error() != "why" || !errors.Is(caused, why) || caused.Errno != codeToErrno(CodeNetworkDown) {
		t.Errorf("with a cause: %q, errno %d", caused.Error(), caused.Errno)
	}
	plain := codeError(CodeNoRecovery, nil)
	if runtime.GOOS != "windows" && (plain.Errno != 0 || plain.Unwrap() != nil || plain.Error() != CodeNoRecovery.Error()) {
		t.Errorf("without errno and cause: %q, errno %d", plain.Error(), plain.Errno)
	}
	if errors.Is(plain, syscall.Errno(0)) {
		t.Error("no errno is errno 0")
	}
}

func TestSocketErrorTimeoutTemporary(t *testing.T) {
	for _, c := range []struct {
		err                *SocketError
		timeout, temporary bool
	}{
		{deadlineError(), true, true},
		{canceledError(context.DeadlineExceeded), true, true},
		{canceledError(nil), false, false},
		{errnoError(callRead, syscall.ETIMEDOUT), true, true},
		{errnoError(callRead, syscall.EAGAIN), true, true},
		{errnoError(callRead, syscall.EINTR), false, true},
		{errnoError(callRead, syscall.EMFILE), false, true},
		{errnoError(callRead, syscall.ENFILE), false, true},
		{errnoError(callRead, syscall.ECONNRESET), false, false},
		{codeError(CodeTooManyOpenSockets, errors.New("x")), false, true},
		{codeError(CodeWouldBlock, nil), true, true},
		{codeError(CodeTimedOut, errors.New("x")), true, true},
	} {
		if c.err.Timeout() != c.timeout || c.err.Temporary() != c.temporary {
			t.Errorf("%v: Timeout %v, Temporary %v, want %v, %v", c.err, c.err.Timeout(), c.err.Temporary(), c.timeout, c.temporary)
		}
	}
}
