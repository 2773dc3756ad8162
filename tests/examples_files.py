#!/usr/bin/env python3
"""examples_files.py - the examples about files and about libraries of others do what they say.

	tests/examples_files.py NAME FOLDER

As tests/examples.py."""
import http.server
import os
import re
import sys
import tempfile
import threading
import zlib

from served import Server, expect, program, receive_until


def file_of(client, name):
    """The contents of a file, as the server sends it."""
    client.sendall(name + b"\n")
    stream = client.makefile("rb")
    head = stream.readline()
    expect(head.startswith(b"OK "), f"{name} to be sent, not {head!r}")
    return stream.read(int(head.split()[1]))


def error_of(client, name):
    client.sendall(name + b"\n")
    said = receive_until(client, b"\n")
    expect(said.startswith(b"ERROR "), f"an error for {name}, not {said!r}")
    return said


def can_resolve(server):
    """False: before Linux 5.6, and in some emulators, there is no openat2(2)."""
    with server.connect() as client:
        client.sendall(b"small\n")
        return b"not implemented" not in receive_until(client, b"\n")


def answers(server):
    with server.connect() as client:
        for name, text in ((b"small", b"hello\n"), (b"empty", b""), (b"folder/deep", b"deep"),
                           (b"link", b"deep"), (b"folder/../small", b"hello\n")):
            expect(file_of(client, name) == text, f"the contents of {name}")
        for name, why in ((b"../secret", b"outside"), (b"folder/../../secret", b"outside"),
                          (b"escape", b"outside"), (b"absolute", b"outside"),
                          (b"/etc/passwd", b"outside"), (b"absent", b"No such file"),
                          (b"", b"No such file"), (b"folder", b"a directory"),
                          (b"fifo", b"no regular file"), (b"small\0x", b"zero byte")):
            expect(why in (said := error_of(client, name)), f"{why} of {name}, not {said!r}")
        expect(file_of(client, b"small") == b"hello\n", "the connection to go on after errors")
    with server.connect() as client:
        expect(b"too long" in error_of(client, b"x" * 5000), "a long name to be refused")


def leavers(server, huge):
    leaving = [server.connect() for _ in range(20)]
    for client in leaving:  # half-way
        client.sendall(b"huge\n")
        expect(client.recv(1000).startswith(b"OK "), "the beginning")
        client.close()
    with server.connect() as client, server.connect() as mute:
        mute.sendall(b"huge\n")  # and takes none of it
        expect(file_of(client, b"huge") == huge, "every byte of the huge one")


def file_server():
    with tempfile.TemporaryDirectory() as outside:
        inside = os.path.join(outside, "inside")
        os.makedirs(os.path.join(inside, "folder"))
        huge = os.urandom(1 << 20) * 32
        for name, text in {"secret": b"secret", "inside/small": b"hello\n", "inside/empty": b"",
                           "inside/folder/deep": b"deep", "inside/huge": huge}.items():
            with open(os.path.join(outside, name), "wb") as file:
                file.write(text)
        os.symlink("../secret", os.path.join(inside, "escape"))
        os.symlink("/etc/passwd", os.path.join(inside, "absolute"))
        os.symlink("folder/deep", os.path.join(inside, "link"))
        os.mkfifo(os.path.join(inside, "fifo"))
        with Server("file_server", "tcp:127.0.0.1:0", inside) as server:
            if not can_resolve(server):
                print("no openat2(2) here")
                sys.exit(77)
            answers(server)
            leavers(server, huge)


def sqlite():
    with tempfile.TemporaryDirectory() as folder:
        status, said = program("sqlite", os.path.join(folder, "bank"), "100")
        match = re.fullmatch(r"100 deposits, (\d+) beats meanwhile\n", said)
        expect(status == 0 and match and int(match[1]) > 0, f"100 deposits and beats, not {said!r}")


def digest():
    with tempfile.TemporaryDirectory() as folder:
        paths, expected = [], set()
        for number in range(12):
            paths.append(os.path.join(folder, f"file{number}"))
            data = b"".join(b"%d %d\n" % (number, line * line) for line in range(60000))
            with open(paths[-1], "wb") as file:
                file.write(data)
            expected.add(f"{zlib.crc32(data):08x} {len(data)} "
                         f"{len(zlib.compress(data, 9))} {paths[-1]}")
        status, said = program("digest", *paths)
        lines = said.splitlines()
        expect(status == 0 and set(lines[:-1]) == expected, f"the digests, not {said!r}")
        match = re.fullmatch(r"12 files, (\d+) beats, in (\d+) of 11 gaps between completions",
                             lines[-1])
        expect(match and int(match[2]) > 0, f"beats between completions, not {lines[-1]!r}")
        expect(program("digest", os.path.join(folder, "absent"))[0] == 1, "an error for no file")


def sort():
    numbers = [number * 7919 % 1009 - 500 for number in range(300)]
    status, said = program("sort", *map(str, numbers))
    lines = said.splitlines()
    expect(status == 0 and lines[0].split() == [str(n) for n in sorted(numbers)],
           f"the numbers in order, not {said!r}")
    match = re.fullmatch(r"(\d+) comparisons, (\d+) turns of another fiber", lines[1])
    expect(match and int(match[1]) > 300 and int(match[2]) > 300, f"turns, not {lines[1]!r}")


class Bodies(http.server.BaseHTTPRequestHandler):
    """/N: N bytes, of which the first says how the rest follow."""

    def do_GET(self):
        try:
            body = body_of(int(self.path[1:]))
        except ValueError:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def body_of(length):
    return bytes(i * i % 251 for i in range(length))


def sum_of(body):
    total = 0
    for byte in body:
        total = (total * 31 + byte) % 1000000007
    return total


def fetch():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bodies)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}/"
    lengths = [1, 20000, 70000, 150000, 200000]
    status, said = program("fetch", "2000000", *(f"{base}{n}" for n in lengths))
    lines = said.splitlines()
    expected = {f"{sum_of(body_of(n))} {n} {base}{n}" for n in lengths}
    expect(status == 0 and set(lines[:-1]) == expected, f"{expected}, not {said!r}")
    match = re.fullmatch(r"(\d+) pieces, (\d+) beats", lines[-1])
    expect(match and int(match[1]) >= 5 and int(match[2]) > 0, f"beats, not {lines[-1]!r}")
    expect(program("fetch", "1000000", base + "absent")[0] == 1, "an error for what is not there")
    server.shutdown()


CHECKS = {check.__name__: check for check in (file_server, sqlite, digest, sort, fetch)}

if __name__ == "__main__":
    CHECKS[sys.argv[1]]()
