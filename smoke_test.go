package netstream_test

import (
	"io"
	"testing"
	"sync/atomic"
	"fmt"

	"github.com/seed-9ac8cf60/netstream"
)

func TestSmoke(t *testing.T) {
	for _, e := range []netstream.Engine{netstream.EngineAuto, netstream.EngineEpoll, netstream.EnginePortable} {
		t.Run(e.String(), func(t *testing.T) {
			a, b := pairOver(t, "tcp", &netstream.Config{Engine: e})
			go io.Copy(io.Discard, b)
			var done atomic.Int64
			ch := make(chan struct{}, 1024)
			buf := make([]byte, 64)
			cb := func(ar netstream.AsyncResult) {
				if err := a.EndWrite(ar); err != nil {
					t.Error(err)
				}
				done.Add(1)
				<-ch
			}
			for range 100000 {
				ch <- struct{}{}
				if _, err := a.BeginWrite(buf, 0, 64, cb, nil); err != nil {
					t.Fatal(err)
				}
			}
			for range cap(ch) { ch <- struct{}{} }
			fmt.Println(a.Socket().Engine())
			if done.Load() != 100000 { t.Fatal(done.Load()) }
			a.Close()
			<-a.Done()
			b.Close()
		})
	}
}
