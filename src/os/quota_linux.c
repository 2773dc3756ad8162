/* quota_linux.c - the cpu quota of the control groups.
 *
 * A group is bound by its ancestors too, so the walk goes from the own group up to the root of the
 * mount. Where that is, mountinfo tells; what lies above is not visible from here. Both versions of
 * control groups may be there at once, and the smallest quota of all rules. Whatever cannot be read
 * does not limit. */
#include "os/quota.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The file `name` below `root`; NULL if there is none. */
static FILE *open_below(const char *root, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s%s", root, name) >= (int)sizeof path)
		return NULL;
	return fopen(path, "re");
}

static unsigned rounded_up(long long quota, long long period)
{
	long long processors;

	if (quota <= 0 || period <= 0)
		return UINT_MAX;
	processors = (quota - 1) / period + 1;
	return processors < UINT_MAX ? (unsigned)processors : UINT_MAX;
}

/* The numbers at the beginning of a small file; how many there were. */
static int read_numbers(const char *group, const char *name, long long *first, long long *second)
{
	FILE *file = open_below(group, name);
	int n;

	if (!file)
		return 0;
	n = fscanf(file, "%lld %lld", first, second);
	fclose(file);
	return n;
}

/* Microseconds of each period. Version 2: "150000 100000", or "max 100000"; version 1: two files,
 * and -1 is no limit. */
static unsigned group_quota(const char *group, bool v1)
{
	long long quota, period, none;

	if (!v1)
		return read_numbers(group, "/cpu.max", &quota, &period) == 2
			? rounded_up(quota, period) : UINT_MAX;
	if (read_numbers(group, "/cpu.cfs_quota_us", &quota, &none) < 1 ||
	    read_numbers(group, "/cpu.cfs_period_us", &period, &none) < 1)
		return UINT_MAX;
	return rounded_up(quota, period);
}

struct mount {
	char root[PATH_MAX];  /* which group of the hierarchy the mount shows as its top */
	char point[PATH_MAX];
	bool v1;
};

/* The smallest quota from `group`, a path below the mount, up to the mount itself. */
static unsigned smallest_quota(const char *root, const struct mount *m, const char *group)
{
	char path[PATH_MAX];
	size_t top = strlen(root) + strlen(m->point);
	unsigned smallest = UINT_MAX;

	if (snprintf(path, sizeof path, "%s%s%s", root, m->point, group) >= (int)sizeof path)
		return UINT_MAX;
	for (;;) {
		unsigned quota = group_quota(path, m->v1);
		char *slash = strrchr(path, '/');

		if (quota < smallest)
			smallest = quota;
		if (!slash || (size_t)(slash - path) < top)
			return smallest;
		*slash = 0;
	}
}

/* Is "cpu" a word of the list "rw,cpu,cpuacct"? Takes the list apart. */
static bool names_cpu(char *list)
{
	char *save, *word = strtok_r(list, ",", &save);

	while (word && strcmp(word, "cpu"))
		word = strtok_r(NULL, ",", &save);
	return word != NULL;
}

/* Our group of the hierarchy: lines of /proc/self/cgroup are "4:cpu,cpuacct:/path" (version 1,
 * where the controllers are named) and "0::/path" (version 2). */
static bool own_group(const char *root, bool v1, char *group, size_t size)
{
	FILE *file = open_below(root, "/proc/self/cgroup");
	char *line = NULL;
	size_t room = 0;
	bool found = false;

	if (!file)
		return false;
	while (!found && getline(&line, &room, file) > 0) {
		char *controllers = strchr(line, ':');
		char *path = controllers ? strchr(++controllers, ':') : NULL;

		if (!path)
			continue;
		*path++ = 0;
		path[strcspn(path, "\n")] = 0;
		found = (v1 ? names_cpu(controllers) : !*controllers) &&
			snprintf(group, size, "%s", path) < (int)size;
	}
	free(line);
	fclose(file);
	return found;
}

/* "31 23 0:28 /root /point rw,relatime shared:1 - cgroup cgroup rw,cpu,cpuacct": is it a hierarchy
 * that can hold the cpu controller? A space in a path is written \040 there; such a mount is not
 * found, and does not limit. */
static bool parse_mount(char *line, struct mount *m)
{
	char *tail = strstr(line, " - ");
	char type[16], options[256];

	_Static_assert(PATH_MAX == 4096, "the widths below");
	if (!tail || sscanf(tail, " - %15s %*s %255s", type, options) != 2 ||
	    sscanf(line, "%*s %*s %*s %4095s %4095s", m->root, m->point) != 2)
		return false;
	m->v1 = !strcmp(type, "cgroup");
	if (!m->v1)
		return !strcmp(type, "cgroup2");
	return names_cpu(options);
}

static unsigned mount_quota(const char *root, const struct mount *m)
{
	char group[PATH_MAX];
	size_t above = strcmp(m->root, "/") ? strlen(m->root) : 0;
	const char *below = group;

	if (!own_group(root, m->v1, group, sizeof group))
		return UINT_MAX;
	/* A container without a namespace of its own: the path is the host's, the mount begins
	 * inside. */
	if (!strncmp(group, m->root, above) && (group[above] == '/' || !group[above]))
		below = group + above;
	return smallest_quota(root, m, strcmp(below, "/") ? below : "");
}

unsigned os_cpu_quota(const char *root)
{
	FILE *file = open_below(root, "/proc/self/mountinfo");
	unsigned smallest = UINT_MAX;
	struct mount mount;
	char *line = NULL;
	size_t room = 0;

	if (!file)
		return UINT_MAX;
	while (getline(&line, &room, file) > 0) {
		unsigned found = parse_mount(line, &mount) ? mount_quota(root, &mount) : UINT_MAX;

		if (found < smallest)
			smallest = found;
	}
	free(line);
	fclose(file);
	return smallest;
}
