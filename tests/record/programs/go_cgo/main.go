// Goroutines call C, which calls back into Go, while the garbage collector runs; then C aborts.
package main

/*
#include <stdint.h>
#include <stdlib.h>

extern uint64_t goMix(uint64_t, uint64_t);

static uint64_t mix_in_c(uint64_t a, uint64_t b) {
  uint64_t* copy = malloc(2 * sizeof *copy);
  copy[0] = a;
  copy[1] = b;
  uint64_t result = goMix(copy[0], copy[1]);
  free(copy);
  return result;
}
*/
import "C"

import (
	"fmt"
	"runtime"
	"sync"
)

//export goMix
func goMix(a, b C.uint64_t) C.uint64_t {
	garbage := make([]byte, 4096)
	garbage[0] = byte(a)
	return a*31 + b + C.uint64_t(garbage[0])
}

func main() {
	var lock sync.Mutex
	var group sync.WaitGroup
	digest := C.uint64_t(1)
	for id := 1; id <= 4; id++ {
		group.Add(1)
		go func(id int) {
			defer group.Done()
			for i := 0; i < 100; i++ {
				lock.Lock()
				digest = C.mix_in_c(digest, C.uint64_t(id*1000+i))
				lock.Unlock()
				if i%25 == 0 {
					runtime.GC()
				}
			}
		}(id)
	}
	group.Wait()
	fmt.Printf("digest %x\n", uint64(digest))
	C.abort()
}
