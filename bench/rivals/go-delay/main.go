// The five delayed requests (bench/delay.py, examples/delay_client.c).
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

func ask(address string, ms int, asked time.Time) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		os.Exit(1)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /%d/waited-%d HTTP/1.0\r\n\r\n", ms, ms)
	answer, err := io.ReadAll(c)
	_, body, found := strings.Cut(string(answer), "\r\n\r\n")
	if err != nil || !found {
		os.Exit(1)
	}
	fmt.Printf("%4d ms: %s", time.Since(asked).Milliseconds(), body)
}

func main() {
	address := strings.TrimPrefix(os.Args[1], "tcp:")
	step, _ := strconv.Atoi(os.Args[2])
	var all sync.WaitGroup
	for i := 5; i > 0; i-- {
		all.Add(1)
		go func(ms int, asked time.Time) {
			ask(address, ms, asked)
			all.Done()
		}(i*step, time.Now())
	}
	all.Wait()
}
