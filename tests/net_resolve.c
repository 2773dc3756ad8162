/* net_resolve.c - names: answered at once, looked up on helpers, left alone by who cannot wait. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fiber/net.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "law.h"
#include "net/resolve.h"

static const struct addrinfo stream = { .ai_socktype = SOCK_STREAM };

/* ---- resolvers to put in the place of getaddrinfo ---------------------------------------------*/
static _Atomic unsigned asked;

static int numeric(const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	struct addrinfo h = *hints;

	h.ai_flags |= AI_NUMERICHOST | AI_NUMERICSERV;
	return getaddrinfo("127.0.0.1", service, &h, out);
}

static int always_loopback(const char *host, const char *service, const struct addrinfo *hints,
			   struct addrinfo **out)
{
	(void)host;
	atomic_fetch_add(&asked, 1);
	return numeric(service, hints, out);
}

/* The host is the code to answer with. */
static int fails_as_told(const char *host, const char *service, const struct addrinfo *hints,
			 struct addrinfo **out)
{
	(void)service, (void)hints, (void)out;
	errno = EMFILE;
	return -atoi(host + 1);
}

/* Slow: says that it was asked, and answers when it is let. */
static sem_t begun, let;

static int slow_loopback(const char *host, const char *service, const struct addrinfo *hints,
			 struct addrinfo **out)
{
	(void)host;
	atomic_fetch_add(&asked, 1);
	sem_post(&begun);
	while (sem_wait(&let) < 0)
		;
	return numeric(service, hints, out);
}

/* ---- answers ----------------------------------------------------------------------------------*/
static void expect_answer(const char *host, const char *service, int family, uint16_t port)
{
	struct addrinfo *list;
	int r = fiber_resolve(host, service, &stream, &list);

	cr_expect(r == 0 && list, "%s: %d", host ? host : "NULL", r);
	if (!list)
		return;
	cr_expect(list->ai_family == family && list->ai_socktype == SOCK_STREAM);
	cr_expect(((struct sockaddr_in *)list->ai_addr)->sin_port == htons(port));
	fiber_resolve_free(list);
}

static int numbers(void *arg)
{
	struct addrinfo hints = { .ai_family = AF_INET6 }, *list;

	(void)arg;
	expect_answer("127.0.0.1", "80", AF_INET, 80);
	expect_answer("::1", "65535", AF_INET6, 65535);
	expect_answer("::1", NULL, AF_INET6, 0);
	cr_expect(fiber_resolve(NULL, "80", &stream, &list) == 0);
	fiber_resolve_free(list);
	cr_expect(fiber_resolve("127.0.0.1", "80", &hints, &list) == -ENOENT && !list);
	hints.ai_flags = AI_NUMERICHOST;
	cr_expect(fiber_resolve("localhost", NULL, &hints, &list) == -ENOENT && !list);
	cr_expect(atomic_load(&asked) == 0, "asked %u times", atomic_load(&asked));
	return 0;
}

Test(resolve, numbers_are_answered_without_a_lookup, .timeout = 30)
{
	resolve_lookup = always_loopback;
	law_holds(numbers, NULL);
	cr_expect(numbers(NULL) == 0);
}

static int known_names(void *arg)
{
	(void)arg;
	expect_answer("localhost", "80", AF_INET, 80);
	return 0;
}

Test(resolve, localhost_is_known, .timeout = 30)
{
	/* By /etc/hosts; IPv6 may come first in other people's files. */
	struct addrinfo hints = { .ai_family = AF_INET, .ai_socktype = SOCK_STREAM }, *list;

	cr_expect(fiber_resolve("localhost", "http", &hints, &list) == 0 && list);
	fiber_resolve_free(list);
	resolve_lookup = always_loopback;
	law_holds(known_names, NULL);
	cr_expect(atomic_load(&asked) == 3);
}

static int ask_for_nobody(void *arg)
{
	struct addrinfo *list = (void *)&stream;
	int r = (int)FIBER_TIMEOUT(20 * FIBER_SECOND,
				   fiber_resolve("nonexistent.invalid", "80", &stream, &list));

	(void)arg;
	/* The second without a name server within reach, or one that is slow to say so. */
	cr_expect(r == -ENOENT || r == -EHOSTUNREACH, "%d", r);
	cr_expect(!list);
	return 0;
}

Test(resolve, a_name_that_does_not_exist_is_no_name, .timeout = 60)
{
	setenv("RES_OPTIONS", "attempts:1 timeout:1", 1);
	cr_expect(law_run(2, ask_for_nobody, NULL) == 0);
	law_no_leaks();
}

static int every_failure(void *arg)
{
	static const struct { int code, error; } table[] = {
		{ EAI_NONAME, -ENOENT }, { EAI_SERVICE, -ENOENT }, { EAI_NODATA, -ENOENT },
		{ EAI_ADDRFAMILY, -ENOENT }, { EAI_AGAIN, -EHOSTUNREACH }, { EAI_FAIL, -EIO },
		{ EAI_BADFLAGS, -EINVAL }, { EAI_FAMILY, -EAFNOSUPPORT },
		{ EAI_SOCKTYPE, -ESOCKTNOSUPPORT }, { EAI_MEMORY, -ENOMEM },
		{ EAI_OVERFLOW, -ENAMETOOLONG }, { EAI_SYSTEM, -EMFILE }, { -999, -EIO },
	};

	(void)arg;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct addrinfo *list = (void *)&stream;
		char host[16];

		snprintf(host, sizeof host, "x%d", -table[i].code);
		int r = fiber_resolve(host, "80", &stream, &list);

		cr_expect(r == table[i].error && !list, "%d: %d", table[i].code, r);
	}
	return 0;
}

Test(resolve, every_failure_has_its_own_error, .timeout = 30)
{
	resolve_lookup = fails_as_told;
	law_holds(every_failure, NULL);
	cr_expect(every_failure(NULL) == 0);
}

static int misuse(void *arg)
{
	struct addrinfo hints = { .ai_family = 12345 }, *list;
	char host[1100];

	(void)arg;
	cr_expect(fiber_resolve("localhost", "80", NULL, NULL) == -EINVAL);
	list = (void *)&stream;
	cr_expect(fiber_resolve(NULL, NULL, NULL, &list) == -EINVAL && !list);
	cr_expect(fiber_resolve("127.0.0.1", "80", &hints, &list) == -EAFNOSUPPORT && !list);
	hints = (struct addrinfo){ .ai_flags = 1 << 30 };
	cr_expect(fiber_resolve("127.0.0.1", "80", &hints, &list) == -EINVAL && !list);
	memset(host, 'h', sizeof host);
	host[1025] = '\0';
	cr_expect(fiber_resolve(host, "80", NULL, &list) == -ENAMETOOLONG);
	host[256] = '\0';
	cr_expect(fiber_resolve("127.0.0.1", host, NULL, &list) == -ENAMETOOLONG);
	fiber_resolve_free(NULL);
	return 0;
}

Test(resolve, misuse_is_told, .timeout = 30)
{
	law_holds(misuse, NULL);
}

/* ---- a slow resolver --------------------------------------------------------------------------*/
static int ask_slowly(void *arg)
{
	struct addrinfo *list = (void *)&stream;
	int r = fiber_resolve("slow", "80", &stream, &list);

	(void)arg;
	cr_expect(r < 0 || list, "%d", r);
	cr_expect(r == 0 || !list, "%d", r);
	if (list)
		fiber_resolve_free(list);
	return r;
}

/*	main                    asking fiber            helper
 *	spawn                   resolve, parks          asked
 *	cancel, join            -ECANCELED
 *	let ................................................ answers; nobody takes it */
static int leaves_when_cancelled(void *arg)
{
	fiber_t fiber;
	int result = 0;

	(void)arg;
	cr_expect(fiber_spawn(&fiber, NULL, ask_slowly, NULL) == 0);
	while (sem_trywait(&begun) < 0)
		fiber_sleep(FIBER_MILLISECOND);
	cr_expect(fiber_cancel(fiber) == 0);
	cr_expect(fiber_join(fiber, &result) == 0);
	cr_expect(result == -ECANCELED, "%d", result);
	sem_post(&let);
	return 0;
}

Test(resolve, a_cancelled_fiber_leaves_a_slow_resolver, .timeout = 30)
{
	sem_init(&begun, 0, 0);
	sem_init(&let, 0, 0);
	resolve_lookup = slow_loopback;
	law_holds(leaves_when_cancelled, NULL);
}

static int leaves_at_deadline(void *arg)
{
	(void)arg;
	int r = (int)FIBER_TIMEOUT(5 * FIBER_MILLISECOND, ask_slowly(NULL));

	cr_expect(r == -ETIMEDOUT, "%d", r);
	sem_post(&let);
	return 0;
}

Test(resolve, a_deadline_ends_the_wait_for_a_slow_resolver, .timeout = 30)
{
	sem_init(&begun, 0, 0);
	sem_init(&let, 0, 0);
	resolve_lookup = slow_loopback;
	law_holds(leaves_at_deadline, NULL);
}

static int asks_while_cancelled(void *arg)
{
	struct addrinfo *list;

	(void)arg;
	fiber_cancel(fiber_self());
	cr_expect(fiber_resolve("127.0.0.1", "80", &stream, &list) == -ECANCELED && !list);
	cr_expect(fiber_resolve("name", "80", &stream, &list) == -ECANCELED && !list);
	cr_expect(atomic_load(&asked) == 0);
	return 0;
}

Test(resolve, a_known_interruption_comes_before_any_lookup, .timeout = 30)
{
	resolve_lookup = always_loopback;
	law_holds(asks_while_cancelled, NULL);
}

/* ---- many -------------------------------------------------------------------------------------*/
/* The answer and the deadline come at about the same time, in every order: whoever is last
 * frees. */
static int answer_against_deadline(void *arg)
{
	uint64_t *seed = arg;
	unsigned answered = 0, rounds = law_rounds(3000);

	for (unsigned i = 0; i < rounds; i++) {
		int64_t ns = (int64_t)(law_random(seed) % 60000);
		int r = (int)FIBER_TIMEOUT(ns, ask_slowly(NULL));

		cr_expect(r == 0 || r == -ETIMEDOUT, "%d", r);
		answered += r == 0;
	}
	fprintf(stderr, "%u of %u answered in time\n", answered, rounds);
	return 0;
}

Test(resolve, an_answer_against_a_deadline_is_taken_or_freed, .timeout = 60)
{
	uint64_t seed = law_seed();

	resolve_lookup = always_loopback;
	law_holds(answer_against_deadline, &seed);
}

static int many(void *arg)
{
	fiber_group_t group = FIBER_GROUP_INIT;

	(void)arg;
	for (unsigned i = 0; i < 300; i++)
		fiber_group_spawn(&group, NULL, ask_slowly, NULL);
	return fiber_group_wait(&group);
}

Test(resolve, more_lookups_than_helpers_are_all_answered, .timeout = 60)
{
	resolve_lookup = always_loopback;
	law_holds_with(&(fiber_options_t){ .helpers_max = 3 }, many, NULL);
	cr_expect(atomic_load(&asked) == 900);
}
