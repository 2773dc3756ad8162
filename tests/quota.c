/* The cpu quota of control groups, read from trees that look like /proc and /sys/fs/cgroup. */
#include "os/quota.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static void begin(void)
{
	snprintf(root, sizeof root, "%s/fiber-quota-XXXXXX", P_tmpdir);
	cr_assert(mkdtemp(root));
}

static int remove_one(const char *path, const struct stat *s, int type, struct FTW *at)
{
	(void)s, (void)type, (void)at;
	return remove(path);
}

static void end(void)
{
	nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

TestSuite(quota, .init = begin, .fini = end, .timeout = 10);

/* A file below root, with the folders that lead to it. */
static void put(const char *name, const char *text)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof path, "%s%s", root, name);
	for (char *slash = path + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = 0;
		mkdir(path, 0700);
		*slash = '/';
	}
	file = fopen(path, "w");
	cr_assert(file, "%s", path);
	fputs(text, file);
	fclose(file);
}

static void version_2(const char *own, const char *shown, const char *point)
{
	char line[512];

	snprintf(line, sizeof line, "0::%s\n", own);
	put("/proc/self/cgroup", line);
	snprintf(line, sizeof line,
		 "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
		 "31 22 0:28 %s %s rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
		 shown, point);
	put("/proc/self/mountinfo", line);
}

Test(quota, nothing_to_read_is_no_limit)
{
	cr_expect(os_cpu_quota(root) == UINT_MAX);
	put("/proc/self/mountinfo", "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\nnonsense\n\n");
	cr_expect(os_cpu_quota(root) == UINT_MAX);
	version_2("/", "/", "/sys/fs/cgroup");
	cr_expect(os_cpu_quota(root) == UINT_MAX);
}

Test(quota, part_of_a_processor_counts_as_one)
{
	static const struct { const char *text; unsigned processors; } cases[] = {
		{ "max 100000\n", UINT_MAX }, { "200000 100000\n", 2 }, { "200001 100000\n", 3 },
		{ "1000 100000\n", 1 }, { "50000 50000\n", 1 }, { "0 100000\n", UINT_MAX },
		{ "-1 100000\n", UINT_MAX }, { "100000 0\n", UINT_MAX }, { "", UINT_MAX },
		{ "9223372036854775807 1\n", UINT_MAX },
	};

	version_2("/app", "/", "/sys/fs/cgroup");
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		put("/sys/fs/cgroup/app/cpu.max", cases[i].text);
		cr_expect(os_cpu_quota(root) == cases[i].processors, "\"%s\": %u", cases[i].text,
			  os_cpu_quota(root));
	}
}

Test(quota, the_smallest_of_all_ancestors_rules)
{
	version_2("/a/b/c", "/", "/sys/fs/cgroup");
	put("/sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
	cr_expect(os_cpu_quota(root) == 8);
	put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
	put("/sys/fs/cgroup/a/cpu.max", "300000 100000\n");
	cr_expect(os_cpu_quota(root) == 3);
	put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
	cr_expect(os_cpu_quota(root) == 1);
	/* Beside us, and above the mount: not our business. */
	put("/sys/fs/cgroup/a/x/cpu.max", "1 100000\n");
	put("/sys/fs/cpu.max", "1 100000\n");
	put("/sys/fs/cgroup/cpu.max", "max 100000\n");
	cr_expect(os_cpu_quota(root) == 3);
}

Test(quota, a_mount_that_shows_a_part_of_the_tree_begins_there)
{
	version_2("/docker/f00/inner", "/docker/f00", "/sys/fs/cgroup");
	put("/sys/fs/cgroup/inner/cpu.max", "500000 100000\n");
	cr_expect(os_cpu_quota(root) == 5);
	put("/sys/fs/cgroup/cpu.max", "400000 100000\n");
	cr_expect(os_cpu_quota(root) == 4);
	/* The same letters at the start, but another group. */
	version_2("/docker/f00bar", "/docker/f00", "/sys/fs/cgroup");
	put("/sys/fs/cgroup/bar/cpu.max", "100000 100000\n");
	cr_expect(os_cpu_quota(root) == 4);
}

Test(quota, version_1_is_two_files_of_the_cpu_controller)
{
	put("/proc/self/cgroup", "9:cpuset:/elsewhere\n4:cpuacct,cpu:/app\n1:name=x:/\n0::/\n");
	put("/proc/self/mountinfo",
	    "32 31 0:29 / /cg/cpuset rw - cgroup cgroup rw,cpuset\n"
	    "33 31 0:30 / /cg/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n");
	put("/cg/cpuset/elsewhere/cpu.cfs_quota_us", "1\n");
	put("/cg/cpuset/elsewhere/cpu.cfs_period_us", "100000\n");
	put("/cg/cpu,cpuacct/app/cpu.cfs_quota_us", "-1\n");
	put("/cg/cpu,cpuacct/app/cpu.cfs_period_us", "100000\n");
	cr_expect(os_cpu_quota(root) == UINT_MAX);
	put("/cg/cpu,cpuacct/app/cpu.cfs_quota_us", "250000\n");
	cr_expect(os_cpu_quota(root) == 3);
	put("/cg/cpu,cpuacct/cpu.cfs_quota_us", "150000\n");
	put("/cg/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
	cr_expect(os_cpu_quota(root) == 2);
}

Test(quota, of_both_versions_at_once_the_smaller_rules)
{
	put("/proc/self/cgroup", "4:cpu:/one\n0::/two\n");
	put("/proc/self/mountinfo", "33 31 0:30 / /cg/cpu rw - cgroup cgroup rw,cpu\n"
				    "38 31 0:38 / /cg/unified rw - cgroup2 cgroup2 rw\n");
	put("/cg/cpu/one/cpu.cfs_quota_us", "600000\n");
	put("/cg/cpu/one/cpu.cfs_period_us", "100000\n");
	put("/cg/unified/two/cpu.max", "700000 100000\n");
	cr_expect(os_cpu_quota(root) == 6);
	put("/cg/unified/two/cpu.max", "200000 100000\n");
	cr_expect(os_cpu_quota(root) == 2);
}
