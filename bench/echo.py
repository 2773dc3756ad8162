"""The TCP echo rows: every server in turn under the same load, in interleaved rounds.

The server runs on the first processor, the load generator on the second. A visit is a fresh server,
warmed up, then measured: the processor time of its whole process for each echo. What is compared is
the ratio to the hand-written loop's visit in the same round. System calls are counted on separate
runs under strace, as the difference of a long and a short one, so that starting up does not
count."""

import json
import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

import rounds as interleaved
import suite

RATIO = 'CPU over the loop'
CPU = 'CPU per echo'
P50 = 'p50'
P99 = 'p99'
P50_RATIO = 'p50 over the loop'
SPIN_RATIO = 'p50 with idle spin over the loop'
CALLS = 'system calls per echo'
CALLS_CONNECTIONS = 100


def row_name(connections):
    return f'{connections:,} connection{"s" if connections > 1 else ""}'


class Running:
    """A server from start to end; `port` and the process that serves."""

    def __init__(self, command, before=()):
        self.process = subprocess.Popen([*before, *command], stdout=subprocess.PIPE, text=True,
                                        preexec_fn=interleaved.pin(0))
        line = self.process.stdout.readline()
        if not line.strip().isdigit():
            self.process.kill()
            raise SystemExit(f'bench: {command[0]} told no port: {line!r}')
        self.port = int(line)
        self.pid = self.child() if before else self.process.pid

    def child(self):
        path = f'/proc/{self.process.pid}/task/{self.process.pid}/children'
        return int(Path(path).read_text().split()[0])

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()


def load(ours, server, connections, *arguments):
    command = [ours / 'bench-echo-load', server.port, connections, server.pid, *arguments]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300,
                          preexec_fn=interleaved.pin(1))
    if done.returncode:
        raise SystemExit(f'bench: echo: {done.stderr}')
    return json.loads(done.stdout) if done.stdout else None


def command_of(server, ours, rivals):
    return [part.format(ours=ours, rivals=rivals) for part in server.command]


def visit(server, ours, rivals, connections, quick):
    running = Running(command_of(server, ours, rivals))
    try:
        return load(ours, running, connections, *((100, 300) if quick else (300, 1000)))
    finally:
        running.end()


def one_round(results, servers, ours, rivals, connections, quick, watch):
    row = row_name(connections)
    yardstick = None
    for server in servers:
        seen = watch.sample(lambda: visit(server, ours, rivals, connections, quick))
        if server.name == suite.LOOP:
            yardstick = seen
        # The target is about many connections; alone, a server mostly wakes up and goes to sleep.
        target = 1.02 if connections > 1 else 0
        results.add(row, RATIO, server.name, seen['cpu_ns'] / yardstick['cpu_ns'], '', target)
        results.add(row, CPU, server.name, seen['cpu_ns'], 'ns')
        results.add(row, P50, server.name, seen['p50_ns'] / 1000, 'us')
        results.add(row, P99, server.name, seen['p99_ns'] / 1000, 'us')
        if connections == 1:
            ratio = seen['p50_ns'] / yardstick['p50_ns']
            results.add(row, P50_RATIO, server.name, ratio, '', 1.0)
            if server.name == suite.SPINNING:
                results.add(row, SPIN_RATIO, suite.FIBER, ratio, '', 0.5)


def calls_of(server, ours, rivals, echoes):
    """All system calls of the server's threads while so many echoes went over each connection."""
    with tempfile.NamedTemporaryFile('r', suffix='.strace') as file:
        running = Running(command_of(server, ours, rivals), ('strace', '-f', '-c', '-o', file.name))
        load(ours, running, CALLS_CONNECTIONS, '--echoes', echoes)
        running.end()
        table = file.read()
    # % time, seconds, usecs/call, calls, errors if there were any, name; beside it what strace has
    # to say of threads that end while they are traced.
    calls = re.findall(r'^ *[\d.]+ +[\d.]+ +\d+ +(\d+) .*?(\w+)$', table, re.M)
    return sum(int(count) for count, name in calls if name != 'total')


def count_calls(results, servers, ours, rivals, quick):
    short, long = (50, 150) if quick else (200, 600)
    for server in servers:
        if server.only:
            continue
        more = (calls_of(server, ours, rivals, long) - calls_of(server, ours, rivals, short))
        results.add(row_name(CALLS_CONNECTIONS), CALLS, server.name,
                    more / (CALLS_CONNECTIONS * (long - short)), '', 2.03)


def measure(ours, rivals, have, rounds, quick, watch):
    results = interleaved.Results()
    servers = []
    for server in suite.SERVERS:
        if Path(command_of(server, ours, rivals)[0]).exists():
            servers.append(server)
            continue
        for connections in suite.CONNECTIONS:
            results.empty[row_name(connections), server.name] = f'{server.package} is not installed'
    for connections in suite.CONNECTIONS:
        taking_part = [s for s in servers if not s.only or connections in s.only]
        for number in range(1, rounds + 1):
            watch.progress(f'{row_name(connections)}: round {number} of {rounds}')
            one_round(results, taking_part, ours, rivals, connections, quick, watch)
    if have.get('strace'):
        watch.progress('system calls under strace')
        count_calls(results, servers, ours, rivals, quick)
    else:
        results.note(row_name(CALLS_CONNECTIONS), suite.FIBER,
                     'system calls: strace is not installed')
    return results
