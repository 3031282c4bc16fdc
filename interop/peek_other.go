//go:build !unix

package interop

import "errors"

func peek(uintptr) (int, error) { return 0, errors.ErrUnsupported }
