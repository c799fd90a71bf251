// Four goroutines allocate, collect garbage and hand results over; then a nil map is written. The
// digest depends on the order in which they ran.
package main

import (
	"fmt"
	"runtime"
	"sync"
)

type node struct {
	next  *node
	value [8]uint64
}

func main() {
	runtime.GOMAXPROCS(4)
	results := make(chan uint64, 1)
	var group sync.WaitGroup
	for id := uint64(1); id <= 4; id++ {
		group.Add(1)
		go func(id uint64) {
			defer group.Done()
			var list *node
			for i := uint64(0); i < 20000; i++ {
				list = &node{next: list, value: [8]uint64{id * i}}
				if i%512 == 0 {
					list = nil
				}
				if i%5000 == 0 && id == 1 {
					runtime.GC()
					results <- id*1000000 + i
				}
			}
		}(id)
	}
	go func() {
		group.Wait()
		close(results)
	}()
	digest := uint64(17)
	for r := range results {
		digest = digest*31 + r
	}
	fmt.Printf("digest %x\n", digest)
	var table map[string]int
	table["crash"] = 1
}
