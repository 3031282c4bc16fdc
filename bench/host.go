//go:build linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// cores says where the two processes run.
type cores struct {
	Server, Generator []int
}

// pickCores gives the process under test procs cores and the generator another one; with too few cores they
// share, and the report says so.
func pickCores(procs int) (cores, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return cores{}, err
	}
	var allowed []int
	for cpu := 0; len(allowed) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			allowed = append(allowed, cpu)
		}
	}
	procs = min(procs, len(allowed))
	c := cores{Server: allowed[:procs], Generator: allowed[procs:]}
	if len(c.Generator) == 0 {
		c.Generator = allowed
	}
	return c, nil
}

func (c cores) shared() bool {
	for _, g := range c.Generator {
		for _, s := range c.Server {
			if g == s {
				return true
			}
		}
	}
	return false
}

// startOn starts cmd on the given cores only: a child inherits the affinity of the thread that starts it, so all
// its threads have it from the first instruction on.
func startOn(cmd *exec.Cmd, cpus []int) error {
	runtime.LockOSThread()
	var before, wanted unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	for _, cpu := range cpus {
		wanted.Set(cpu)
	}
	if err := unix.SchedSetaffinity(0, &wanted); err != nil {
		return err
	}
	err := cmd.Start()
	if unix.SchedSetaffinity(0, &before) == nil {
		runtime.UnlockOSThread() // else the thread ends with its goroutine
	}
	return err
}

// load is what the whole machine did, from /proc/stat.
type load struct {
	Busy  time.Duration // of all cores, steal included
	Steal time.Duration // taken by other virtual machines
}

// hostLoad reads the machine's counters; zero if there are none.
func hostLoad() load {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return load{}
	}
	return parseStat(stat)
}

func parseStat(stat []byte) load {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := strings.Fields(string(line))
	const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere Go runs
	var l load
	// cpu user nice system idle iowait irq softirq steal guest guest_nice; guest is part of user
	for _, i := range []int{1, 2, 3, 6, 7, 8} {
		if i < len(fields) {
			n, _ := strconv.ParseInt(fields[i], 10, 64)
			l.Busy += time.Duration(n) * tick
			if i == 8 {
				l.Steal = time.Duration(n) * tick
			}
		}
	}
	return l
}

func (l load) since(before load) load {
	return load{Busy: l.Busy - before.Busy, Steal: l.Steal - before.Steal}
}

// machine describes where a run was made.
type machine struct {
	CPU    string
	Cores  int
	Memory string
	Kernel string
	Go     string
}

func thisMachine() machine {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH}
	m.CPU = fieldOf("/proc/cpuinfo", "model name")
	if kib, err := strconv.Atoi(strings.TrimSuffix(fieldOf("/proc/meminfo", "MemTotal"), " kB")); err == nil {
		m.Memory = fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Sysname[:]) + " " + unix.ByteSliceToString(u.Release[:])
	}
	return m
}

// fieldOf returns the first "name : value" of a file under /proc.
func fieldOf(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(text)) {
		key, value, found := strings.Cut(line, ":")
		if found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
