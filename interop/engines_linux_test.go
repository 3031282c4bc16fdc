package interop

const haveEpoll = true
