// Goroutines that allocate while the garbage collector runs, contend for a mutex (whose slow path spins
// with procyield) and spin on an atomic.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
)

type node struct {
	next  *node
	value uint64
}

func main() {
	runtime.GOMAXPROCS(4)
	var mutex sync.Mutex
	var group sync.WaitGroup
	var turn int64
	sum := uint64(14695981039346656037)
	for w := 0; w < 4; w++ {
		group.Add(1)
		go func(w int) {
			defer group.Done()
			var head *node
			for i := 0; i < 3000; i++ {
				head = &node{head, uint64(i * w)}
				if i%100 == 0 {
					runtime.Gosched()
					mutex.Lock()
					sum = (sum ^ head.value ^ uint64(w)) * 1099511628211
					mutex.Unlock()
				}
				if i%500 == 0 {
					head = nil
					runtime.GC()
				}
			}
			for atomic.LoadInt64(&turn) != int64(w) {
				for spin := 0; spin < 100 && atomic.LoadInt64(&turn) != int64(w); spin++ {
				}
				runtime.Gosched()
			}
			sum = (sum ^ uint64(w)) * 1099511628211
			atomic.AddInt64(&turn, 1)
		}(w)
	}
	group.Wait()
	fmt.Printf("checksum %016x\n", sum)
	os.Exit(7)
}
