#!/usr/bin/python3
"""Writes the C source of one unit of a large library: many records, each with a function that visits it.

  bench/large_debug_info_source.py RECORDS > unit.c

All names begin with `unit0000_`, so that the assembly that a compiler makes of it can be turned into that
of any number of other units (see bench/large-debug-info): assembling is much faster than compiling.
"""
import sys

TYPES = ["int", "long", "char*", "double", "unsigned char", "short"]


def record(number):
    name = f"unit0000_record{number:05}"
    yield f"struct {name} {{"
    for member in range(10):
        yield f"  {TYPES[(number + member) % len(TYPES)]} {name}_member{member};"
    if number > 0:
        yield f"  struct unit0000_record{number - 1:05}* {name}_previous;"
    yield "};"
    yield f"NOINLINE long {name}_visit(struct {name}* self, long depth) {{"
    yield f"  struct {name} copy = *self;"
    yield "  long local_total = depth;"
    for member in range(3):
        yield (f"  {{ long inner{member} = (long)copy.{name}_member{member} + local_total;"
               f" local_total += inner{member}; }}")
    yield f"  return local_total + (long)self->{name}_member4;"
    yield "}"


def main():
    print("#define NOINLINE __attribute__((noinline))")
    # Declared by each unit and defined by none.
    print("struct opaque_session;")
    for number in range(int(sys.argv[1])):
        print("\n".join(record(number)))
    # What the benchmark's program calls: a slot of the library gets a bad pointer and is followed.
    print("""
struct unit0000_holder {
  long unit0000_count;
  struct unit0000_record00000* unit0000_kept;
  struct opaque_session* unit0000_session;
};
static struct unit0000_holder unit0000_the_holder;
NOINLINE void unit0000_keep(long value) {
  unit0000_the_holder.unit0000_kept = (struct unit0000_record00000*)value;
}
NOINLINE long unit0000_follow(void) {
  return unit0000_record00000_visit(unit0000_the_holder.unit0000_kept, 1);
}
NOINLINE long unit0000_use(struct opaque_session* session) {
  return *(long*)session;
}
NOINLINE long unit0000_use_kept(void) {
  return unit0000_use(unit0000_the_holder.unit0000_session);
}
NOINLINE void unit0000_open(long value) {
  unit0000_the_holder.unit0000_session = (struct opaque_session*)value;
}""")


if __name__ == "__main__":
    main()
