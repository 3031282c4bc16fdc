package engine

import (
	"crypto/tls"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestTLSCloseWrite(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		for _, late := range []bool{false, true} {
			r := c.connect(t)
			r.fake.finLate = late
			r.fake.allow(0)
			if r.tls.StartCloseWrite(1000) != true {
				t.Fatal("it did not wait for room")
			}
			r.fake.allow(3)
			r.fake.await(t, "the second wait", func() bool { return r.fake.waits[Write] })
			r.fake.allow(-1)
			if err := <-r.finErr; err != nil {
				t.Fatal(err)
			}
			if n, err := r.peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Fatalf("the peer: %d, %v", n, err)
			}
			r.fake.await(t, "the FIN", func() bool { return r.fake.fin })
			r.peer.Write([]byte("the other way"))
			var p [13]byte
			if _, err := io.ReadFull(r.testOwner, p[:]); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestTLSCloseWriteAtOnce(t *testing.T) {
	r := tlsCases()[0].connect(t)
	if r.tls.StartCloseWrite(1000) {
		t.Fatal("it waits for something")
	}
	if err := r.tls.CloseWrite(); err != nil || !r.fake.fin {
		t.Fatal(err, r.fake.fin)
	}
	if n, err := r.peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatalf("the peer: %d, %v", n, err)
	}
}

func TestTLSCloseWriteCancelled(t *testing.T) {
	r := tlsCases()[0].connect(t)
	r.fake.allow(0)
	if !r.tls.StartCloseWrite(1000) {
		t.Fatal("it did not wait for room")
	}
	r.tls.Cancel(Write, 1000, true)
	<-r.writeCh
	r.tls.Close(Reset)
	<-r.closed
	if r.fake.how != Reset {
		t.Error("not a reset")
	}
}

func TestTLSCloseSendsCloseNotify(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		r := c.connect(t)
		r.tls.Close(Orderly)
		if n, err := r.peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatalf("the peer: %d, %v", n, err)
		}
		<-r.closed
		r.fake.await(t, "an orderly end below", func() bool { return r.fake.closed && r.fake.how == Orderly })
	})
}

func TestTLSCloseResetSendsNothing(t *testing.T) {
	r := tlsCases()[0].connect(t)
	before := r.fake.total()
	r.tls.Close(Reset)
	<-r.closed
	if r.fake.how != Reset || r.fake.total() != before {
		t.Error(r.fake.how, r.fake.total()-before)
	}
}

// TestTLSCloseGivesUp closes a connection that takes nothing: after 2 s it is reset, and Close has not waited.
func TestTLSCloseGivesUp(t *testing.T) {
	for _, lends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := tlsCase{lends: lends, version: tls.VersionTLS13}.connect(t)
			r.fake.allow(0)
			start := time.Now()
			r.tls.Close(Orderly)
			<-r.closed
			if took := time.Since(start); took != 0 {
				t.Errorf("Close took %v", took)
			}
			synctest.Wait()
			if closed, _ := r.fake.ended(); closed {
				t.Error("it has not waited for the peer")
			}
			time.Sleep(closePatience)
			synctest.Wait()
			if closed, how := r.fake.ended(); !closed || how != Reset {
				t.Errorf("closed %v, %v", closed, how)
			}
		})
	}
}

// TestTLSCloseFinishesLater closes a connection that takes the rest a second later.
func TestTLSCloseFinishesLater(t *testing.T) {
	for _, lends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := tlsCase{lends: lends, version: tls.VersionTLS13}.connect(t)
			r.fake.allow(5)
			r.tls.Close(Orderly)
			time.Sleep(time.Second)
			r.fake.allow(-1)
			synctest.Wait()
			if closed, how := r.fake.ended(); !closed || how != Orderly {
				t.Errorf("closed %v, %v", closed, how)
			}
			if n, err := r.peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("the peer: %d, %v", n, err)
			}
			time.Sleep(2 * closePatience)
		})
	}
}
