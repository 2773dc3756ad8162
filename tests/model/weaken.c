/* weaken.c - the test of the test: each order of each atomic that the scenarios meet is weakened,
 * alone, and some scenario must fail then. Those that none fails for are listed in survivors.c,
 * each with the reason; one that is not in the list is an error, and so is one without need.
 *
 * Each weakening is tried in a process of its own: a weakened program may crash as well as fail. */
#include "weaken.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inside.h"

enum { PROCESSES = 2, SECONDS_MOST = 120 };

struct trial {
	int site;
	enum weakening how;
	pid_t process;
};

static struct met {
	const struct scenario *scenario;
	uint64_t runs;
	bool site[SITES];
} met[64];
static unsigned n_met;
static unsigned bad;

void weaken_note(const struct scenario *s, uint64_t runs)
{
	unsigned i = n_met++;

	for (; i > 0 && met[i - 1].runs > runs; i--) /* the short ones first */
		met[i] = met[i - 1];
	met[i].scenario = s;
	met[i].runs = runs;
	for (int k = 0; k < SITES; k++)
		met[i].site[k] = site[k].met;
}

static const char *why_survives(const struct trial *t)
{
	for (const struct survivor *s = survivors; s->site; s++)
		if (strcmp(s->site, site[t->site].name) == 0 &&
		    strcmp(s->how, weakening_name[t->how]) == 0)
			return s->why;
	return NULL;
}

static void verdict(const struct trial *t, bool caught)
{
	const char *why = why_survives(t);
	bool ok = caught == !why;

	bad += !ok;
	printf("%s - %s, %s: %s%s%s\n", ok ? "ok" : "not ok", site[t->site].name,
	       weakening_name[t->how], caught ? "fails" : "survives", why ? ": " : "",
	       why ? why : "");
	fflush(stdout);
}

/* In its own process: 1: caught. */
static int try_it(const struct trial *t)
{
	alarm(SECONDS_MOST);
	sites_weaken(t->site, t->how);
	for (unsigned i = 0; i < n_met; i++)
		if (met[i].site[t->site] && explore(met[i].scenario).failed)
			return 1;
	return 0;
}

static void collect(struct trial *trials, unsigned n)
{
	int status;
	pid_t process = wait(&status);

	for (unsigned i = 0; i < n; i++) {
		if (trials[i].process != process)
			continue;
		if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
			printf("# %s: no end\n", site[trials[i].site].name);
		verdict(&trials[i], WIFSIGNALED(status) ? WTERMSIG(status) != SIGALRM
							: WEXITSTATUS(status) == 1);
	}
}

static unsigned list_trials(struct trial *trials)
{
	unsigned n = 0;

	for (int i = 1; i < sites; i++) {
		bool is_met = false;

		for (unsigned k = 0; k < n_met; k++)
			is_met |= met[k].site[i];
		for (int how = 0; is_met && site[i].ships && how < WEAKENINGS; how++)
			if (site[i].may & 1u << how)
				trials[n++] = (struct trial){ .site = i, .how = how };
	}
	return n;
}

unsigned weaken_all(unsigned *tried)
{
	static struct trial trials[SITES * 3];
	unsigned n = list_trials(trials), alive = 0;

	for (unsigned i = 0; i < n; i++) {
		fflush(stdout);
		if (alive == PROCESSES) {
			collect(trials, i);
			alive--;
		}
		trials[i].process = fork();
		if (trials[i].process == 0)
			_exit(try_it(&trials[i]));
		alive++;
	}
	for (; alive > 0; alive--)
		collect(trials, n);
	*tried = n;
	return bad;
}

/* One, to look at: the first whose name has these words, and the run that fails. */
int weaken_show(const char *words, const char *with)
{
	for (int i = 1; i < sites; i++)
		for (int how = 0; how < WEAKENINGS; how++) {
			if (!strstr(site[i].name, words) || !strstr(weakening_name[how], with) ||
			    !(site[i].may & 1u << how))
				continue;
			printf("# %s, %s\n", site[i].name, weakening_name[how]);
			sites_weaken(i, how);
			for (unsigned k = 0; k < n_met; k++) {
				if (!met[k].site[i] || !explore(met[k].scenario).failed)
					continue;
				printf("# %s\n", met[k].scenario->name);
				report_run();
				return 0;
			}
			printf("# survives\n");
			return 1;
		}
	printf("# there is no such site\n");
	return 2;
}
