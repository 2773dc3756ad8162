"""Interleaved rounds: A B C A B C, so that what disturbs the machine disturbs everybody alike."""

import os
import subprocess
from collections import defaultdict

import suite


class Results:
    """samples[row][figure][participant] -> values; the rest of what a table needs beside it."""

    def __init__(self):
        self.samples = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        self.unit = {}
        self.target = {}
        self.operations = {}
        self.notes = defaultdict(list)  # (row, participant) -> texts
        self.empty = {}  # (row, participant) -> why

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


def pin(*cores):
    """For preexec_fn: the child stays on these of the allowed processors."""
    allowed = sorted(os.sched_getaffinity(0))
    chosen = {allowed[c % len(allowed)] for c in cores}
    return lambda: os.sched_setaffinity(0, chosen)


def cores_of(row):
    return (0, 1) if 'two workers' in row or 'second worker' in row else (0,)


def rows_of(program):
    done = subprocess.run([str(program), '--list'], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def sample(program, row, name):
    """One repetition; the lines it printed, split."""
    done = subprocess.run([str(program), '--row', name, '--samples', '1'], capture_output=True,
                          text=True, preexec_fn=pin(*cores_of(row)), timeout=600)
    if done.returncode:
        raise SystemExit(f'bench: {program.name}: {name}: status {done.returncode}\n{done.stderr}')
    return [line.split('\t') for line in done.stdout.splitlines()]


def record(results, row, who, lines):
    for line in lines:
        if line[1] == 'note':
            results.note(row, who, line[2])
            continue
        _, figure, value, unit, target, operations = line
        results.add(row, figure, who, float(value), unit,
                    float(target) if who == suite.FIBER else 0, int(operations))


def participants(workload, ours, rivals, results, rows):
    """[(who, {our row: (program, its row)})], and a reason for every cell that stays empty."""
    everybody = [(suite.FIBER, {row: (ours / workload.program, row) for row in rows})]
    for name in workload.rivals:
        rival = suite.RIVALS[name]
        programs = [rivals / p for p in rival.programs if (rivals / p).exists()]
        offers = {row: program for program in programs for row in rows_of(program)}
        taken = {}
        for row in rows:
            theirs = workload.alias.get(row, row)
            if theirs in offers:
                taken[row] = (offers[theirs], theirs)
            elif not programs:
                results.empty[row, name] = f'{rival.package} is not installed'
            else:
                results.empty[row, name] = (workload.empty.get((name, row)) or
                                            workload.empty.get((name, ''), 'has no such row'))
        everybody.append((name, taken))
    return everybody


def measure(workload, ours, rivals, rounds, quick, only, watch):
    results = Results()
    rows = [r for r in rows_of(ours / workload.program)
            if not (quick and r in workload.slow) and (not only or r == only)]
    everybody = participants(workload, ours, rivals, results, rows)
    for row in rows:
        # The first round meets cold caches and memory that the machine's host has yet to provide.
        for number in range(1 if quick else 0, rounds + 1):
            watch.progress(f'{row}: round {number} of {rounds}')
            for who, taken in everybody:
                if row not in taken:
                    continue
                program, name = taken[row]
                lines = watch.sample(lambda: sample(program, row, name))
                if number:
                    record(results, row, who, lines)
    return results
