// Functions whose frames the tests look into: each calls back with the address of what it means.
#include <stdint.h>
#include <string.h>

struct Point {
  int x;
  int y;
};

struct ArrowSchema {
  const char* format;
  const char* name;
  int64_t flags;
  struct ArrowSchema** children;
  void (*release)(struct ArrowSchema*);
};

typedef struct Mixed {
  struct Point points[4];
  char label[8];
  unsigned low : 3;
  unsigned high : 5;
  union {
    int64_t whole;
    int32_t half[2];
  } u;
  int grid[3][5];
  double weight;
} mixed_t;

typedef void (*callback_t)(void* context, void* where);

int global_values[8];
static struct Point static_point = {7, 9};
__thread long per_thread_value = 5;

static inline __attribute__((always_inline)) int inlined_helper(callback_t callback, void* context,
                                                               struct Point* from) {
  struct Point local_in_inline;
  local_in_inline.x = from->x + 1;
  local_in_inline.y = from->y;
  callback(context, &local_in_inline);
  return local_in_inline.x;
}

__attribute__((noinline)) int visit(callback_t callback, void* context, int64_t number,
                                    const char* label) {
  mixed_t box;
  struct ArrowSchema c_schema;
  memset(&box, 0, sizeof box);
  memset(&c_schema, 0, sizeof c_schema);
  box.points[2].y = (int)number;
  c_schema.name = label;
  callback(context, &box);
  callback(context, &c_schema);
  return box.points[2].y + (c_schema.name != 0);
}

__attribute__((noinline)) int fill(callback_t callback, void* context, struct ArrowSchema* out) {
  out->format = "i";
  callback(context, out);
  return out->format != 0;
}

__attribute__((noinline)) int visit_pointee(callback_t callback, void* context) {
  struct ArrowSchema target;
  memset(&target, 0, sizeof target);
  int result = fill(callback, context, &target);
  return result + (target.name != 0);
}

__attribute__((noinline)) int visit_inlined(callback_t callback, void* context, int seed) {
  struct Point start = {seed, static_point.y};
  int result = inlined_helper(callback, context, &start);
  callback(context, &static_point);
  callback(context, &global_values[3]);
  callback(context, &per_thread_value);
  return result + start.y;
}

// Work for single-stepping: recursion, spills, calls through pointers, library calls, alloca, cold
// parts, a large frame.
static int compare(const int* a, const int* b) { return (*a > *b) - (*a < *b); }

__attribute__((noinline)) static int sort_some(int* values, int n) {
  for (int i = 1; i < n; ++i) {
    for (int j = i; j > 0 && compare(&values[j - 1], &values[j]) > 0; --j) {
      int t = values[j];
      values[j] = values[j - 1];
      values[j - 1] = t;
    }
  }
  return values[0];
}

__attribute__((noinline)) static int recurse(int depth, long a, long b, long c, long d, long e,
                                             long f, long g) {
  char buffer[5000];
  memset(buffer, depth, sizeof buffer);
  char* dynamic = __builtin_alloca((unsigned)(depth * 48 + 16));
  dynamic[depth] = buffer[depth * 7];
  if (depth == 0) return (int)(a + b + c + d + e + f + g);
  return recurse(depth - 1, b, c, d, e, f, g, a) + dynamic[depth];
}

typedef int (*operation_t)(int, long, long, long, long, long, long, long);

int workload(int rounds) {
  int values[16];
  operation_t volatile operation = recurse;
  int sum = 0;
  char text[64];
  for (int i = 0; i < rounds; ++i) {
    for (int j = 0; j < 16; ++j) values[j] = (j * 7 + i) % 16;
    sum += sort_some(values, 16);
    sum += operation(4, 1, 2, 3, 4, 5, 6, i);
    strcpy(text, "some text to be measured");
    sum += (int)strlen(text) + memcmp(text, "some", 4);
  }
  return sum;
}

/* Unnamed arguments; and a function without a prototype, which has none. */
int count_unnamed(int first, ...) {
  __builtin_va_list list;
  int count = 0;
  __builtin_va_start(list, first);
  while (first != 0) {
    first = __builtin_va_arg(list, int);
    ++count;
  }
  __builtin_va_end(list);
  return count;
}

int without_prototype() { return 7; }
