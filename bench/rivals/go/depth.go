// Suspending at the bottom of calls (bench/depth.c).
package main

import (
	"runtime"
	"sync"
	"time"
)

//go:noinline
func descend(depth, yields int) int {
	if depth > 1 {
		return descend(depth-1, yields) + 1
	}
	for i := 0; i < yields; i++ {
		runtime.Gosched()
	}
	return 1
}

func inTwo(r *row, body func()) float64 {
	var both sync.WaitGroup
	both.Add(2)
	begin := time.Now()
	for i := 0; i < 2; i++ {
		go func() {
			body()
			both.Done()
		}()
	}
	both.Wait()
	return nanoseconds(begin, 2*r.operations)
}

func stay(r *row) float64 {
	return inTwo(r, func() { check(descend(r.n, r.operations) == r.n, "depth") })
}

func comeAndGo(r *row) float64 {
	return inTwo(r, func() {
		for i := 0; i < r.operations; i++ {
			check(descend(r.n, 1) == r.n, "depth")
		}
	})
}

var depthRows = []row{
	{"yield at the bottom of 1 call", stay, 500000, "ns", 1, 1, false, 0},
	{"yield at the bottom of 10 calls", stay, 500000, "ns", 10, 1, false, 0},
	{"yield at the bottom of 100 calls", stay, 500000, "ns", 100, 1, false, 0},
	{"1 call down, a yield, and back", comeAndGo, 500000, "ns", 1, 1, false, 0},
	{"10 calls down, a yield, and back", comeAndGo, 200000, "ns", 10, 1, false, 0},
	{"100 calls down, a yield, and back", comeAndGo, 20000, "ns", 100, 1, false, 0},
}
