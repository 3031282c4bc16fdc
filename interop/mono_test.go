package interop

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

var built struct {
	directory string
	mu        sync.Mutex // guards what follows
	programs  map[string]string
}

func TestMain(m *testing.M) {
	directory, err := os.MkdirTemp("", "netstream-interop")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	built.directory, built.programs = directory, map[string]string{}
	status := m.Run()
	os.RemoveAll(directory)
	if status == 0 {
		if err := leaks(); err != nil { // a stream that was closed may linger for 2 s
			fmt.Fprintln(os.Stderr, err)
			status = 1
		}
	}
	os.Exit(status)
}

func leaks() error {
	var err error
	for range 300 {
		if err = goleak.Find(); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return err
}

const packages = "mono-mcs mono-runtime libmono-system4.0-cil libmono-system-core4.0-cil"

// needMono skips the test where there is no Mono, and fails it where NETSTREAM_REQUIRE_MONO=1 says there must be.
func needMono(t *testing.T) {
	t.Helper()
	for _, program := range []string{"mcs", "mono"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("NETSTREAM_REQUIRE_MONO") == "1" {
				t.Fatalf("%s is missing and NETSTREAM_REQUIRE_MONO=1 asks for it (Debian: %s)", program, packages)
			}
			t.Skipf("%s is missing, so there is no .NET to hold netstream to (Debian: %s)", program, packages)
		}
	}
}

// build compiles dotnet/NAME.cs, once in a run.
func build(t *testing.T, name string) string {
	t.Helper()
	needMono(t)
	built.mu.Lock()
	defer built.mu.Unlock()
	if exe := built.programs[name]; exe != "" {
		return exe
	}
	exe := filepath.Join(built.directory, name+".exe")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	compile := exec.CommandContext(ctx, "mcs", "-langversion:7", "-warn:4", "-warnaserror", "-out:"+exe, filepath.Join("dotnet", name+".cs"))
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("mcs %s.cs: %v\n%s", name, err, out)
	}
	built.programs[name] = exe
	return exe
}

// program is a .NET program that runs beside a test and answers on its standard output.
type program struct {
	t     *testing.T
	name  string
	in    io.WriteCloser
	lines chan string
}

// start runs dotnet/NAME.cs; when the test ends, it is over or is killed.
func start(t *testing.T, name string, arguments ...string) *program {
	t.Helper()
	exe := build(t, name)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	cmd := exec.CommandContext(ctx, "mono", append([]string{exe}, arguments...)...)
	cmd.WaitDelay = 5 * time.Second
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &program{t: t, name: name, in: in, lines: make(chan string, 1024)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(p.lines)
		scanner := bufio.NewScanner(out)
		for scanner.Scan() {
			p.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		in.Close() // which ends a Peer
		timer := time.AfterFunc(5*time.Second, cancel)
		<-read
		cmd.Wait()
		timer.Stop()
		cancel()
	})
	return p
}

// line returns the next line that the program prints.
func (p *program) line() string {
	p.t.Helper()
	select {
	case text, ok := <-p.lines:
		if !ok {
			p.t.Fatalf("%s has ended", p.name)
		}
		return text
	case <-time.After(limit):
		p.t.Fatalf("%s says nothing", p.name)
	}
	return ""
}

// say sends a command.
func (p *program) say(format string, values ...any) {
	p.t.Helper()
	if _, err := fmt.Fprintf(p.in, format+"\n", values...); err != nil {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

// hear wants the next line to begin with what, and returns the words behind it.
func (p *program) hear(what string) []string {
	p.t.Helper()
	text := p.line()
	if text != what && !strings.HasPrefix(text, what+" ") {
		p.t.Fatalf("%s says %q, want %q", p.name, text, what)
	}
	return strings.Fields(text[len(what):])
}

// ask sends a command and returns the words of its answer.
func (p *program) ask(what string, format string, values ...any) []string {
	p.t.Helper()
	p.say(format, values...)
	return p.hear(what)
}

// TestScenariosOnMono runs the same files on Mono's NetworkStream.
func TestScenariosOnMono(t *testing.T) {
	all := loadScenarios(t)
	build(t, "Runner")
	files := map[string][]Scenario{}
	for _, sc := range all {
		files[sc.File] = append(files[sc.File], sc)
	}
	got := make(map[string]string) // file:line -> what the step printed
	var mu sync.Mutex
	t.Run("run", func(t *testing.T) {
		for file := range files {
			t.Run(filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				p := start(t, "Runner", file)
				for text := range p.lines {
					if where, printed, ok := strings.Cut(text, "\t"); ok {
						mu.Lock()
						got[where] = printed
						mu.Unlock()
					}
				}
			})
		}
	})
	for i := range all {
		sc := &all[i]
		t.Run(sc.Name, func(t *testing.T) {
			if why, ok := sc.NotOn[Mono]; ok {
				t.Skip("not on Mono: " + why)
			}
			var printed []string
			for _, s := range sc.Steps {
				printed = append(printed, got[fmt.Sprintf("%s:%d", filepath.Base(sc.File), s.Line)])
			}
			compare(t, Mono, sc, printed)
		})
	}
}
