//go:build linux

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a load goes on without any answer.
const patience = 20 * time.Second

// driver sends a load from one thread, as wrk does: a goroutine for each connection
// would cost the generator as much as the server under test.
type driver struct {
	load
	addrs []unix.SockaddrInet4
	epoll int
	timer int
	conns map[int]*client
	begin time.Time

	latency hist
	result  loaded

	// Open loop.
	next time.Duration   // when the next request is due
	idle []*client       // connections that wait for one
	late []time.Duration // requests that wait for a connection

	parked []parked // in order of time
	asked  int      // requests sent
}

// client is one connection.
type client struct {
	fd   int
	to   int           // number of the address
	sent time.Duration // when the request was, or should have been, sent
	out  []byte
	in   []byte
	have int
}

// parked is a client that pauses.
type parked struct {
	until time.Duration
	c     *client
}

// drive runs a load to its end.
func drive(l load) (loaded, error) {
	runtime.LockOSThread()
	// A collection would show as latency of the server.
	debug.SetGCPercent(400)
	d := &driver{load: l, conns: map[int]*client{}}
	for _, addr := range l.Addrs {
		at, err := netip.ParseAddrPort(addr)
		if err != nil {
			return loaded{}, err
		}
		d.addrs = append(d.addrs, unix.SockaddrInet4{Port: int(at.Port()), Addr: at.Addr().As4()})
	}

	var err error
	d.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return loaded{}, err
	}

	d.timer, err = unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return loaded{}, err
	}
	if err := d.watch(d.timer); err != nil {
		return loaded{}, err
	}

	for i := range l.Conns {
		c, err := d.connect(&client{to: i % len(d.addrs), in: make([]byte, 16<<10)})
		if err != nil {
			return loaded{}, err
		}
		d.idle = append(d.idle, c)
	}

	return d.run()
}

// watch adds a descriptor to those that run waits for.
func (d *driver) watch(fd int) error {
	return unix.EpollCtl(d.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// connect gives a client a connection; connecting on loopback does not wait.
func (d *driver) connect(c *client) (*client, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(fd, &d.addrs[c.to]); err != nil {
		return nil, fmt.Errorf("connect to %s: %w", d.Addrs[c.to], err)
	}

	// Without it the kernel may hold a small request back until the last is acknowledged.
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, err
	}

	c.fd, c.have = fd, 0
	d.conns[fd] = c

	return c, d.watch(fd)
}

// now is the time since the begin of the load.
func (d *driver) now() time.Duration { return time.Since(d.begin) }

// run sends and receives until the load is over: after Run, or with Each when everything
// has been answered once.
func (d *driver) run() (loaded, error) {
	before := d.usage()
	d.begin = time.Now()
	d.result.Status = map[int]int{}

	// A closed loop begins with a request on every connection; each answer sends the next.
	// An open loop sends by the clock, in due.
	if d.Rate == 0 {
		for _, c := range d.idle {
			if err := d.send(c, d.now()); err != nil {
				return loaded{}, err
			}
		}

		d.idle = nil
	}

	measuring := d.Each // from the first request on
	from := time.Duration(0)
	events := make([]unix.EpollEvent, 128)
	for {
		now := d.now()
		if !measuring && now >= d.Warm {
			measuring = true
			d.latency = hist{}
			// What came before is warming up, and counts for nothing.
			d.result = loaded{Status: map[int]int{}}
			before = d.usage()
			from = d.now()
		}

		// On a machine that is very busy, the first answer is waited for.
		over := measuring && now >= from+d.Run
		if over && (len(d.result.Status) > 0 || now >= from+d.Run+patience) ||
			d.Each && d.result.answers() >= d.many() {
			break
		}
		if err := d.due(now); err != nil {
			return loaded{}, err
		}

		// At most 20 ms, so that the end of the run is noticed without an answer, too.
		n, err := unix.EpollWait(d.epoll, events, 20)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return loaded{}, err
		}

		for _, e := range events[:max(n, 0)] {
			if err := d.ready(int(e.Fd)); err != nil {
				return loaded{}, err
			}
		}
	}

	d.result.Seconds = (d.now() - from).Seconds()
	d.result.CPU, d.result.Others = d.usage().since(before, d.result.Seconds)
	d.result.P50, d.result.P99 = d.latency.quantile(.5), d.latency.quantile(.99)

	return d.result, nil
}

// due sends the requests that are due and sets the timer for the next.
func (d *driver) due(now time.Duration) error {
	wake := time.Duration(0)
	if d.Rate > 0 {
		// Every request that should have been sent by now, also while all connections were
		// busy: its latency counts from here. Otherwise a slow server would be asked less
		// and look faster (coordinated omission).
		for ; d.next <= now; d.next += time.Duration(float64(time.Second) / d.Rate) {
			d.late = append(d.late, d.next)
		}
		wake = d.next
	}

	for len(d.late) > 0 && len(d.idle) > 0 {
		c := d.idle[len(d.idle)-1]
		d.idle = d.idle[:len(d.idle)-1]

		if err := d.send(c, d.late[0]); err != nil {
			return err
		}

		d.late = d.late[1:]
	}

	for len(d.parked) > 0 && d.parked[0].until <= now {
		if err := d.send(d.parked[0].c, now); err != nil {
			return err
		}
		d.parked = d.parked[1:]
	}

	if len(d.parked) > 0 {
		wake = d.parked[0].until
	}
	if wake == 0 {
		return nil
	}

	in := unix.NsecToTimespec(max(int64(wake-d.now()), 1))
	return unix.TimerfdSettime(d.timer, 0, &unix.ItimerSpec{Value: in}, nil)
}

// ready handles an event: the timer, or bytes of an answer.
func (d *driver) ready(fd int) error {
	if fd == d.timer {
		var expired [8]byte
		// Read, or the timer stays ready. What is due is sent by the loop.
		_, _ = unix.Read(fd, expired[:])
		return nil
	}

	c := d.conns[fd]
	n, err := unix.Read(fd, c.in[c.have:])
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}

	if err != nil || n == 0 {
		d.result.Broken++
		// A server may close a connection; one that closes all of them is not under test.
		if d.result.Broken > 10*d.Conns {
			return errors.New("the server closes every connection")
		}
		return d.again(c)
	}

	c.have += n
	a, err := parseAnswer(c.in[:c.have])
	if err != nil || a.size == 0 {
		return err
	}

	now := d.now()
	d.latency.add(now - c.sent)
	d.result.Status[a.status]++
	c.have = 0

	if a.last {
		return d.again(c)
	}

	return d.free(c, a.status, now)
}

// again gives a client a new connection and resumes it.
func (d *driver) again(c *client) error {
	delete(d.conns, c.fd)
	_ = unix.Close(c.fd)
	c, err := d.connect(c)
	if err != nil {
		return err
	}

	return d.free(c, 0, d.now())
}

// free resumes a client that has its response.
func (d *driver) free(c *client, status int, now time.Duration) error {
	switch {
	case d.Rate > 0:
		d.idle = append(d.idle, c)
		return nil
	case status == 503 && d.Pause > 0:
		d.parked = append(d.parked, parked{now + d.Pause, c})
		return nil
	}

	return d.send(c, now)
}

// send writes the next request on a connection. sent is when it should have been sent.
func (d *driver) send(c *client, sent time.Duration) error {
	i := 0
	if d.Each {
		if d.asked == d.many() {
			return nil // what is slow is waited for
		}
		i = d.asked
	} else if n := d.many(); n > 1 {
		// At random, as the sessions of real users come.
		i = rand.IntN(n)
	}

	d.asked++
	c.out = d.appendRequest(c.out[:0], i)
	c.sent = sent
	n, err := unix.Write(c.fd, c.out)
	if errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET) {
		return nil // the read that follows finds it closed
	}

	if err == nil && n < len(c.out) {
		err = errors.New("a request was sent in part")
	}

	return err
}
