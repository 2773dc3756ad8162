// Trees (bench/forkjoin.c). A result comes back through a channel of one.
package main

import "time"

func fib(n int) int {
	if n < 2 {
		return n
	}
	one := make(chan int, 1)
	go func() { one <- fib(n - 1) }()
	two := fib(n - 2)
	return <-one + two
}

func skynet(number, leaves int, out chan int) {
	if leaves == 1 {
		out <- number
		return
	}
	sums := make(chan int, 10)
	for i := 0; i < 10; i++ {
		go skynet(number+i*(leaves/10), leaves/10, sums)
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-sums
	}
	out <- sum
}

func milliseconds(begin time.Time) float64 {
	return float64(time.Since(begin).Nanoseconds()) / 1e6
}

func runFib(r *row) float64 {
	begin := time.Now()
	check(fib(27) == 196418, "fib(27)")
	return milliseconds(begin)
}

func runSkynet(r *row) float64 {
	out := make(chan int, 1)
	begin := time.Now()
	skynet(0, 1000000, out)
	check(<-out == 499999500000, "skynet")
	ms := milliseconds(begin)
	figure(r, "peak memory", peakMegabytes(), "MB")
	return ms
}

var treeRows = []row{
	{"fib(27), one worker", runFib, 317810, "ms", 0, 1, false, 0},
	{"fib(27), two workers", runFib, 317810, "ms", 0, 2, false, 0},
	{"skynet, one worker", runSkynet, 1111111, "ms", 0, 1, false, 0},
	{"skynet, two workers", runSkynet, 1111111, "ms", 0, 2, false, 0},
}
