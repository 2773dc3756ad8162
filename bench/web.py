"""HTTP hello: as fast as it goes under wrk, and at a fixed rate under h2load.

The servers keep connections, answer with the path that was asked for, and write no log; the load
is on the second processor. As fast as it goes, a server that does more with its processor is
ahead; at a fixed rate all do the same work, and what it costs them is compared. Checked: the text
of an answer before the load, and that every request was answered with 200 during it."""

import os
import re
import shutil
import socket
import tempfile
import time
import urllib.request
from pathlib import Path

import rounds as interleaved
from servers import Running, Server, attempt, taking_part
from suite import FIBER

BENCH = Path(__file__).resolve().parent
NGINX, CONNECTIONS, PER_SECOND = 'nginx', 100, 20000
FULL = f'as fast as it goes, {CONNECTIONS} connections (wrk)'
FIXED = f'{PER_SECOND:,} requests a second, {CONNECTIONS} connections (h2load)'
TOOLS = {FULL: 'wrk', FIXED: 'h2load'}
SERVERS = [
    Server(NGINX, (shutil.which('nginx') or '/usr/sbin/nginx',), 'nginx-light'),
    Server(FIBER, ('{ours}/bench-http-fiber', 'tcp:127.0.0.1:0')),
    Server('Go', ('{rivals}/go-http',), 'golang-go'),
]
SOURCES = {FIBER: '../examples/http.c', 'Go': 'rivals/go-http/main.go'}
TITLE = 'HTTP: hello'
ELSEWHERE = ''
ASKED = 'hello'


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as listener:
        return listener.getsockname()[1]


class Nginx(Running):
    """Needs its port and a folder of its own in a file; serves in its first process."""

    def __init__(self, program):
        port = free_port()
        self.folder = tempfile.TemporaryDirectory()
        text = (BENCH / 'rivals/nginx.conf').read_text()
        Path(self.folder.name, 'nginx.conf').write_text(
            text.replace('PORT', str(port)).replace('FOLDER', self.folder.name))
        super().__init__([program, '-p', self.folder.name, '-c', 'nginx.conf', '-e', '/dev/null'],
                         port=port)

    def end(self):
        super().end()
        self.folder.cleanup()


def start(server, ours, rivals):
    command = server.argv(ours, rivals)
    return Nginx(command[0]) if server.name == NGINX else Running(command)


def check(port):
    """Asks until somebody listens; then the answer must be the right one."""
    until = time.monotonic() + 10
    while True:
        try:
            address = f'http://127.0.0.1:{port}/{ASKED}'
            with urllib.request.urlopen(address, timeout=5) as answer:
                said = answer.read()
            break
        except OSError as error:
            if time.monotonic() > until:
                raise interleaved.Failed(str(error)) from None
            time.sleep(0.02)
    if said != f'You asked for /{ASKED}\n'.encode():
        raise interleaved.Failed(f'answered {said[:60]!r}')


def milliseconds(text):
    value, unit = re.fullmatch(r'([\d.]+)(us|ms|s)', text).groups()
    return float(value) * {'us': 0.001, 'ms': 1, 's': 1000}[unit]


def under_wrk(port, seconds):
    """(requests, {figure: (value, unit)})"""
    text = interleaved.output_of('wrk', '-t1', f'-c{CONNECTIONS}', f'-d{seconds}s', '--latency',
                                 f'http://127.0.0.1:{port}/{ASKED}',
                                 preexec_fn=interleaved.pin(1))
    requests = re.search(r'(\d+) requests in', text)
    rate = re.search(r'Requests/sec: +([\d.]+)', text)
    if not requests or not rate or 'Non-2xx' in text or 'Socket errors' in text:
        raise interleaved.Failed(f'wrk: {" ".join(text.split())[-200:]}')
    figures = {'time per request': (1e6 / float(rate.group(1)), 'us')}
    for share in ('50', '99'):
        found = re.search(rf'^ +{share}% +(\S+)$', text, re.M)
        if found:
            figures[f'p{share}'] = (milliseconds(found.group(1)), 'ms')
    return int(requests.group(1)), figures


def under_h2load(port, seconds):
    text = interleaved.output_of('h2load', '--h1', f'-c{CONNECTIONS}', f'-D{seconds}',
                                 f'--rps={PER_SECOND / CONNECTIONS:g}',
                                 f'http://127.0.0.1:{port}/{ASKED}',
                                 preexec_fn=interleaved.pin(1))
    good = re.search(r'status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx', text)
    if not good or ' 0 failed, 0 errored, 0 timeout' not in text or int(good.group(1)) == 0:
        raise interleaved.Failed(f'h2load: {" ".join(text.split())[-200:]}')
    count = int(good.group(1))
    return count, {}


def visit(server, ours, rivals, row, quick):
    with start(server, ours, rivals) as running:
        check(running.port)
        load = under_wrk if row == FULL else under_h2load
        if not quick:
            load(running.port, 1)
        before = running.cpu_seconds()
        requests, figures = load(running.port, 1 if quick else 3)
        cpu = 1e6 * (running.cpu_seconds() - before) / requests
        if row == FIXED and requests < 0.98 * PER_SECOND * (1 if quick else 3):
            figures['behind'] = requests
    return cpu, figures


def one_round(results, servers, ours, rivals, row, quick, watch):
    yardstick = None
    for server in servers:
        seen = attempt(results, row, server.name,
                       lambda: watch.sample(lambda: visit(server, ours, rivals, row, quick)))
        if not seen:
            continue
        cpu, figures = seen
        if figures.pop('behind', None):
            results.note(row, server.name, 'fell behind the rate in some rounds')
        if server.name == NGINX:
            yardstick = cpu
        if yardstick:
            results.add(row, 'CPU over nginx', server.name, cpu / yardstick, '',
                        1.0 if row == FIXED else 0)
        results.add(row, 'CPU per request', server.name, cpu, 'us')
        for figure, (value, unit) in figures.items():
            results.add(row, figure, server.name, value, unit)


def measure(ours, rivals, _, chosen, watch):
    results = interleaved.Results()
    rows = [row for row in TOOLS if not chosen.row or row == chosen.row]
    servers = taking_part(SERVERS, ours, rivals, rows, results)
    for row in rows:
        results.samples[row]  # also when nobody gets to the end of it
        if not shutil.which(TOOLS[row], path=os.environ.get('PATH')):
            results.note(row, FIBER, f'{TOOLS[row]} is not installed')
            continue
        for _ in interleaved.numbered(row, chosen.rounds, chosen.quick, watch, discarded=False):
            one_round(results, servers, ours, rivals, row, chosen.quick, watch)
    return results
