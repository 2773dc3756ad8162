/* broker.c - publish and subscribe over TCP. What one publishes under a topic goes to all who have
 * subscribed to it. The last lines of each topic are kept, and every subscriber reads them at its
 * own pace: a slow one costs nobody anything, and is told how many lines it has missed.
 *
 *	broker [ADDRESS [KEPT]]		default tcp:127.0.0.1:7777, 64 lines a topic
 *
 * A client says "sub TOPIC", and hears its lines from then on; or "pub TOPIC LINE", any number of
 * times. */
#include <errno.h>
#include <fiber/broadcast.h>
#include <fiber/reader.h>
#include <fiber/sync.h>
#include <stdlib.h>
#include <string.h>

#include "serve.h"

enum { LINE = 256, NAME = 32, TOPICS = 1000 };

static struct topic {
	char name[NAME];
	fiber_broadcast_t *lines;
} topics[TOPICS];
static size_t topic_count, kept = 64;
static fiber_mutex_t guard = FIBER_MUTEX_INIT; /* of the two above */

/* The topic of that name, which is new if there is none; NULL: no room for it. */
static fiber_broadcast_t *find(const char *name)
{
	fiber_broadcast_t *found = NULL;
	size_t i = 0;

	fiber_mutex_lock(&guard);
	while (i < topic_count && strcmp(topics[i].name, name) != 0)
		i++;
	if (i < topic_count) {
		found = topics[i].lines;
	} else if (i < TOPICS && strlen(name) < NAME &&
		   fiber_broadcast_create(&found, LINE, kept) == 0) {
		strcpy(topics[i].name, name);
		topics[i].lines = found;
		topic_count++;
	}
	fiber_mutex_unlock(&guard);
	return found;
}

/* Until a line cannot be sent any more, because the client has gone. */
static int hear(fiber_fd fd, fiber_broadcast_t *topic)
{
	fiber_subscriber_t me;
	char line[LINE + 2], missed[64];
	int r = fiber_subscribe(&me, topic);
	ssize_t n = r < 0 ? r : fiber_write_all(fd, "subscribed\n", 11, NULL);

	while (n >= 0 && (n = r = fiber_broadcast_recv(&me, line)) >= 0) {
		if (r > 0) {
			snprintf(missed, sizeof missed, "(%d missed)\n", r);
			n = fiber_write_all(fd, missed, strlen(missed), NULL);
		}
		strcat(line, "\n");
		if (n >= 0)
			n = fiber_write_all(fd, line, strlen(line), NULL);
	}
	fiber_unsubscribe(&me);
	return (int)n;
}

static int client(fiber_fd fd, void *unused)
{
	char memory[LINE], message[LINE], *line, *rest, *word;
	fiber_reader_t in;
	ssize_t n = fiber_reader_init(&in, fd, memory, sizeof memory);

	(void)unused;
	while (n >= 0 && (n = fiber_reader_line(&in, &line, 0)) >= 0) {
		fiber_broadcast_t *topic;

		word = strtok_r(line, " ", &rest);
		line = strtok_r(NULL, " ", &rest);
		topic = line ? find(line) : NULL;
		if (topic && strcmp(word, "sub") == 0)
			return hear(fd, topic);
		if (!topic || strcmp(word, "pub") != 0)
			return (int)fiber_write_all(fd, "what?\n", 6, NULL);
		snprintf(message, sizeof message, "%s", rest);
		n = fiber_broadcast_send(topic, message);
	}
	return n == -ENODATA ? 0 : (int)n;
}

int main(int argc, char **argv)
{
	int r;

	if (argc > 2)
		kept = strtoul(argv[2], NULL, 10);
	r = serve_main(NULL, argc > 1 ? argv[1] : "tcp:127.0.0.1:7777", client, NULL);
	while (topic_count > 0)
		fiber_broadcast_free(topics[--topic_count].lines);
	return r;
}
