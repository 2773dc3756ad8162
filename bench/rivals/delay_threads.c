/* The five delayed requests with a thread each. */
#include <pthread.h>

#include "delay.h"

enum { QUESTIONS = 5 };

struct question {
	const char *address;
	int ms;
	long asked;
};

static void *client(void *argument)
{
	struct question *q = argument;
	char answer[512];
	size_t bytes = 0;
	ssize_t n;
	int fd = dial(q->address);

	ask(fd, q->ms);
	while ((n = recv(fd, answer + bytes, sizeof answer - 1 - bytes, 0)) > 0)
		bytes += (size_t)n;
	answer[bytes] = '\0';
	print(answer, q->asked);
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	struct question questions[QUESTIONS];
	pthread_t threads[QUESTIONS];

	if (argc != 3)
		return 2;
	for (int i = 0; i < QUESTIONS; i++) {
		questions[i] = (struct question){argv[1], (QUESTIONS - i) * atoi(argv[2]),
						 milliseconds()};
		if (pthread_create(&threads[i], NULL, client, &questions[i]))
			return 1;
	}
	for (int i = 0; i < QUESTIONS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
