#!/usr/bin/env python3
"""tally.py - the sums of one test run.

	tests/platforms/tally.py LOG [SECOND]
	tests/platforms/tally.py --failing LOG		the tests that failed, one name a line

LOG is Meson's testlog.txt. Counts single laws where a program reports them (TAP), programs
otherwise; a program that died without naming a failed law is one failure more. SECOND is the log of
a second try of tests that failed: what they say there counts instead. Prints

	sum PASSED FAILED SKIPPED
	failed NAME: WHAT
	again NAME			it passed at the second try
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


def tests_of(path):
    """{name: what the log says of it}"""
    with open(path, encoding="utf-8", errors="replace") as file:
        texts = RULER.split(file.read())[1:]
    return {field(parts(text)[0], "test").removeprefix("fiber:"): text for text in texts}


def failed(text):
    sums = Sums()
    sums.add(text)
    return bool(sums.failures)


def main():
    if sys.argv[1] == "--failing":
        for name, text in tests_of(sys.argv[2]).items():
            if failed(text):
                print(name.split(" / ")[-1])
        return
    first = tests_of(sys.argv[1])
    second = tests_of(sys.argv[2]) if len(sys.argv) > 2 else {}
    sums = Sums()
    for text in {**first, **second}.values():
        sums.add(text)
    print("sum", sums.passed, len(sums.failures), len(sums.reasons))
    for failure in sums.failures:
        print("failed", failure)
    for name, text in second.items():
        if not failed(text):
            print("again", name)
    for reason in sums.reasons:
        print("skipped", reason)


if __name__ == "__main__":
    main()
