//go:build !unix

package netconn_test

import (
	"syscall"
	"testing"
)

// shrinkBacklog is for tests that other systems cannot run.
func shrinkBacklog(t *testing.T, _ syscall.RawConn) { t.Skip("needs a Unix system") }
