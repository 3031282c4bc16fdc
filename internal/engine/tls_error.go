package engine

import (
	"crypto/tls"
	"errors"
	"net"
	"reflect"
)

// TLSError ends a connection: crypto/tls has failed, or the peer has refused. It is the answer to every call from then on.
type TLSError struct {
	Authentication bool  // the handshake failed; or, in TLS 1.3, the peer has refused it after our side was done
	Stopped        error // what the handshake's context says, if its end has stopped the handshake; Err is its cause
	Err            error // what crypto/tls says, the end of the connection, or what has stopped the handshake
}

// Error is that of Err.
func (e *TLSError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *TLSError) Unwrap() error { return e.Err }

// plainTLSError returns err in exported terms: an alert, whose type crypto/tls keeps to itself, as tls.AlertError, and a
// tls.RecordHeaderError without the connection in memory.
func plainTLSError(err error) error {
	var header tls.RecordHeaderError
	if errors.As(err, &header) {
		header.Conn = nil
		return header
	}
	var op *net.OpError
	if !errors.As(err, &op) || op.Err == nil {
		return err
	}
	v := reflect.ValueOf(op.Err)
	if v.Kind() != reflect.Uint8 {
		return err
	}
	return &net.OpError{Op: op.Op, Err: tls.AlertError(v.Uint())}
}

// refusedLocked reports whether err, of a read after the handshake, is the peer's word about the handshake: a client of
// TLS 1.3 is done before the server has seen its certificate.
func (t *TLS) refusedLocked(err error) bool {
	var op *net.OpError
	return !t.options.Server && !t.got && t.conn.ConnectionState().Version == tls.VersionTLS13 &&
		errors.As(err, &op) && op.Op == "remote error"
}
