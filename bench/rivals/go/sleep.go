// Sleeping goroutines and timers (bench/sleep.c).
package main

import (
	"runtime"
	"sync"
	"time"
)

func parkedMemory(r *row) float64 {
	before := memory()
	for i := 0; i < r.n; i++ {
		go func() { time.Sleep(time.Hour) }()
	}
	runtime.Gosched()
	time.Sleep(100 * time.Millisecond)
	check(runtime.NumGoroutine() >= r.n, "goroutines")
	figure(r, "", (memory()-before)/float64(r.n), "bytes")
	return noFigure
}

func randomSleeps(r *row) float64 {
	begin := cpuSeconds()
	var all sync.WaitGroup
	all.Add(r.n)
	for i := 0; i < r.n; i++ {
		d := time.Duration(nextRandom() % 1000000000)
		go func() {
			slept := time.Now()
			time.Sleep(d)
			check(time.Since(slept) >= d, "slept too short")
			all.Done()
		}()
	}
	all.Wait()
	return cpuSeconds() - begin
}

// Its timers need no goroutine: a million AfterFunc are the others.
func armAndCancel(r *row) float64 {
	others := make([]*time.Timer, r.n)
	for i := range others {
		others[i] = time.AfterFunc(time.Hour+time.Duration(i), func() {})
	}
	begin := time.Now()
	for i := 0; i < r.operations; i++ {
		check(time.AfterFunc(30*time.Second, func() {}).Stop(), "stopped")
	}
	figure(r, "same timeout", nanoseconds(begin, r.operations), "ns")
	begin = time.Now()
	for i := 0; i < r.operations; i++ {
		d := time.Duration(nextRandom()%1000000000000) + time.Second
		check(time.AfterFunc(d, func() {}).Stop(), "stopped")
	}
	figure(r, "random deadlines", nanoseconds(begin, r.operations), "ns")
	for _, t := range others {
		t.Stop()
	}
	return noFigure
}

var sleepRows = []row{
	{"10,000 parked", parkedMemory, 1, "bytes", 10000, 1, true, 0},
	{"100,000 parked", parkedMemory, 1, "bytes", 100000, 1, true, 0},
	{"1,000,000 parked", parkedMemory, 1, "bytes", 1000000, 1, true, 0},
	{"100,000 random sleeps", randomSleeps, 100000, "s", 100000, 1, true, 0},
	{"1,000,000 random sleeps", randomSleeps, 1000000, "s", 1000000, 1, true, 0},
	{"arm and cancel beside 1,000,000", armAndCancel, 1000000, "ns", 1000000, 1, true, 0},
}
