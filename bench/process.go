//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// process is a child, seen from the parent.
type process struct {
	what   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr bytes.Buffer
	ctx    context.Context
}

// start starts this program again. When ctx is done, the child is killed by its id.
func (r *runner) start(ctx context.Context, command string, o order, cpus []int, procs int) (*process, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	p := &process{what: command[1:], ctx: ctx}
	p.cmd = exec.CommandContext(ctx, r.executable, command, string(text))
	p.cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", procs))
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = time.Second
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(out)
	return p, startOn(p.cmd, cpus)
}

// expect reads the child's next event, which has to be the named one.
func (p *process) expect(name string) (event, error) {
	var e event
	switch err := p.out.Decode(&e); {
	case p.ctx.Err() != nil:
		return e, fmt.Errorf("%s: no %s in time: %w", p.what, name, p.ctx.Err())
	case err != nil:
		return e, fmt.Errorf("%s: %w: %s", p.what, err, strings.TrimSpace(p.stderr.String()))
	case e.Event == "failed":
		return e, fmt.Errorf("%s: %s", p.what, e.Error)
	case e.Event != name:
		return e, fmt.Errorf("%s: %s where %s was expected", p.what, e.Event, name)
	}
	return e, nil
}

// expectBoth reads the next event of both. The first that fails says why; the other one may wait for it in vain.
func expectBoth(server, generator *process, name string) error {
	done := make(chan error, 2)
	for _, p := range []*process{server, generator} {
		go func() {
			_, err := p.expect(name)
			done <- err
		}()
	}
	if err := <-done; err != nil {
		return err
	}
	return <-done
}

func (p *process) ask(command string) (*snapshot, error) {
	if _, err := fmt.Fprintln(p.in, command); err != nil {
		if e, broken := p.expect("snapshot"); broken != nil { // it says why, if it can
			return e.Snapshot, broken
		}
		return nil, fmt.Errorf("%s: %w", p.what, err)
	}
	e, err := p.expect("snapshot")
	return e.Snapshot, err
}

// end tells the child to end and sees to it that it has.
func (p *process) end() {
	fmt.Fprintln(p.in, "stop")
	p.in.Close()
	timer := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	_ = p.cmd.Wait() // what went wrong was said before
}
