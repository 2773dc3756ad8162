#!/usr/bin/env python3
"""examples_queue.py - the examples of the event queue do what they say.

	tests/examples_queue.py NAME FOLDER

As tests/examples.py."""
import os
import re
import sys
import tempfile

from served import PATIENCE, Server, expect, program


def queue_pingpong():
    for rounds in (1, 7, 5000):
        status, said = program("queue_pingpong", str(rounds))
        expect(status == 0 and said == f"{rounds} pings heard, {rounds} pongs\n", repr(said))


def queue_timeout():
    for ms in (0, 1, 30, 300):
        status, said = program("queue_timeout", str(ms))
        match = re.fullmatch(r"0 events after (\d+) us\n", said)
        expect(status == 0 and match, f"no event, not {said!r}")
        expect(ms * 1000 <= int(match[1]) < PATIENCE * 1_000_000, f"{ms} ms, not {said!r}")


def queue_raise():
    for _ in range(5):
        status, said = program("queue_raise")
        expect(status == 0 and said == f"50 threads, 50 of them told once; sum {49 * 50}\n",
               repr(said))


def queue_delay():
    with Server("delay_server", "tcp:127.0.0.1:0") as server:
        status, said = program("queue_delay", server.address, "150")
        lines = [re.fullmatch(r" *(\d+) ms: (\d) waited-(\d+)", line) for line in said.splitlines()]
        expect(status == 0 and len(lines) == 5 and all(lines), f"five answers, not {said!r}")
        expect([int(line[3]) for line in lines] == [150, 300, 450, 600, 750],
               f"answers in order of delay: {said!r}")
        expect(all(int(line[1]) >= int(line[3]) for line in lines), f"none too early: {said!r}")
        expect(int(lines[-1][1]) < 150 + 300 + 450 + 600 + 750, f"all at once: {said!r}")


def queue_file():
    with tempfile.TemporaryDirectory() as folder:
        names, answers = [], []
        for number in range(40):
            name = os.path.join(folder, str(number))
            with open(name, "wb") as file:
                file.write(b"a line\n" * (number * 1000))
            names.append(name)
            answers.append(f"{name}: {number * 7000} bytes, {number * 1000} lines")
        missing = os.path.join(folder, "missing")
        status, said = program("queue_file", *names, missing)
        lines = said.splitlines()
        expect(status == 0 and len(lines) == 41, f"41 answers, not {said!r}")
        expect(sorted(lines[:40]) == sorted(answers), f"each once: {said!r}")
        expect(lines[40].startswith(f"{missing}: "), f"an error: {lines[40]!r}")


if __name__ == "__main__":
    {name: call for name, call in globals().items() if name.startswith("queue_")}[sys.argv[1]]()
