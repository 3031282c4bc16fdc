package interop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/seed-9ac8cf60/netstream"
)

// Words for outcomes, the same as those of dotnet/Runner.cs: the exceptions by their .NET names, from the
// outside in.

func bytesText(n int) string { return fmt.Sprintf("%d bytes", n) }

// readText tells what a read gave. .NET says 0 at the end of the stream, Go says 0 and io.EOF: that is the one
// translation made here. A zero-byte read has no other way to tell the end from data, so it is shown there.
func readText(asked, n int, err error) string {
	switch {
	case err == io.EOF && n != 0:
		return fmt.Sprintf("%d bytes together with io.EOF", n)
	case err == io.EOF && asked == 0:
		return "0 bytes, io.EOF"
	case err == nil && n == 0 && asked > 0:
		return "0 bytes without io.EOF"
	case err == io.EOF || err == nil:
		return bytesText(n)
	}
	return errorText(err)
}

// errorText names the layers of an error. The *net.OpError outside belongs to every I/O failure and is not named;
// where it is missing, or stands where it does not belong, that is.
func errorText(err error) string {
	if err == nil {
		return "ok"
	}
	if errors.Is(err, context.Canceled) {
		return "canceled"
	}
	var parts []string
	op, wrapped := err.(*net.OpError)
	if wrapped {
		err = op.Err
	}
	switch _, isIO := err.(*netstream.IOError); {
	case wrapped && !isIO:
		parts = append(parts, "OpError")
	case isIO && !wrapped:
		parts = append(parts, "bare")
	}
	for err != nil {
		name, inner := layer(err)
		parts = append(parts, name)
		err = inner
	}
	return strings.Join(parts, " > ")
}

func layer(err error) (name string, inner error) {
	switch e := err.(type) {
	case *netstream.IOError:
		return "IOException", e.Err
	case *netstream.SocketError:
		return fmt.Sprintf("SocketException(%s %d)", e.Code.String(), e.ErrorCode()), nil
	case *netstream.ObjectDisposedError:
		return "ObjectDisposedException(" + e.ObjectName + ")", nil
	case *netstream.ArgumentNullError:
		return "ArgumentNullException(" + e.ParamName + ")", nil
	case *netstream.ArgumentOutOfRangeError:
		return "ArgumentOutOfRangeException(" + e.ParamName + ")", nil
	case *netstream.ArgumentError:
		return "ArgumentException(" + e.ParamName + ")", nil
	case *netstream.InvalidOperationError:
		return "InvalidOperationException", nil
	}
	return fmt.Sprintf("%T: %v", err, err), nil
}

// isA reports whether an error is, or derives from, what has that name in .NET.
func isA(err error, name string) bool {
	switch name {
	case "ArgumentException":
		return as[*netstream.ArgumentError](err)
	case "InvalidOperationException":
		return as[*netstream.InvalidOperationError](err)
	case "ObjectDisposedException":
		return as[*netstream.ObjectDisposedError](err)
	case "IOException":
		_, wrapped := err.(*net.OpError)
		return wrapped && as[*netstream.IOError](err)
	case "net.ErrClosed":
		return errors.Is(err, net.ErrClosed)
	}
	return false
}

func as[E error](err error) bool {
	var target E
	return errors.As(err, &target)
}
