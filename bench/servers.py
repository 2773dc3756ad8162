"""Servers as the echo, HTTP and delay rows meet them: started on the first processor, asked for a
port, watched by their processor clock, killed at the end."""

import os
import resource
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import rounds as interleaved


@dataclass(frozen=True)
class Server:
    name: str
    command: tuple[str, ...]  # '{ours}' and '{rivals}' are the two folders of programs
    package: str = ''  # what Debian must have installed
    only: tuple[str, ...] = ()  # rows it takes part in; none: all
    reason: str = ''  # why not in the others

    def argv(self, ours, rivals):
        return [part.format(ours=ours, rivals=rivals) for part in self.command]

    def exists(self, ours, rivals):
        program = self.argv(ours, rivals)[0]
        return os.access(program, os.X_OK)


def taking_part(servers, ours, rivals, rows, results):
    """Those whose programs are there; a reason for every cell of the others."""
    present = []
    for server in servers:
        here = server.exists(ours, rivals)
        if here:
            present.append(server)
        for row in rows:
            if not here:
                results.empty[row, server.name] = f'{server.package or "its program"} is missing'
            elif server.only and row not in server.only:
                results.empty[row, server.name] = server.reason
    return present


def attempt(results, row, who, work):
    """What `work` returns; None once it has failed in this row, which the cell then says."""
    if (row, who) in results.failed:
        return None
    try:
        return work()
    except interleaved.Failed as failure:
        results.failed[row, who] = str(failure)
        return None


def on_first_processor():
    """Also with as many descriptors as allowed: some servers do not ask for them themselves."""
    interleaved.pin(0)()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Running:
    """A server from start to end; `port` and the process that serves."""

    def __init__(self, command, before=(), port=None):
        self.pid = None
        self.process = subprocess.Popen([*before, *command], stdout=subprocess.PIPE,
                                        stderr=subprocess.DEVNULL, text=True,
                                        preexec_fn=on_first_processor)
        self.port = port or self.told(command[0])
        self.pid = self.child() if before else self.process.pid

    def told(self, program):
        """Its first line is the port, or ends with it."""
        line = self.process.stdout.readline()
        port = line.strip().rpartition(':')[2]
        if not port.isdigit():
            self.end()
            raise interleaved.Failed(f'{Path(program).name} told no port: {line!r}')
        return int(port)

    def child(self):
        path = f'/proc/{self.process.pid}/task/{self.process.pid}/children'
        return int(Path(path).read_text().split()[0])

    def cpu_seconds(self):
        """Of all its threads, to the nanosecond: the kernel's clock of that process."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def end(self):
        """Of strace and its child, the child is ended; strace tells what it counted then."""
        if self.process.poll() is None:
            os.kill(self.pid or self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()
