//go:build !linux

package interop

const haveEpoll = false
