"""The five delayed requests: a client asks a server five things at once, the slowest first, and
prints the answers as they come. All of them in the time of the longest is the point of the
exercise; what the client costs beside waiting, and how long its source is, are the figures.

The server is ours, on the second processor, for everybody; the clients are processes on the first.
Checked: five answers, each once, in the order of their delays, and none before its time."""

import os
import re
import subprocess
import time

import rounds as interleaved
from servers import Running, Server, attempt, taking_part
from suite import FIBER

ROW = 'five requests'
SERVERS = [
    Server(FIBER, ('{ours}/bench-delay-fiber',)),
    Server('epoll loop', ('{rivals}/delay_epoll',)),
    Server('OS threads', ('{rivals}/delay_threads',)),
    Server('C++20 coroutine', ('{rivals}/delay_cxx20',), 'g++'),
    Server('Tokio', ('{rivals}/tokio-delay',), 'librust-tokio-dev'),
    Server('Go', ('{rivals}/go-delay',), 'golang-go'),
]
SOURCES = {
    FIBER: '../examples/delay_client.c',
    'epoll loop': 'rivals/delay_epoll.c',
    'OS threads': 'rivals/delay_threads.c',
    'C++20 coroutine': 'rivals/delay_cxx20.cc',
    'Tokio': 'rivals/tokio/src/delay.rs',
    'Go': 'rivals/go-delay/main.go',
}
TITLE = 'Five delayed requests: a whole client process'
ELSEWHERE = ''


class DelayServer(Running):
    """On the second processor, since the clients have the first."""

    def __init__(self, ours):
        super().__init__([str(ours / 'bench-delay-server'), 'tcp:127.0.0.1:0'])
        os.sched_setaffinity(self.pid, interleaved.processors(1))


def check(text, step):
    answers = re.findall(r'^ *(\d+) ms: \d+ waited-(\d+)$', text, re.M)
    if [int(asked) for _, asked in answers] != [step * i for i in range(1, 6)]:
        raise interleaved.Failed(f'printed {text!r}')
    for after, asked in answers:
        if int(after) < int(asked):
            raise interleaved.Failed(f'{asked} ms answered after {after}')


def visit(client, ours, rivals, address, step):
    begin = time.monotonic()
    with subprocess.Popen([*client.argv(ours, rivals), address, str(step)], text=True,
                          stdout=subprocess.PIPE, preexec_fn=interleaved.pin(0)) as process:
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        took = time.monotonic() - begin
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise interleaved.Failed(f'status {process.returncode}')
    check(text, step)
    return 1000 * took - 5 * step, 1000 * (usage.ru_utime + usage.ru_stime)


def measure(ours, rivals, _, chosen, watch):
    results = interleaved.Results()
    clients = taking_part(SERVERS, ours, rivals, [ROW], results)
    results.samples[ROW]  # also when nobody gets to the end of it
    step = 20 if chosen.quick else 50
    with DelayServer(ours) as server:
        address = f'tcp:127.0.0.1:{server.port}'
        for number in interleaved.numbered(ROW, chosen.rounds, chosen.quick, watch, True):
            for client in clients:
                seen = attempt(results, ROW, client.name, lambda: watch.sample(
                    lambda: visit(client, ours, rivals, address, step)))
                if seen and number:
                    late, cpu = seen
                    results.add(ROW, 'beyond the longest delay', client.name, late, 'ms')
                    results.add(ROW, 'processor time', client.name, cpu, 'ms')
    return results
