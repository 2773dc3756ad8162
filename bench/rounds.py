"""Interleaved rounds: A B C A B C, so that what disturbs the machine disturbs everybody alike.

Whoever fails at a row (a wrong sum, a crash, ten minutes of silence) fails there for good: the cell
says why, and everybody else goes on."""

import os
import subprocess
import time
from collections import defaultdict

import suite

QUICK_SECONDS = 1


class Failed(Exception):
    """One program at one row; the text stands in the cell."""


class Results:
    """samples[row][figure][participant] -> values; the rest of what a table needs beside it."""

    def __init__(self):
        self.samples = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        self.unit = {}
        self.target = {}
        self.operations = {}
        self.notes = defaultdict(list)  # (row, participant) -> texts
        self.empty = {}  # (row, participant) -> why
        self.failed = {}  # (row, participant) -> why; row '': all of it

    def note(self, row, who, text):
        if text not in self.notes[row, who]:
            self.notes[row, who].append(text)

    def add(self, row, figure, who, value, unit, target=0, operations=0):
        self.samples[row][figure][who].append(value)
        self.unit[row, figure] = unit
        if target:
            self.target[row, figure] = target
        if operations:
            self.operations[row, who] = operations


def processors(*cores):
    """These of the allowed ones."""
    allowed = sorted(os.sched_getaffinity(0))
    return {allowed[c % len(allowed)] for c in cores}


def pin(*cores):
    """For preexec_fn: the child stays on these of the allowed processors."""
    chosen = processors(*cores)
    return lambda: os.sched_setaffinity(0, chosen)


def cores_of(workload, row):
    both = workload.helpers or 'two workers' in row or 'second worker' in row
    return (0, 1) if both else (0,)


def output_of(program, *arguments, seconds=600, **more):
    """What it printed, or Failed."""
    try:
        done = subprocess.run([str(program), *arguments], capture_output=True, text=True,
                              timeout=seconds, **more)
    except subprocess.TimeoutExpired:
        raise Failed(f'took longer than {seconds} s') from None
    except (OSError, subprocess.SubprocessError) as error:
        raise Failed(str(error)) from None
    if done.returncode:
        said = done.stderr.strip().splitlines()
        how = 'signal' if done.returncode < 0 else 'status'
        raise Failed(f'{how} {abs(done.returncode)}: {said[0] if said else "said nothing"}')
    return done.stdout


def rows_of(program):
    return output_of(program, '--list', seconds=60).splitlines()


def parse(line):
    """(figure, value, unit, target, operations), or (None, text) for a note."""
    fields = line.split('\t')
    if len(fields) == 3 and fields[1] == 'note':
        return None, fields[2]
    try:
        _, figure, value, unit, target, operations = fields
        return figure, float(value), unit, float(target), int(operations)
    except ValueError:
        raise Failed(f'printed {line!r}') from None


def sample(program, name, cores):
    """One repetition: what its lines say."""
    text = output_of(program, '--row', name, '--samples', '1', preexec_fn=pin(*cores))
    return [parse(line) for line in text.splitlines()]


def record(results, row, who, lines):
    for figure, value, *rest in lines:
        if figure is None:
            results.note(row, who, value)
            continue
        unit, target, operations = rest
        results.add(row, figure, who, value, unit, target if who == suite.FIBER else 0,
                    operations)


def rival_rows(rival, programs, rows, results):
    """{its row: program}; a program that cannot even list its rows has failed at all of them."""
    offers = {}
    for program in programs:
        try:
            offers |= {row: program for row in rows_of(program)}
        except Failed as failure:
            results.failed |= {(row, rival.name): f'{program.name}: {failure}' for row in rows}
    return offers


def why_empty(workload, rival, programs, row):
    if not programs:
        return f'{rival.package} is not installed'
    return (workload.empty.get((rival.name, row)) or workload.empty.get((rival.name, '')) or
            'has no such row')


def participants(workload, ours, rivals, results, rows):
    """[(who, {our row: (program, its row)})], and a reason for every cell that stays empty."""
    everybody = [(suite.FIBER, {row: (ours / workload.program, row) for row in rows})]
    for name in workload.rivals:
        rival = suite.RIVALS[name]
        programs = [rivals / p for p in rival.programs if (rivals / p).exists()]
        offers = rival_rows(rival, programs, rows, results)
        taken = {}
        for row in rows:
            theirs = workload.alias.get(row, row)
            if theirs in offers:
                taken[row] = (offers[theirs], theirs)
            elif (row, name) not in results.failed:
                results.empty[row, name] = why_empty(workload, rival, programs, row)
        everybody.append((name, taken))
    return everybody


def numbered(row, rounds, quick, watch, discarded):
    """1, 2 ... and before them nought, of a round that is not counted. A quick look has further
    rounds only of rows that take little time."""
    begin = time.monotonic()
    for number in range(0 if discarded and not quick else 1, rounds + 1):
        if quick and number > 1 and time.monotonic() - begin > QUICK_SECONDS:
            return
        watch.progress(f'{row}: round {number} of {rounds}')
        yield number


def measure(workload, ours, rivals, rounds, quick, only, watch):
    results = Results()
    rows = [r for r in rows_of(ours / workload.program)
            if not (quick and r in workload.slow) and (not only or r == only)]
    everybody = participants(workload, ours, rivals, results, rows)
    for row in rows:
        cores = cores_of(workload, row)
        results.samples[row]  # also when nobody gets to the end of it
        # The first round meets cold caches and memory that the machine's host has yet to provide.
        for number in numbered(row, rounds, quick, watch, discarded=True):
            for who, taken in everybody:
                if row not in taken or (row, who) in results.failed:
                    continue
                program, name = taken[row]
                try:
                    lines = watch.sample(lambda: sample(program, name, cores))
                except Failed as failure:
                    results.failed[row, who] = str(failure)
                    continue
                if number:
                    record(results, row, who, lines)
    return results
