#!/usr/bin/env python3
"""skipped.py - reports tests that this platform does not run: skipped.py REASON NAME...

As results in TAP, so that every one is counted as skipped, with the reason, and none is forgotten.
"""
import sys

reason, *names = sys.argv[1:]
print(f"1..{len(names)}")
for name in names:
    print(f"ok - {name} # SKIP {reason}")
