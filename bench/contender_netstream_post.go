//go:build linux

package main

import (
	"context"
	"io"
	"slices"

	"github.com/seed-9ac8cf60/netstream"
)

func init() {
	register(&contender{
		name: ownPost, rank: 44,
		about: "netstream, the default Config: Post, which tells its caller nothing more; where a stream has no room, WaitRoom waits until half is free (hub: the message is lost to that subscriber)",
		serves: func(w workload) bool {
			return w.Shape == shapeHub || w.Shape == shapePipeline && w.Size <= 1024 || w.Shape == shapeFanout && !w.Lockstep
		},
		serve: servePosts(postEach),
	})
	register(&contender{
		name: ownBroadcast, rank: 45,
		about:  "the same, Broadcast to a slice of the subscribers",
		serves: inShapes(shapeHub),
		serve:  servePosts(broadcast),
	})
	register(&contender{
		name: ownGroup, rank: 46,
		about:  "the same, Group.Broadcast; the publisher is in the group, and one more who never reads",
		serves: inShapes(shapeHub),
		serve:  servePosts(groupBroadcast),
	})
}

// hubWay is how a message gets to all subscribers of a hub.
type hubWay func(message []byte, streams []*netstream.NetworkStream, g *netstream.Group, refused func(*netstream.NetworkStream, error))

func postEach(message []byte, streams []*netstream.NetworkStream, _ *netstream.Group, refused func(*netstream.NetworkStream, error)) {
	for _, s := range streams {
		if err := s.Post(message); err != nil {
			refused(s, err)
		}
	}
}

func broadcast(message []byte, streams []*netstream.NetworkStream, _ *netstream.Group, refused func(*netstream.NetworkStream, error)) {
	netstream.Broadcast(message, slices.Values(streams), refused)
}

func groupBroadcast(message []byte, _ []*netstream.NetworkStream, g *netstream.Group, refused func(*netstream.NetworkStream, error)) {
	g.Broadcast(message, refused)
}

func servePosts(way hubWay) func(*job) error {
	return func(j *job) error {
		subscribers := new(netstream.Group)
		config := netstream.Config{Group: subscribers, MaxPendingBytes: int64(j.Window * j.Size), TLS: j.tls}
		ln, err := netstream.NewListener(j.ln, &config)
		if err != nil {
			return err
		}
		var streams []*netstream.NetworkStream
		err = acceptStreams(ln, j.Conns, func(s *netstream.NetworkStream) error {
			streams = append(streams, s)
			if size := j.sendBuffer(); size > 0 {
				return s.Socket().SetWriteBuffer(size)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if j.Shape != shapeHub {
			j.ready()
			return postAll(j, streams)
		}
		return j.publish(func() (io.Reader, error) { return ln.AcceptStream() }, func(messages [][]byte) {
			for _, m := range messages {
				way(m, streams, subscribers, func(_ *netstream.NetworkStream, err error) {
					if err != netstream.ErrQueueFull {
						j.fail(err)
					}
				})
			}
		})
	}
}

// postAll posts the message to all streams again and again.
func postAll(j *job, streams []*netstream.NetworkStream) error {
	posters := make([]sender, len(streams))
	for i, s := range streams {
		posters[i] = poster{s, int64(j.Window*j.Size) / 2}
	}
	return j.push(posters)
}

// poster is a stream whose messages are sent and forgotten.
type poster struct {
	stream *netstream.NetworkStream
	half   int64 // of its limit, in bytes
}

func (p poster) Send(message []byte) error {
	for {
		err := p.stream.Post(message)
		if err != netstream.ErrQueueFull {
			return err
		}
		if err := p.stream.WaitRoom(context.Background(), p.half); err != nil {
			return err
		}
	}
}
