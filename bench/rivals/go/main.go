// Go in the workloads of bench/yield.c, spawn.c, forkjoin.c, sleep.c, sync.c, chan.c and depth.c.
// Rows, options and lines are those of bench/bench.h; bench/run says on which processors the process may run.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type row struct {
	name       string
	run        func(*row) float64
	operations int
	unit       string
	n          int
	workers    int
	cold       bool
	variant    int
}

func concat(groups ...[]row) []row {
	all := []row{}
	for _, group := range groups {
		all = append(all, group...)
	}
	return all
}

// What a row returns that has told its figures itself.
const noFigure = -1.0

var rows = concat(yieldRows, treeRows, sleepRows, lockRows, chanRows, depthRows)
var printing bool

func figure(r *row, name string, value float64, unit string) {
	if printing {
		fmt.Printf("%s\t%s\t%.9g\t%s\t0\t%d\n", r.name, name, value, unit, r.operations)
	}
}

func note(r *row, text string) {
	if printing {
		fmt.Printf("%s\tnote\t%s\n", r.name, text)
	}
}

func check(ok bool, what string) {
	if !ok {
		fmt.Fprintln(os.Stderr, "bench: wrong work:", what)
		os.Exit(1)
	}
}

// Turns of tasks: their sum is exact; Go promises no fairness, so a spread is a note.
func fair(r *row, counts []int, total int) {
	least, most, sum := counts[0], counts[0], 0
	for _, c := range counts {
		if c < least {
			least = c
		}
		if c > most {
			most = c
		}
		sum += c
	}
	check(sum == total, "sum of turns")
	if most-least > 1 {
		note(r, fmt.Sprintf("unfair: turns of one task %d to %d", least, most))
	}
}

func cpuSeconds() float64 {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil, "getrusage")
	return float64(u.Utime.Sec+u.Stime.Sec) + float64(u.Utime.Usec+u.Stime.Usec)/1e6
}

func peakMegabytes() float64 {
	var u syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil, "getrusage")
	return float64(u.Maxrss) / 1024
}

// Resident memory and page tables, in bytes.
func memory() float64 {
	f, err := os.Open("/proc/self/status")
	check(err == nil, "status")
	defer f.Close()
	total := 0.0
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		if fields[0] == "VmRSS:" || fields[0] == "VmPTE:" {
			kb, _ := strconv.Atoi(fields[1])
			total += float64(kb) * 1024
		}
	}
	return total
}

var random uint64 = 1

func nextRandom() uint64 {
	random ^= random << 13
	random ^= random >> 7
	random ^= random << 17
	return random
}

func nanoseconds(begin time.Time, operations int) float64 {
	return float64(time.Since(begin).Nanoseconds()) / float64(operations)
}

func main() {
	name := flag.String("row", "", "one row only")
	samples := flag.Int("samples", 1, "repetitions")
	list := flag.Bool("list", false, "names")
	flag.Parse()
	matched := false
	for i := range rows {
		r := &rows[i]
		if *list {
			fmt.Println(r.name)
		}
		if *list || *name != "" && *name != r.name {
			continue
		}
		matched = true
		runtime.GOMAXPROCS(r.workers)
		for s := 0; s < *samples; s++ {
			if !r.cold {
				printing = false
				r.run(r)
			}
			printing = true
			if value := r.run(r); value != noFigure {
				figure(r, "", value, r.unit)
			}
		}
	}
	if !matched && !*list {
		os.Exit(3)
	}
}
