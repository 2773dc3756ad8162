#!/usr/bin/env python3
"""counts.py - the guard of the hot paths: instructions an operation, and no locked one among
them. Of bench-counts, and of counts-foreign, whose figures stand under a key of their own.

    counts.py PROGRAM BUILD            compare with counts.json; exit status 1 if anything grew
    counts.py PROGRAM BUILD --write    make what is measured the new figure

PROGRAM is bench-counts. BUILD says how it was built, as compiler, optimization and asserts
("gcc 12 -O2 ndebug"), because there are figures for each; without any, only the locked instructions
are looked for. Without valgrind the exit status is 77, skipped.

Times vary with the machine, counts do not: each loop runs twice under callgrind, with N and 3 N
turns, and the difference divided by 2 N is what one turn costs, to the instruction. Because a
count cannot see a lock prefix, the same two runs say how often each instruction was executed: those
that lock the bus (lock, xchg with memory) or drain the store buffer (mfence) are counted too, and
more of them than the design promises fail.

For another processor there is no callgrind: qemu-user counts, with --plugin (executed.c);
$FIBER_TEST_EMULATOR is how it is started. PROGRAM is linked statically then. On AArch64
store-exclusives, the atomics of LSE and dmb count as locked."""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

FIGURES = Path(__file__).resolve().parent / 'counts.json'
EMULATOR = shlex.split(os.environ.get('FIBER_TEST_EMULATOR', ''))
TURNS = 4000
TOLERANCE = 0.05
# What is counted, and how many locked instructions a turn may have: none while the process has one
# thread.
LOOPS = {
    'switch bare': 0,
    'switch full': 0,
    'yield': 0,
    'spawn and join': 0,
    'park and unpark': 0,
    'lock and unlock': 0,
    'lock to read': 0,
    'lock to write': 0,
    'post and wait': 0,
    'there and back': 0,
    'through a buffer': 0,
    'resume and yield': 0,
    'resume and yield on a thread': 0,
    'resume and yield, two threads': 1,
    'event of bare epoll': 0,
    'event of a queue': 0,
    # Three, and in a static program six of the C library's around calls that can be cancelled.
    'event of a queue, two threads': 9,
    'lock and unlock on a thread': 0,
    'lock and unlock, two threads': 2,
    'lock to read, two threads': 2,
    'lock to write, two threads': 2,
    'post and wait, two threads': 2,
    'there and back, two threads': 6,
    'through a buffer, two threads': 2,
}
# The same of counts-foreign, beside what is compared there.
FOREIGN = ('call', 'call by libffi', 'spawn', 'spawn a call', 'closure', 'closure by libffi')
LOCKED = re.compile(r'\s(lock\s|xchg\s.*\(|mfence|stl?xr|cas|swp|ld(add|clr|eor|set)|dmb)')


def callgrind(program, loop, turns):
    """{(object, address): executions}"""
    with tempfile.NamedTemporaryFile('r', suffix='.callgrind') as out:
        done = subprocess.run(
            ['valgrind', '--tool=callgrind', f'--callgrind-out-file={out.name}', '--dump-instr=yes',
             '--compress-pos=no', '--compress-strings=no', str(program), loop, str(turns)],
            capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f'counts: {loop}: status {done.returncode}\n{done.stderr}')
        return parse(out)


def emulated(program, loop, turns, plugin):
    """The same from an emulator."""
    with tempfile.NamedTemporaryFile('r', suffix='.counts') as out:
        done = subprocess.run(
            [*EMULATOR, '-plugin', plugin, '-d', 'plugin', '-D', out.name, str(program), loop,
             str(turns)], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f'counts: {loop}: status {done.returncode}\n{done.stderr}')
        return Counter({(program.name, int(address, 16)): int(count)
                        for address, count in map(str.split, out)})


def parse(lines):
    """Cost lines are "address line cost"; after "calls=" stands one of what the callee cost, which
    the callee's own lines already count."""
    executed = Counter()
    where, inclusive = '', False
    for line in lines:
        if line.startswith('ob='):
            where = line[3:].strip()
        elif line.startswith('calls='):
            inclusive = True
        elif line.startswith('0x'):
            if not inclusive:
                address, _, cost = line.split()[:3]
                executed[where, int(address, 16)] += int(cost)
            inclusive = False
    return executed


def objdump():
    return 'aarch64-linux-gnu-objdump' if 'aarch64' in ' '.join(EMULATOR) else 'objdump'


def locked_addresses(program):
    """{address: text} of the locked instructions in the program's own code."""
    listing = subprocess.run([objdump(), '-d', '--no-show-raw-insn', str(program)],
                             capture_output=True, text=True, check=True).stdout
    found = {}
    for line in listing.splitlines():
        if LOCKED.search(line) and ':' in line:
            address, text = line.split(':', 1)
            found[int(address, 16)] = ' '.join(text.split())
    return found


def function_at(program, address):
    text = subprocess.run(['addr2line', '-f', '-e', str(program), hex(address)],
                          capture_output=True, text=True).stdout.splitlines()
    return f'{text[0]} ({Path(text[1]).name})' if len(text) > 1 else '?'


def measure(program, loop, plugin):
    """Instructions for each turn; how many of them are locked, and which."""
    few, many = (emulated(program, loop, turns, plugin) if plugin else
                 callgrind(program, loop, turns) for turns in (TURNS, 3 * TURNS))
    locks = locked_addresses(program)
    more = {key: many[key] - few[key] for key in many if many[key] != few[key]}
    hot = {address: count for (where, address), count in more.items()
           if Path(where).name == program.name and address in locks and count >= TURNS}
    return (sum(more.values()) / (2 * TURNS), sum(hot.values()) / (2 * TURNS),
            [(locks[address], function_at(program, address)) for address in hot])


def compare(loop, count, expected):
    if expected is None:
        return f'{loop}: {count:.1f} instructions, no figure to compare with'
    change = count / expected - 1
    if change > TOLERANCE:
        return f'FAILED {loop}: {count:.1f} instructions, {100 * change:+.1f} % of {expected:.1f}'
    hint = ' (fewer: --write keeps it)' if change < -TOLERANCE else ''
    return f'ok {loop}: {count:.1f} instructions, {100 * change:+.1f} % of {expected:.1f}{hint}'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('program', type=Path)
    parser.add_argument('build')
    parser.add_argument('--plugin', help='what counts, in an emulator')
    parser.add_argument('--write', action='store_true')
    chosen = parser.parse_args()
    for tool in (EMULATOR[0] if chosen.plugin else 'valgrind', objdump(), 'addr2line'):
        if not shutil.which(tool):
            print(f'skipped: {tool} is not installed')
            sys.exit(77)
    figures = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    foreign = 'foreign' in chosen.program.name
    expected = figures.setdefault(chosen.build + ' foreign' * foreign, {})
    lines = []
    for loop, most in (dict.fromkeys(FOREIGN, 0) if foreign else LOOPS).items():
        count, locked, locks = measure(chosen.program, loop, chosen.plugin)
        lines.append(compare(loop, count, None if chosen.write else expected.get(loop)))
        if locked > most + 0.01:
            lines += [f'FAILED {loop}: executes "{text}" in {where}' for text, where in locks]
        if chosen.write:
            expected[loop] = round(count, 1)
    print('\n'.join(lines))
    if chosen.write:
        FIGURES.write_text(json.dumps(figures, indent=1, sort_keys=True) + '\n')
    sys.exit(any(line.startswith('FAILED') for line in lines))


if __name__ == '__main__':
    main()
