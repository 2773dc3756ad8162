"""The TCP echo rows: every server in turn under the same load, in interleaved rounds.

The server runs on the first processor, the load generator on the second. A visit is a fresh server,
warmed up, then measured: the processor time of its whole process for each echo. What is compared is
the ratio to the hand-written loop's visit in the same round. In the open loop messages begin at
fixed moments, and latencies count from those. System calls are counted on separate runs under
strace, as the difference of a long and a short one, so that starting up does not count."""

import json
import re
import tempfile
from dataclasses import dataclass

import rounds as interleaved
from servers import Running, Server, attempt, taking_part
from suite import FIBER


@dataclass(frozen=True)
class Row:
    name: str
    connections: int
    rate: int = 0  # messages a second in all; 0: the next when the last has come back
    idle: int = 0  # further connections that say nothing


LOOP = 'epoll loop'
SPINNING = 'fiber, idle spin'
ONE = '1 connection'
CALLS_ROW = '100 connections'
IDLE = '100 connections beside 19,000 idle ones'
ROWS = [
    Row(ONE, 1),
    Row(CALLS_ROW, 100),
    Row('1,000 connections', 1000),
    Row('10,000 connections', 10000),
    Row('open loop, 20,000 a second over 100 connections', 100, rate=20000),
    Row(IDLE, 100, idle=19000),
]
ALONE = {'only': (ONE,), 'reason': 'spins, which is for one connection'}
SERVERS = [
    Server(LOOP, ('{rivals}/echo_epoll',)),
    Server(FIBER, ('{ours}/bench-echo-fiber',)),
    Server('fiber, io_uring', ('{ours}/bench-echo-fiber', '--poller', 'io_uring')),
    Server('fiber, dormant', ('{ours}/bench-echo-dormant', 'tcp:127.0.0.1:0')),
    Server(SPINNING, ('{ours}/bench-echo-fiber', '--spin', '1000000'), **ALONE),
    Server('epoll loop, spinning', ('{rivals}/echo_epoll', 'spin'), **ALONE),
    Server('io_uring loop', ('{rivals}/echo_uring',), 'liburing-dev'),
    Server('C++20 coroutine', ('{rivals}/echo_cxx20',), 'g++'),
    Server('libuv', ('{rivals}/echo_uv',), 'libuv1-dev'),
    Server('Tokio', ('{rivals}/tokio-echo',), 'librust-tokio-dev'),
    Server('State Threads', ('{rivals}/echo_st',), 'libst-dev'),
    Server('Go', ('{rivals}/go-echo',), 'golang-go'),
    Server('OS threads', ('{rivals}/echo_threads',)),
]
SOURCES = {
    LOOP: 'rivals/echo_epoll.c',
    FIBER: 'echo/fiber.c',
    'fiber, dormant': '../examples/dormant_echo.c',
    'io_uring loop': 'rivals/echo_uring.c',
    'C++20 coroutine': 'rivals/echo_cxx20.cc',
    'libuv': 'rivals/echo_uv.c',
    'Tokio': 'rivals/tokio/src/echo.rs',
    'State Threads': 'rivals/echo_st.c',
    'Go': 'rivals/go-echo/main.go',
    'OS threads': 'rivals/echo_threads.c',
}
ELSEWHERE = 'CPU per echo over the loop: libdill 1.07, Photon 1.13'
TITLE = 'TCP echo, 64-byte messages'

RATIO = 'CPU over the loop'
CALLS = 'system calls per echo'


def load(ours, server, connections, *arguments):
    command = [server.port, connections, server.pid, *arguments]
    text = interleaved.output_of(ours / 'bench-echo-load', *[str(c) for c in command], seconds=300,
                                 preexec_fn=interleaved.pin(1))
    return json.loads(text) if text else None


def visit(server, ours, rivals, row, quick):
    with Running(server.argv(ours, rivals)) as running:
        times = (50, 150) if quick else (200, 800)
        return load(ours, running, row.connections, *times, '--rate', row.rate, '--idle', row.idle)


def record(results, row, who, seen, yardstick):
    if yardstick:
        # The target is about many connections; alone, a server mostly wakes up and goes to sleep.
        target = 1.02 if row.connections > 1 and not row.idle else 0
        results.add(row.name, RATIO, who, seen['cpu_ns'] / yardstick['cpu_ns'], '', target)
    results.add(row.name, 'CPU per echo', who, seen['cpu_ns'], 'ns')
    results.add(row.name, 'p50', who, seen['p50_ns'] / 1000, 'us')
    results.add(row.name, 'p99', who, seen['p99_ns'] / 1000, 'us')
    if row.rate:
        results.add(row.name, 'p99.9', who, seen['p999_ns'] / 1000, 'us')
        if seen['per_second'] < 0.98 * row.rate:
            results.note(row.name, who, f'fell behind: {seen["per_second"]:,} a second')
    if row.connections + row.idle >= 10000:
        target = 300 if row.idle else 0
        results.add(row.name, 'memory per connection', who, seen['bytes'], 'bytes', target)
    if row.name == ONE and yardstick:
        ratio = seen['p50_ns'] / yardstick['p50_ns']
        results.add(row.name, 'p50 over the loop', who, ratio, '', 1.0)
        if who == SPINNING:
            results.add(row.name, 'p50 with idle spin over the loop', FIBER, ratio, '', 0.5)


def one_round(results, servers, ours, rivals, row, quick, watch):
    yardstick = None
    for server in servers:
        if server.only and row.name not in server.only:
            continue
        seen = attempt(results, row.name, server.name,
                       lambda: watch.sample(lambda: visit(server, ours, rivals, row, quick)))
        if server.name == LOOP:
            yardstick = seen
        if seen:
            record(results, row, server.name, seen, yardstick)


def calls_of(server, ours, rivals, echoes):
    """All system calls of the server's threads while so many echoes went over each connection."""
    with tempfile.NamedTemporaryFile('r', suffix='.strace') as file:
        with Running(server.argv(ours, rivals),
                     ('strace', '-f', '-c', '-o', file.name)) as running:
            load(ours, running, 100, '--echoes', echoes)
        table = file.read()
    # % time, seconds, usecs/call, calls, errors if there were any, name; beside it what strace has
    # to say of threads that end while they are traced.
    calls = re.findall(r'^ *[\d.]+ +[\d.]+ +\d+ +(\d+) .*?(\w+)$', table, re.M)
    return sum(int(count) for count, name in calls if name != 'total')


def count_calls(results, servers, ours, rivals, quick):
    short, long = (50, 150) if quick else (200, 600)

    def more(server):
        return calls_of(server, ours, rivals, long) - calls_of(server, ours, rivals, short)

    for server in servers:
        if server.only:
            continue
        calls = attempt(results, CALLS_ROW, server.name, lambda: more(server))
        if calls is not None:
            results.add(CALLS_ROW, CALLS, server.name, calls / (100 * (long - short)), '', 2.03)


def measure(ours, rivals, have, chosen, watch):
    results = interleaved.Results()
    rows = [row for row in ROWS if (not chosen.row or row.name == chosen.row) and
            not (chosen.quick and row.connections + row.idle >= 10000)]
    servers = taking_part(SERVERS, ours, rivals, [row.name for row in rows], results)
    for row in rows:
        results.samples[row.name]  # also when nobody gets to the end of it
        for _ in interleaved.numbered(row.name, chosen.rounds, chosen.quick, watch,
                                      discarded=False):
            one_round(results, servers, ours, rivals, row, chosen.quick, watch)
    if not have.get('strace'):
        results.note(CALLS_ROW, FIBER, 'system calls: strace is not installed')
    elif any(row.name == CALLS_ROW for row in rows):
        watch.progress('system calls under strace')
        count_calls(results, servers, ours, rivals, chosen.quick)
    return results
