//go:build linux

package main

import (
	"errors"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func init() {
	register(&contender{
		name: natsServer, rank: 13,
		about:   "nats-server " + server.VERSION + " embedded, one core subject, its own defaults (a subscriber that falls behind is disconnected); a client that knows what each message begins with and skips it",
		serves:  plain(inShapes(shapeHub)),
		dialect: &natsDialect,
		listen:  listenNats,
		serve: func(j *job) error {
			j.ready()
			select {}
		},
	})
}

// natsDialect is https://docs.nats.io/reference/reference-protocols/nats-protocol, as far as a hub needs it.
var natsDialect = dialect{
	subscribe:  connectNats + "SUB h 1\r\nPING\r\n",
	introduce:  connectNats + "PING\r\n",
	welcome:    "PONG\r\n", // all before it is done by then
	publishing: "PUB h 128\r\n",
	arriving:   "MSG h 1 128\r\n",
	after:      "\r\n",
}

const connectNats = `CONNECT {"verbose":false,"pedantic":false,"protocol":0}` + "\r\n"

// listenNats starts the server. Newer releases than the one in go.mod ask for a newer Go than this module does.
func listenNats(*job) (string, error) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT,
		NoLog: true, NoSigs: true, NoSystemAccount: true,
		DisableShortFirstPing: true, // the first PING comes after two minutes, not into the measurement
	})
	if err != nil {
		return "", err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return "", errors.New("nats-server does not accept connections")
	}
	return s.Addr().String(), nil
}
