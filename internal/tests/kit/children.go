package kit

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// childEnv tells a child process what it is to do.
const childEnv = "NETSTREAM_TEST_CHILD"

// Child is this test binary running one test in another process. It reads lines from its standard input, whose end
// means that it is to stop, and answers in lines that begin with "@".
type Child struct {
	Cmd   *exec.Cmd // the process
	in    io.WriteCloser
	lines chan string     // without the "@"; closed at the end
	Rest  strings.Builder // what it printed besides, at most 32 KiB
}

// NewChild prepares the test named test to run with task, as JSON, in its environment; Start starts it.
func NewChild(t *testing.T, test string, task any) *Child {
	t.Helper()
	text, err := json.Marshal(task)
	Must(t, err)
	ch := &Child{lines: make(chan string, 16)}
	ch.Cmd = exec.Command(os.Args[0], "-test.run=^"+test+"$", "-test.v", "-test.timeout=0")
	ch.Cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	return ch
}

// Start starts the process.
func (ch *Child) Start(t *testing.T) {
	t.Helper()
	in, err := ch.Cmd.StdinPipe()
	Must(t, err)
	ch.in = in
	out, err := ch.Cmd.StdoutPipe()
	Must(t, err)
	ch.Cmd.Stderr = ch.Cmd.Stdout
	Must(t, ch.Cmd.Start())
	go func() {
		defer close(ch.lines)
		for sc := bufio.NewScanner(out); sc.Scan(); {
			if line, ok := strings.CutPrefix(sc.Text(), "@"); ok {
				ch.lines <- line
			} else if ch.Rest.Len() < 32<<10 {
				ch.Rest.WriteString(sc.Text() + "\n")
			}
		}
	}()
}

// Output runs a program to its end and returns what it printed. Wine cannot start one now and then ("Internal error."), so a
// start that fails is tried again.
func Output(program func() *exec.Cmd) (out []byte, err error) {
	for range 3 {
		var start *fs.PathError
		if out, err = program().CombinedOutput(); !errors.As(err, &start) {
			break
		}
	}
	return out, err
}

// Answer reads the child's next line into v.
func (ch *Child) Answer(t *testing.T, limit time.Duration, v any) {
	t.Helper()
	select {
	case line, ok := <-ch.lines:
		if !ok {
			t.Fatalf("the child ended early: %v\n%s", ch.Cmd.Wait(), ch.Rest.String())
		}
		Must(t, json.Unmarshal([]byte(line), v))
	case <-time.After(limit):
		ch.Kill()
		t.Fatalf("the child said nothing for %v\n%s", limit, ch.Rest.String())
	}
}

// Tell gives the child a line.
func (ch *Child) Tell(line string) { io.WriteString(ch.in, line+"\n") }

// Stop ends the child and fails the test when it had failed.
func (ch *Child) Stop(t *testing.T) {
	t.Helper()
	ch.in.Close()
	for range ch.lines { // to its end
	}
	if err := ch.Cmd.Wait(); err != nil {
		t.Errorf("child: %v\n%s", err, ch.Rest.String())
	}
}

// Kill ends the child with SIGKILL.
func (ch *Child) Kill() {
	ch.Cmd.Process.Kill()
	ch.in.Close()
	for range ch.lines {
	}
	ch.Cmd.Wait()
}

// ChildTask reads what a child process is to do, and skips the test when this is none.
func ChildTask(t *testing.T, task any) (in *bufio.Scanner) {
	t.Helper()
	text := os.Getenv(childEnv)
	if text == "" {
		t.Skip("runs in child processes only")
	}
	Must(t, json.Unmarshal([]byte(text), task))
	return bufio.NewScanner(os.Stdin)
}

// Say gives the parent an answer.
func Say(answer any) {
	text, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString("@" + string(text) + "\n")
}
