//go:build linux

package main

func init() {
	register(&contender{
		name: tlsConn, rank: 3,
		about:  "crypto/tls over net: a goroutine for each connection, which makes the handshake and reads; a blocking Write for each message",
		serves: func(w workload) bool { return w.reference() == tlsConn },
		serve:  func(j *job) error { return serveNet(j, min(j.Size, readBuffer)) },
	})
}
