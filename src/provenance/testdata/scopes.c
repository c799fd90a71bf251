// Pointers to variables of a block that has been left, or has not.
typedef void (*look_t)(void *context, void *where);

struct Ticket {
  long number;
  long price;
};

void use_ticket(struct Ticket *ticket, look_t look, void *context) { look(context, ticket); }
void use_bytes(char *bytes, look_t look, void *context) { look(context, bytes); }

void serve(int which, look_t look, void *context) {
  struct Ticket *kept;
  {
    struct Ticket left = {1, 2};
    kept = &left;
    if (which == 0) use_ticket(kept, look, context);
  }
  if (which == 1) use_ticket(kept, look, context);
  if (which == 2) use_bytes((char *)kept, look, context);
}

void serve_one_of_two(look_t look, void *context) {
  struct Ticket stays = {5, 6};
  struct Ticket *kept = &stays;
  {
    struct Ticket left = {3, 4};
    (void)left;
  }
  use_ticket(kept, look, context);
}
