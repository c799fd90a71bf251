// Stops itself at a breakpoint a few calls deep, with known values in its locals.
package main

import (
	"os"
	"runtime"
)

type inner struct {
	a, b uint32
}

type record struct {
	name  string
	count uint64
	parts [3]inner
}

var table = record{name: "table", count: 77}

//go:noinline
func consume(r *record) uint64 {
	runtime.Breakpoint()
	return r.count + uint64(len(r.name))
}

//go:noinline
func leaf(seed uint64) uint64 {
	var rec record
	rec.name = "leaf"
	rec.count = 0x1122334455667788
	rec.parts[1].b = 0xabcd
	return consume(&rec) + rec.count + seed
}

//go:noinline
func middle(seed uint64) (n uint64) {
	defer func() { n++ }()
	for i := uint64(0); i < 4; i++ {
		n += work(seed + i)
	}
	return n + leaf(seed)
}

//go:noinline
func work(seed uint64) uint64 {
	s := make([]uint64, 0, 4)
	for i := uint64(0); i < 8; i++ {
		s = append(s, i*seed)
	}
	m := map[uint64]string{seed: "x"}
	return uint64(len(s)) + uint64(len(m[seed]))
}

func init() { runtime.LockOSThread() }

func main() {
	n := middle(uint64(len(os.Args)) + table.count)
	n += middle(n)
	if n == 1 {
		println(n)
	}
}
