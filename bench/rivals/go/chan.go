// Channels (bench/chan.c). A Go process always has more than one thread.
package main

import "time"

func meeting(r *row) float64 {
	there, back := make(chan int), make(chan int)
	go func() {
		for i := 0; i < r.n; i++ {
			back <- <-there + 1
		}
	}()
	begin := time.Now()
	for i := 0; i < r.n; i++ {
		there <- i
		check(<-back == i+1, "answer")
	}
	return nanoseconds(begin, r.n)
}

func produce(r *row, there chan<- int) {
	for i := 0; i < r.n; i++ {
		there <- i
	}
}

func buffered(r *row) float64 {
	there := make(chan int, 64)
	begin := time.Now()
	go produce(r, there)
	for i := 0; i < r.n; i++ {
		check(<-there == i, "order")
	}
	return nanoseconds(begin, r.n)
}

// Of two channels, one of which stays silent.
func choose(r *row) float64 {
	there, silent := make(chan int, r.variant), make(chan int)
	begin := time.Now()
	go produce(r, there)
	for i := 0; i < r.n; i++ {
		select {
		case <-silent:
			check(false, "silence")
		case message := <-there:
			check(message == i, "order")
		}
	}
	return nanoseconds(begin, r.n)
}

func pipeline(r *row) float64 {
	messages := r.operations / r.n
	begin := time.Now()
	first := make(chan int)
	from := first
	for i := 0; i < r.n; i++ {
		to := make(chan int)
		go func(from <-chan int, to chan<- int) {
			for i := 0; i < messages; i++ {
				to <- <-from + 1
			}
		}(from, to)
		from = to
	}
	go func() {
		for i := 0; i < messages; i++ {
			first <- i
		}
	}()
	for i := 0; i < messages; i++ {
		check(<-from == i+r.n, "stages")
	}
	return nanoseconds(begin, r.operations)
}

var chanRows = []row{
	{name: "rendezvous round trip, with a second thread", run: meeting, operations: 500000,
		unit: "ns", n: 500000, workers: 1},
	{name: "buffered message, with a second thread", run: buffered, operations: 4000000,
		unit: "ns", n: 4000000, workers: 1},
	{name: "select of two meetings, with a second thread", run: choose, operations: 500000,
		unit: "ns", n: 500000, workers: 1},
	{name: "select of two, buffered, with a second thread", run: choose, operations: 1000000,
		unit: "ns", n: 1000000, workers: 1, variant: 64},
	{name: "pipeline of 10 stages, with a second thread", run: pipeline, operations: 500000,
		unit: "ns", n: 10, workers: 1},
	{name: "pipeline of 100 stages, with a second thread", run: pipeline, operations: 500000,
		unit: "ns", n: 100, workers: 1},
	{name: "pipeline of 1,000 stages, with a second thread", run: pipeline, operations: 500000,
		unit: "ns", n: 1000, workers: 1},
}
