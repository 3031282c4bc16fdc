//go:build !linux

package netstream_test

const haveEpoll = false
