//go:build linux

package main

import (
	"io"

	"golang.org/x/sys/unix"
)

func init() {
	register(&contender{
		name: rawFloor, rank: 30,
		about: "the floor: raw system calls by golang.org/x/sys/unix and one thread, no library (one stream: writev of the whole window)",
		serves: plain(func(w workload) bool {
			return w.Shape != shapeFeed && w.Shape != shapeHub && w.Writers <= 1 && !w.Blocking
		}),
		serve: serveFloor,
	})
}

// floor is a single-threaded epoll server.
type floor struct {
	job    *job
	epfd   int
	events []unix.EpollEvent
	fds    []int
}

func serveFloor(j *job) error {
	f := &floor{job: j, events: make([]unix.EpollEvent, 1024)}
	file, err := j.ln.File() // a duplicate
	if err != nil {
		return err
	}
	listener := int(file.Fd())
	if f.epfd, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if j.echoes() {
		if err := unix.SetNonblock(listener, true); err != nil {
			return err
		}
		if err := f.add(listener); err != nil {
			return err
		}
		j.ready()
		return f.echo(listener)
	}
	for len(f.fds) < j.Conns {
		fd, err := f.accept(listener)
		if err != nil {
			return err
		}
		f.fds = append(f.fds, fd)
	}
	j.ready()
	if j.Shape == shapePipeline {
		return f.pipeline(f.fds[0])
	}
	for {
		for _, fd := range f.fds {
			if err := f.send(fd, j.message); err != nil {
				return err
			}
		}
	}
}

func (f *floor) add(fd int) error {
	return unix.EpollCtl(f.epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (f *floor) accept(listener int) (int, error) {
	fd, _, err := unix.Accept4(listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	if err != nil {
		return 0, err
	}
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1); err != nil {
		return 0, err
	}
	return fd, f.add(fd)
}

func (f *floor) echo(listener int) error {
	buffer := make([]byte, readBuffer)
	for {
		n, err := rawEpollWait(f.epfd, f.events, -1)
		if err != nil {
			return err
		}
		for _, e := range f.events[:n] {
			fd := int(e.Fd)
			if fd == listener {
				if _, err := f.accept(listener); err != nil && err != unix.EAGAIN {
					return err
				}
				continue
			}
			got, err := rawRead(fd, buffer)
			if err != nil {
				return err
			}
			if got == 0 {
				return io.ErrUnexpectedEOF
			}
			if err := f.send(fd, buffer[:got]); err != nil {
				return err
			}
		}
	}
}

// send writes all of p, waiting for room in poll(2).
func (f *floor) send(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := rawWrite(fd, p)
		if err == unix.EAGAIN {
			err = waitWritable(fd)
		}
		if err != nil && err != unix.EINTR {
			return err
		}
		p = p[n:]
	}
	return nil
}

// pipeline sends the window with one writev after the other.
func (f *floor) pipeline(fd int) error {
	window := make([][]byte, f.job.Window)
	for i := range window {
		window[i] = f.job.message
	}
	rest := make([][]byte, len(window))
	for {
		copy(rest, window)
		for left := rest; len(left) > 0; {
			n, err := unix.Writev(fd, left)
			if err == unix.EAGAIN {
				err = waitWritable(fd)
			}
			if err != nil && err != unix.EINTR {
				return err
			}
			for n = max(n, 0); len(left) > 0 && n >= len(left[0]); left = left[1:] {
				n -= len(left[0])
			}
			if n > 0 {
				left[0] = left[0][n:]
			}
		}
	}
}

func waitWritable(fd int) error {
	_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, -1)
	if err == unix.EINTR {
		return nil
	}
	return err
}

func setSendBuffer(fd, size int) error {
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, size)
}
