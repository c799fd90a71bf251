// The specimen of the Go runtime's tests. What it does depends on its first argument:
//
//	layout    prints the offsets and addresses of the runtime's structures, read from its own DWARF by
//	          Go's library, one "NAME VALUE" a line
//	c         Go calls C, which stops at a breakpoint
//	callback  Go calls C calls Go calls C calls Go, which stops at a breakpoint
package main

/*
extern int goInner(int);
extern int goStop(int);

static int stopInC(int n) { __asm__ volatile("int3"); return n + 1; }
static int outerC(int n) { return goInner(n) + 1; }
static int innerC(int n) { return goStop(n) + 1; }
*/
import "C"

import (
	"debug/dwarf"
	"debug/elf"
	"fmt"
	"os"
	"runtime"
)

//export goInner
func goInner(n C.int) C.int { return inner(n) + 1 }

//export goStop
func goStop(n C.int) C.int { return stop(n) + 1 }

//go:noinline
func inner(n C.int) C.int { return C.innerC(n) + 1 }

//go:noinline
func stop(n C.int) C.int {
	runtime.Breakpoint()
	return n + 1
}

//go:noinline
func outer(n C.int) C.int { return C.outerC(n) + 1 }

//go:noinline
func plain(n C.int) C.int { return C.stopInC(n) + 1 }

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// structs finds runtime.g, runtime.m and runtime.p.
func structs(data *dwarf.Data) map[string]*dwarf.StructType {
	found := map[string]*dwarf.StructType{}
	reader := data.Reader()
	for {
		entry, err := reader.Next()
		check(err)
		if entry == nil {
			return found
		}
		name, _ := entry.Val(dwarf.AttrName).(string)
		if entry.Tag == dwarf.TagStructType {
			switch name {
			case "runtime.g", "runtime.m", "runtime.p":
				t, err := data.Type(entry.Offset)
				check(err)
				found[name] = t.(*dwarf.StructType)
			}
		}
		if entry.Tag != dwarf.TagCompileUnit {
			reader.SkipChildren()
		}
	}
}

// member returns a nested member's offset from the start of the outer struct, and its type.
func member(t dwarf.Type, path ...string) (offset int64, found dwarf.Type) {
	for _, name := range path {
		for {
			alias, ok := t.(*dwarf.TypedefType)
			if !ok {
				break
			}
			t = alias.Type
		}
		ok := false
		for _, f := range t.(*dwarf.StructType).Field {
			if f.Name == name {
				offset, t, ok = offset+f.ByteOffset, f.Type, true
				break
			}
		}
		if !ok {
			check(fmt.Errorf("no member %v", path))
		}
	}
	return offset, t
}

func printLayout() {
	file, err := elf.Open("/proc/self/exe")
	check(err)
	data, err := file.DWARF()
	check(err)
	s := structs(data)
	show := func(name, of string, path ...string) {
		offset, _ := member(s[of], path...)
		fmt.Println(name, offset)
	}
	show("g_stack_lo", "runtime.g", "stack", "lo")
	show("g_stack_hi", "runtime.g", "stack", "hi")
	show("g_m", "runtime.g", "m")
	show("g_goid", "runtime.g", "goid")
	show("g_sched_sp", "runtime.g", "sched", "sp")
	show("g_sched_pc", "runtime.g", "sched", "pc")
	show("g_sched_bp", "runtime.g", "sched", "bp")
	show("m_g0", "runtime.m", "g0")
	show("m_curg", "runtime.m", "curg")
	show("m_gsignal", "runtime.m", "gsignal")
	show("m_procid", "runtime.m", "procid")
	show("m_alllink", "runtime.m", "alllink")
	fmt.Println("g_size", s["runtime.g"].Size())
	fmt.Println("p_size", s["runtime.p"].Size())
	offset, buf := member(s["runtime.p"], "wbBuf", "buf")
	fmt.Println("p_wbbuf_buf", offset)
	fmt.Println("p_wbbuf_entries", buf.(*dwarf.ArrayType).Count)
	symbols, err := file.Symbols()
	check(err)
	for _, symbol := range symbols {
		switch symbol.Name {
		case "runtime.allm", "runtime.allp", "runtime.allgs":
			fmt.Println(symbol.Name[len("runtime."):], symbol.Value)
		}
	}
}

func init() { runtime.LockOSThread() } // the tests trace the main thread only

func main() {
	switch os.Args[1] {
	case "layout":
		printLayout()
	case "c":
		println(plain(C.int(len(os.Args))))
	case "callback":
		println(outer(C.int(len(os.Args))))
	}
}
