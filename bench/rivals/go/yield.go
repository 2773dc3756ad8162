// Yield, spawn and join (bench/yield.c, bench/spawn.c).
package main

import (
	"runtime"
	"sync"
	"time"
)

type ring struct {
	turns, nextMark, endAt int
	begin, end             time.Time
	over                   bool
}

//go:noinline
func (r *ring) mark() {
	if r.turns == r.endAt {
		r.end = time.Now()
		r.over = true
		return
	}
	r.nextMark = r.endAt
	r.begin = time.Now()
}

func (r *ring) turn(count *int, all *sync.WaitGroup) {
	mine := 0
	for !r.over {
		mine++
		r.turns++
		if r.turns == r.nextMark {
			r.mark()
		}
		runtime.Gosched()
	}
	*count = mine
	all.Done()
}

// A function of its own, so a call of its own.
func (r *ring) otherTurn(count *int, all *sync.WaitGroup) {
	mine := 0
	for !r.over {
		mine++
		r.turns++
		if r.turns == r.nextMark {
			r.mark()
		}
		runtime.Gosched()
	}
	*count = mine
	all.Done()
}

func yields(row *row) float64 {
	warm := row.operations / 4
	r := &ring{nextMark: warm, endAt: warm + row.operations}
	counts := make([]int, row.n)
	var all sync.WaitGroup
	all.Add(row.n)
	for i := range counts {
		if row.variant == 1 && i&1 == 1 {
			go r.otherTurn(&counts[i], &all)
		} else {
			go r.turn(&counts[i], &all)
		}
	}
	all.Wait()
	fair(row, counts, r.turns)
	return float64(r.end.Sub(r.begin).Nanoseconds()) / float64(row.operations)
}

func oneByOne(row *row) float64 {
	done := make(chan int)
	ran := 0
	begin := time.Now()
	for i := 0; i < row.n; i++ {
		go func(i int) { ran++; done <- i }(i)
		check(<-done == i, "result")
	}
	ns := nanoseconds(begin, row.n)
	check(ran == row.n, "ran")
	return ns
}

func batch(row *row) float64 {
	var all sync.WaitGroup
	ran := 0
	begin := time.Now()
	all.Add(row.n)
	for i := 0; i < row.n; i++ {
		go func() { ran++; all.Done() }()
	}
	all.Wait()
	ns := nanoseconds(begin, row.n)
	check(ran == row.n, "ran")
	return ns
}

func allAlive(row *row) float64 {
	var all, parked sync.WaitGroup
	goOn := make(chan struct{})
	ran := 0
	begin := time.Now()
	all.Add(row.n)
	parked.Add(row.n)
	for i := 0; i < row.n; i++ {
		go func() { parked.Done(); <-goOn; ran++; all.Done() }()
	}
	parked.Wait()
	close(goOn)
	all.Wait()
	ns := nanoseconds(begin, row.n)
	check(ran == row.n, "ran")
	return ns
}

var yieldRows = []row{
	{"2 fibers", yields, 2000000, "ns", 2, 1, false, 0},
	{"2 fibers, two callers", yields, 2000000, "ns", 2, 1, false, 1},
	{"100 fibers", yields, 2000000, "ns", 100, 1, false, 0},
	{"10,000 fibers", yields, 2000000, "ns", 10000, 1, false, 0},
	{"100,000 fibers", yields, 1000000, "ns", 100000, 1, false, 0},
	{"1,000,000 fibers", yields, 4000000, "ns", 1000000, 1, false, 0},
	{"one by one", oneByOne, 200000, "ns", 200000, 1, false, 0},
	{"one by one, idle second worker", oneByOne, 200000, "ns", 200000, 2, false, 0},
	{"batch of 100,000", batch, 100000, "ns", 100000, 1, false, 0},
	{"100,000 alive, parked once", allAlive, 100000, "ns", 100000, 1, false, 0},
}
