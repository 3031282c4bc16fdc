package interop

import (
	"context"
	"encoding/hex"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"crypto/sha256"

	"github.com/seed-9ac8cf60/netstream"
)

const question = "Is anybody there?"

// The page's example, in C#, asks a server of ours.
func TestExampleInCSharp(t *testing.T) {
	needMono(t)
	for _, engine := range engines(t) {
		t.Run(engine.String(), func(t *testing.T) {
			ln, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{Engine: engine})
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			served := make(chan error, 1)
			go func() { served <- answer(ln) }()
			timer := time.AfterFunc(limit, func() { ln.Close() })
			defer timer.Stop()
			p := start(t, "Example", strconv.Itoa(ln.Addr().(*net.TCPAddr).Port))
			if got := p.line(); got != "Yes, netstream, and I heard: "+question {
				t.Errorf("the example prints %q", got)
			}
			if err := within(t, served); err != nil {
				t.Error(err)
			}
		})
	}
}

// answer serves one connection: it reads to the end and answers.
func answer(ln *netstream.Listener) error {
	s, err := ln.AcceptStream()
	if err != nil {
		return err
	}
	defer s.Close()
	var heard strings.Builder
	if err := <-CopyTo(s, &heard); err != nil {
		return err
	}
	return <-WriteTask(s, []byte("Yes, netstream, and I heard: "+heard.String()))
}

// Its translation to Go asks a server of .NET's.
func TestExampleInGo(t *testing.T) {
	needMono(t)
	exe := filepath.Join(t.TempDir(), "example")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", exe, "./example").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p := start(t, "Peer", "server")
	run := exec.CommandContext(ctx, exe, p.hear("listening")[0])
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	p.hear("connected")
	heard := p.ask("r received", "r receive 0 100 0")
	hash := sha256.Sum256([]byte(question))
	if heard[0] != strconv.Itoa(len(question)) || heard[1] != hex.EncodeToString(hash[:]) || heard[2] != "end" {
		t.Errorf(".NET heard %v", heard)
	}
	sent := p.ask("w sent", "w send 5 1 100 1")
	p.ask("h ok", "h half-close")
	text, err := io.ReadAll(out)
	if err != nil {
		t.Error(err)
	}
	if err := run.Wait(); err != nil {
		t.Errorf("the example: %v, %s", err, text)
	}
	said := sha256.Sum256(text[:max(len(text)-1, 0)]) // without the line's end
	if sent[1] != hex.EncodeToString(said[:]) {
		t.Errorf("the example heard %d bytes, which are not those of .NET", len(text)-1)
	}
}
