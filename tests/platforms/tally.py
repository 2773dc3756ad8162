#!/usr/bin/env python3
"""tally.py - the sums of one test run.

	tests/platforms/tally.py LOG

LOG is Meson's testlog.txt. Counts single laws where a program reports them (TAP), programs
otherwise; a program that died without naming a failed law is one failure more. Prints

	sum PASSED FAILED SKIPPED
	failed NAME: WHAT
	skipped REASON			one line each
"""
import re
import sys

RULER = re.compile(r"^=+ \d+/\d+ =+$", re.M)
PART = re.compile(r"^-+ (stdout|stderr) -+$", re.M)
LAW = re.compile(r"^(not )?ok - (\S+)(.*)$", re.M)
LEFT_OUT = re.compile(r"^left out (\S+): (.*)$", re.M)
SKIPPED = re.compile(r"skipped: (.*)")


def parts(text):
    """(head, stdout, stderr)"""
    pieces = PART.split(text)
    found = dict(zip(pieces[1::2], pieces[2::2]))
    return pieces[0], found.get("stdout", ""), found.get("stderr", "")


def field(head, name):
    match = re.search(rf"^{name}: +(.*)$", head, re.M)
    return match[1] if match else ""


class Sums:
    def __init__(self):
        self.passed, self.failures, self.reasons = 0, [], []

    def add_laws(self, name, laws, why):
        for wrong, law, rest in laws:
            if "# SKIP" in rest:
                self.reasons.append(why.get(law, rest.split("# SKIP", 1)[1].strip()))
            elif wrong:
                self.failures.append(f"{name}: {law}{rest}")
            else:
                self.passed += 1

    def add(self, text):
        head, out, err = parts(text)
        name, result = field(head, "test").removeprefix("fiber:"), field(head, "result")
        laws = LAW.findall(out) if name.startswith("laws ") else []
        before = len(self.failures)
        self.add_laws(name, laws, dict(LEFT_OUT.findall(out + err)))
        if result.startswith("exit status 77"):
            said = SKIPPED.search(out + err)
            self.reasons.append(said[1] if said else f"{name} does not say why")
        elif not result.startswith("exit status 0"):
            if len(self.failures) == before:
                self.failures.append(f"{name}: {result}")
        elif not laws:
            self.passed += 1


def main():
    sums = Sums()
    with open(sys.argv[1], encoding="utf-8", errors="replace") as file:
        for text in RULER.split(file.read())[1:]:
            sums.add(text)
    print("sum", sums.passed, len(sums.failures), len(sums.reasons))
    for failure in sums.failures:
        print("failed", failure)
    for reason in sums.reasons:
        print("skipped", reason)


if __name__ == "__main__":
    main()
