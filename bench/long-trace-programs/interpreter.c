// An interpreter that allocates a boxed number for each result and frees it soon after; early in its run a
// variable of the interpreted program gets a number that was never boxed. It is used at the very end.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))
enum { kVariables = 64, kStack = 256 };

struct object {
  long kind;
  long number;
  struct object* next;
};

struct machine {
  struct object* variables[kVariables];
  struct object* stack[kStack];
  unsigned top;
  uint64_t executed;
};

enum opcode { kPush, kLoad, kStore, kAdd, kMul, kDrop, kLoop, kForeign };
struct instruction {
  enum opcode op;
  long operand;
};

static NOINLINE struct object* box(long number) {
  struct object* made = malloc(sizeof *made);
  made->kind = 1;
  made->number = number;
  made->next = NULL;
  return made;
}
static NOINLINE void release(struct object* dead) { free(dead); }

static NOINLINE void foreign_call(struct machine* m, long variable, long value) {
  m->variables[variable] = (struct object*)value;  // BAD
}

static NOINLINE void interpret(struct machine* m, const struct instruction* code, uint64_t turns,
                               uint64_t foreign_at) {
  uint64_t turn = 0;
  for (const struct instruction* at = code;; at++) {
    m->executed++;
    switch (at->op) {
      case kPush:
        m->stack[m->top++] = box(at->operand);
        break;
      case kLoad:
        m->stack[m->top++] = box(m->variables[at->operand]->number);
        break;
      case kStore: {
        struct object* old = m->variables[at->operand];
        m->variables[at->operand] = m->stack[--m->top];
        release(old);
        break;
      }
      case kAdd:
      case kMul: {
        struct object* b = m->stack[--m->top];
        struct object* a = m->stack[--m->top];
        m->stack[m->top++] = box(at->op == kAdd ? a->number + b->number : a->number * b->number);
        release(a);
        release(b);
        break;
      }
      case kDrop:
        release(m->stack[--m->top]);
        break;
      case kForeign:
        if (turn == foreign_at) foreign_call(m, at->operand, 0x5eed5eed5eed);
        break;
      case kLoop:
        if (++turn == turns) return;
        at = code - 1;
        break;
    }
  }
}

static NOINLINE long show(const struct machine* m, long variable) {
  return m->variables[variable]->number;
}

int main(int argc, char** argv) {
  const uint64_t turns = argc > 1 ? strtoull(argv[1], NULL, 10) : 100000;
  static const struct instruction program[] = {{kLoad, 0}, {kPush, 3}, {kMul, 0}, {kLoad, 1}, {kAdd, 0},
                                               {kStore, 0}, {kForeign, 9}, {kLoad, 0}, {kDrop, 0}, {kLoop, 0}};
  struct machine* m = calloc(1, sizeof *m);
  for (int i = 0; i < kVariables; i++) m->variables[i] = box(i);
  interpret(m, program, turns, turns / 6);
  printf("%ld\n", show(m, 0));
  fflush(stdout);
  return (int)show(m, 9);
}
