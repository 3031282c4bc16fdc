package netstream_test

const haveEpoll = true
