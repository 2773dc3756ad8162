"""served.py - runs programs of examples/, talks to them over sockets, and says what was expected.

For examples.py and examples_files.py. FOLDER is where the programs were built: sys.argv[2]."""
import os
import shlex
import signal
import socket
import subprocess
import sys

FOLDER = sys.argv[2] if len(sys.argv) > 2 else ""
PATIENCE = 30  # seconds until a wait for something that must happen is given up
# What runs the programs, where they are for another machine.
EMULATOR = shlex.split(os.environ.get("FIBER_TEST_EMULATOR", ""))
SUFFIX = os.environ.get("FIBER_TEST_SUFFIX", "")  # of their files


def expect(true, what):
    if not true:
        sys.exit(f"expected: {what}")


class Server:
    """A program that prints "listening on SCHEME:HOST:PORT" and serves until SIGINT."""

    def __init__(self, name, *arguments):
        self.name = name
        path = os.path.join(FOLDER, name + SUFFIX)
        self.process = subprocess.Popen([*EMULATOR, path, *arguments], stdout=subprocess.PIPE,
                                        text=True)
        line = self.process.stdout.readline()
        expect(line.startswith("listening on "), f"{name} to listen, not {line!r}")
        self.address = line.split()[-1]
        self.port = int(self.address.rsplit(":", 1)[1])

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        self.process.send_signal(signal.SIGINT)
        try:
            status = self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        if kind is None and not self.name.endswith("echo"):  # these have no clean end
            expect(status == 0, f"{self.name} to drain and end with 0, not {status}")

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)


def program(name, *arguments):
    """(exit status, what it printed)"""
    done = subprocess.run([*EMULATOR, os.path.join(FOLDER, name + SUFFIX), *arguments],
                          stdout=subprocess.PIPE, text=True, timeout=PATIENCE, check=False)
    return done.returncode, done.stdout


def receive_all(connection):
    return b"".join(iter(lambda: connection.recv(65536), b""))


def receive_exactly(connection, size):
    got = b""
    while len(got) < size:
        piece = connection.recv(size - len(got))
        expect(piece, f"{size} bytes, not the end after {got!r}")
        got += piece
    return got


def receive_until(connection, end):
    got = b""
    while not got.endswith(end):
        piece = connection.recv(65536)
        expect(piece, f"{end!r}, not the end after {got!r}")
        got += piece
    return got
