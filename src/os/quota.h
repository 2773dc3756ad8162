/* quota.h - how much processor time the control groups grant this process. */
#ifndef FB_OS_QUOTA_H
#define FB_OS_QUOTA_H

/* In processors, rounded up: half a one needs a worker too. UINT_MAX: no limit. `root` is put
 * before every path: "" is this machine, tests bring a tree of their own. */
unsigned os_cpu_quota(const char *root);

#endif
