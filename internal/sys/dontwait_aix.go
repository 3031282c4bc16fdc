package sys

import "golang.org/x/sys/unix"

// dontWait makes one receive or send non-blocking, whatever mode the descriptor is in.
const dontWait = unix.MSG_NONBLOCK
