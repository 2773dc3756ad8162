/* fetch.c - libcurl downloads several files at the same time, together no faster than a given rate.
 *
 *	fetch BYTES_PER_SECOND URL...
 *
 * curl_easy_perform blocks, so each download is a blocking call on a helper thread. Its write
 * callback is a closure: the handler is a fiber, back here among the others. It waits its turn at a
 * fiber mutex, and sleeps off its bytes; libcurl, which cannot know, reads no further meanwhile. */
#include <curl/curl.h>
#include <errno.h>
#include <fiber/foreign.h>
#include <fiber/file.h>
#include <fiber/sync.h>
#include <stdlib.h>

static struct {
	fiber_signature_t *perform, *write;
	fiber_mutex_t turn;
	int64_t bytes_per_second;
	long pieces, beats;
} all;

struct download {
	const char *url;
	unsigned long sum;
	size_t bytes;
};

/* size_t write(char *data, size_t size, size_t n, void *user) */
static void take_piece(void *context, void *result, void *const *args)
{
	struct download *d = context;
	const unsigned char *data = FIBER_GIVEN(const unsigned char *, args, 0);
	size_t n = FIBER_GIVEN(size_t, args, 1) * FIBER_GIVEN(size_t, args, 2);
	int r;

	fiber_mutex_lock(&all.turn);
	all.pieces++;
	r = fiber_sleep((int64_t)n * FIBER_SECOND / all.bytes_per_second);
	fiber_mutex_unlock(&all.turn);
	if (r < 0)
		return; /* fewer bytes than it was given: libcurl gives up */
	for (size_t i = 0; i < n; i++)
		d->sum = (d->sum * 31 + data[i]) % 1000000007;
	d->bytes += n;
	*(size_t *)result = n;
}

static int perform(CURL *curl, struct download *d)
{
	fiber_closure_t *closure;
	fiber_foreign_fn *code;
	CURLcode status = CURLE_OK;
	int r = fiber_closure_create(&closure, &code, all.write, NULL, take_piece, d);

	if (r < 0)
		return r;
	curl_easy_setopt(curl, CURLOPT_URL, d->url);
	curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
	curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, (curl_write_callback)code);
	r = fiber_call_blocking(all.perform, FIBER_FOREIGN(curl_easy_perform), &status,
				FIBER_ARGS(curl), NULL);
	fiber_closure_free(closure);
	if (r == 0 && status != CURLE_OK) {
		fiber_dprintf(2, "%s: %s\n", d->url, curl_easy_strerror(status));
		r = -EIO;
	}
	return r;
}

static int fetch(void *url)
{
	struct download d = {.url = url};
	CURL *curl = curl_easy_init();
	int r = curl ? perform(curl, &d) : -ENOMEM;

	curl_easy_cleanup(curl);
	return r < 0 ? r : fiber_printf("%lu %zu %s\n", d.sum, d.bytes, d.url);
}

static int heartbeat(void *unused)
{
	while (fiber_sleep(FIBER_MILLISECOND) == 0)
		all.beats++;
	return unused != NULL;
}

static int fetch_all(void *arg)
{
	fiber_group_t group = FIBER_GROUP_INIT;
	fiber_t heart;
	int r = fiber_spawn(&heart, NULL, heartbeat, NULL);

	if (r < 0)
		return r;
	for (char **url = arg; *url; url++)
		fiber_group_spawn(&group, NULL, fetch, *url);
	r = fiber_group_wait(&group);
	fiber_cancel(heart);
	fiber_join(heart, NULL);
	return r < 0 ? r : fiber_printf("%ld pieces, %ld beats\n", all.pieces, all.beats);
}

int main(int argc, char **argv)
{
	int r;

	all.bytes_per_second = argc > 2 ? atol(argv[1]) : 0;
	if (all.bytes_per_second <= 0 || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return 2;
	if (fiber_signature_create(&all.perform, "I(p)", NULL) < 0 ||
	    fiber_signature_create(&all.write, "N(pNNp)", NULL) < 0)
		return 2;
	r = fiber_run(&(fiber_options_t){.workers = 1}, fetch_all, argv + 2);
	fiber_signature_free(all.perform);
	fiber_signature_free(all.write);
	curl_global_cleanup();
	return r < 0;
}
