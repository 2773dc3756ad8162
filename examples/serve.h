/* serve.h - what the servers here do around their fiber per connection. */
#ifndef EXAMPLES_SERVE_H
#define EXAMPLES_SERVE_H

#include <fiber/net.h>

/* A whole program: listens at `address` (where tcp port 0 is any free one), says "listening on
 * ...", runs client(fd, arg) for each connection until Ctrl-C, then takes no more and waits for the
 * clients, which are cancelled, but may finish what they shield. What main should return. */
int serve_main(const fiber_options_t *, const char *address, int (*client)(fiber_fd, void *),
	       void *arg);

#endif
