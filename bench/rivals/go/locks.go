// Locks (bench/sync.c). A Go process always has more than one thread.
package main

import (
	"runtime"
	"sync"
	"time"
)

var locksMutex sync.Mutex
var counted int

func uncontended(r *row) float64 {
	counted = 0
	begin := time.Now()
	for i := 0; i < r.n; i++ {
		locksMutex.Lock()
		counted++
		locksMutex.Unlock()
	}
	took := nanoseconds(begin, r.n)
	check(counted == r.n, "count")
	return took
}

func inParallel(r *row, tasks int, body func(n int)) float64 {
	var all sync.WaitGroup
	counted = 0
	all.Add(tasks)
	begin := time.Now()
	for i := 0; i < tasks; i++ {
		go func() {
			body(r.n / tasks)
			all.Done()
		}()
	}
	all.Wait()
	took := nanoseconds(begin, r.n)
	check(counted == r.n, "count")
	return took
}

func fourContend(r *row) float64 {
	return inParallel(r, 4, func(n int) {
		for ; n > 0; n-- {
			locksMutex.Lock()
			before := counted
			runtime.Gosched()
			counted = before + 1
			locksMutex.Unlock()
		}
	})
}

//go:noinline
func work(n int) int {
	sum := 0
	for i := 0; i < n; i++ {
		sum ^= i
	}
	return sum
}

func twoContend(r *row) float64 {
	return inParallel(r, 2, func(n int) {
		for ; n > 0; n-- {
			locksMutex.Lock()
			counted++
			work(20)
			locksMutex.Unlock()
			work(20)
		}
	})
}

var lockRows = []row{
	{name: "mutex, with a second thread", run: uncontended, operations: 5000000, unit: "ns",
		n: 5000000, workers: 1},
	{name: "mutex, four fibers contend", run: fourContend, operations: 400000, unit: "ns",
		n: 400000, workers: 1},
	{name: "mutex, two workers contend", run: twoContend, operations: 1000000, unit: "ns",
		n: 1000000, workers: 2},
}
