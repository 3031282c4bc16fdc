//go:build linux || darwin

package sys

import "golang.org/x/sys/unix"

const notSentLowWater = unix.TCP_NOTSENT_LOWAT
