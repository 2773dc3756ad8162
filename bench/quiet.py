"""Whether others use the machine while we measure, and waiting until they do not.

A figure taken while other programs ran says little: they take the processor, and the caches. What
they used is all that the processors did, less what we and our children did, over the time of a
sample. A patient run repeats samples that were disturbed, until its patience is used up; any
run counts them, and the report says how many they are."""

import os
import time

SHARE = 0.03  # of all processors; the kernel's own housekeeping is below that
TICK = os.sysconf('SC_CLK_TCK')


def busy_seconds():
    """Of all processors since the start: user, nice, system, irq, softirq, steal."""
    with open('/proc/stat') as file:
        ticks = [int(field) for field in file.readline().split()[1:9]]
    return (sum(ticks) - ticks[3] - ticks[4]) / TICK


def own_seconds():
    t = os.times()
    return t.user + t.system + t.children_user + t.children_system


class Watch:
    def __init__(self, patience_seconds, progress):
        self.until = time.monotonic() + patience_seconds
        self.progress = progress
        self.samples = self.disturbed = 0

    def patient(self):
        return time.monotonic() < self.until

    def others(self, work):
        """What `work` returns, and the share of the machine that others used meanwhile."""
        begin, busy, own = time.monotonic(), busy_seconds(), own_seconds()
        result = work()
        elapsed = max(time.monotonic() - begin, 1 / TICK)
        used = busy_seconds() - busy - (own_seconds() - own)
        # Ticks are coarse: two of them prove nothing.
        return result, max(0, used - 2 / TICK) / (elapsed * os.cpu_count())

    def sample(self, work):
        """Runs `work`, which measures something; again while others disturb it."""
        while self.patient():
            self.wait()
            result, share = self.others(work)
            if share <= SHARE:
                self.samples += 1
                return result
        result, share = self.others(work)
        self.samples += 1
        self.disturbed += share > SHARE
        return result

    def wait(self):
        while self.patient():
            _, share = self.others(lambda: time.sleep(0.5))
            if share <= SHARE:
                return
            self.progress('others use the machine: waiting')
            time.sleep(2)
