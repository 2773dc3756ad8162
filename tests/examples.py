#!/usr/bin/env python3
"""examples.py - every example does what its first comment says, over real sockets.

	tests/examples.py NAME FOLDER

FOLDER is where the programs of examples/ were built; NAME is one of the checks below."""
import os
import re
import shlex
import signal
import socket
import sys
import tempfile

from served import (EMULATOR, FOLDER, PATIENCE, Server, expect, program, receive_all,
                    receive_exactly, receive_until)

CHECKS = {}


def check(function):
    CHECKS[function.__name__] = function
    return function


@check
def echo():
    with Server("echo", "tcp:127.0.0.1:0") as server:
        clients = [server.connect() for _ in range(50)]
        for number, client in enumerate(clients):
            client.sendall(b"%d says " % number * 1000)
        for number, client in enumerate(clients):  # all are open; each gets its own
            client.shutdown(socket.SHUT_WR)
            expect(receive_all(client) == b"%d says " % number * 1000, f"echo {number}")
            client.close()


@check
def dormant_echo():
    with Server("dormant_echo", "tcp:127.0.0.1:0") as server:
        clients = [server.connect() for _ in range(50)]
        for turn in range(20):  # each is dormant in between
            for number, client in enumerate(clients):
                client.sendall(b"%d in turn %d" % (number, turn))
            for number, client in enumerate(clients):
                expected = b"%d in turn %d" % (number, turn)
                expect(receive_exactly(client, len(expected)) == expected, f"echo {number}")
        for client in clients:
            client.shutdown(socket.SHUT_WR)
            expect(receive_all(client) == b"", "hung up on")
            client.close()


@check
def udp_echo():
    with Server("udp_echo", "udp:127.0.0.1:0") as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            client.connect(("127.0.0.1", server.port))
            sent = {b"", b"x" * 1500} | {b"%d" % number for number in range(30)}
            for datagram in sent:  # one burst for all four fibers
                client.send(datagram)
            expect({client.recv(4096) for _ in sent} == sent, "every datagram back, once")


def get(client, path, version="1.1"):
    client.sendall(f"GET {path} HTTP/{version}\r\nHost: test\r\n\r\n".encode())


def answer(body, status="200 OK"):
    return (f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


@check
def http():
    with Server("http", "tcp:127.0.0.1:0") as server:
        client = server.connect()
        for number in range(3):
            get(client, f"/{number}")
            said = receive_until(client, b"\n")
            expect(said == answer(f"You asked for /{number}\n"), f"an answer, not {said!r}")
        get(client, "/a")  # two questions before the first answer
        get(client, "/b", "1.0")
        expect(receive_all(client) == answer("You asked for /a\n") + answer("You asked for /b\n"),
               "both answers, then the end that HTTP/1.0 asked for")
        for request, reply in ((b"POST / HTTP/1.1\r\n\r\n", b"HTTP/1.1 405"),
                               (b"\r\n\r\n", b"HTTP/1.1 400"), (b"\0 \0\r\n\r\n", b"HTTP/1.1 400"),
                               (b"GET /" + b"a" * 2000, b"HTTP/1.1 414"),
                               (b"GET / HTTP/1.1\r\n" + b"a" * 2048, b"HTTP/1.1 431")):
            client = server.connect()
            client.sendall(request)
            expect(client.recv(4096).startswith(reply), f"{reply} to {request[:20]}")
            client.close()
        with server.connect() as idle, server.connect() as talking:
            get(talking, "/last")
            expect(receive_until(talking, b"\n") == answer("You asked for /last\n"), "the answer")
            server.process.send_signal(signal.SIGINT)  # ends although two connections are open
            expect(server.process.wait(PATIENCE) == 0, "http to end with 0")
            expect(receive_all(idle) == b"", "the idle connection to be closed")


@check
def delay():
    with Server("delay_server", "tcp:127.0.0.1:0") as server:
        status, said = program("delay_client", server.address, "150")
        lines = [re.fullmatch(r" *(\d+) ms: (\d) waited-(\d+)", line) for line in said.splitlines()]
        expect(status == 0 and len(lines) == 5 and all(lines), f"five answers, not {said!r}")
        expect([int(line[3]) for line in lines] == [150, 300, 450, 600, 750],
               f"answers in order of delay: {said!r}")
        expect(sorted(int(line[2]) for line in lines) == [1, 2, 3, 4, 5], "numbered requests")
        expect(all(int(line[1]) >= int(line[3]) for line in lines), f"none too early: {said!r}")
        expect(int(lines[-1][1]) < 150 + 300 + 450 + 600 + 750, f"all at once: {said!r}")
        with server.connect() as client:
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            expect(receive_all(client).startswith(b"HTTP/1.0 400"), "400 to a bad request")


def say_until_heard(speaker, line, listener):
    """Says it again and again: before the listener has joined, or while its queue is full, nothing
    comes through. All that the listener heard."""
    heard = b""
    listener.settimeout(0.05)
    while line not in heard:
        speaker.sendall(line)
        try:
            heard += listener.recv(1 << 20)
        except TimeoutError:
            pass
    listener.settimeout(PATIENCE)
    return heard


@check
def chat():
    with Server("chat", "tcp:127.0.0.1:0") as server:
        slow, ann, bob = (server.connect() for _ in range(3))
        say_until_heard(ann, b"hello\n", slow)
        line = b"y" * 200 + b"\n"
        for _ in range(600):  # 12 MB: more than socket buffers and queues take, and nobody reads
            ann.sendall(line * 100)
        say_until_heard(ann, b"to bob\n", bob)
        say_until_heard(bob, b"to ann\n", ann)
        heard = receive_until(slow, b"lines left out)\n")
        told = sum(int(n) for n in re.findall(rb"\((\d+) lines left out\)", heard))
        expect(0 < told < 60000, f"the slow one to be told, not of {told} lines")
        for client in (slow, ann, bob):
            client.close()


def subscribed(server, topic):
    client = server.connect()
    client.sendall(f"sub {topic}\n".encode())
    expect(receive_until(client, b"\n") == b"subscribed\n", f"to be subscribed to {topic}")
    return client


@check
def broker():
    with Server("broker", "tcp:127.0.0.1:0", "8") as server, server.connect() as publisher:
        readers = [subscribed(server, "news") for _ in range(3)]
        other = subscribed(server, "weather")
        publisher.sendall(b"pub news hello all\npub weather rain\npub news good bye\n")
        for reader in readers:
            heard = receive_until(reader, b"bye\n")
            expect(heard == b"hello all\ngood bye\n", f"both lines, not {heard!r}")
        expect(receive_until(other, b"\n") == b"rain\n", "its own topic only")
        with server.connect() as muddled:
            muddled.sendall(b"hello\n")
            expect(receive_all(muddled) == b"what?\n", "a client that makes no sense to be told")
        slow = subscribed(server, "flood")
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        line = b"pub flood " + b"y" * 190 + b"\n"
        for _ in range(600):  # 12 MB: more than socket buffers take, and nobody reads
            publisher.sendall(line * 100)
        publisher.sendall(b"pub flood end\n")
        heard = receive_until(slow, b"end\n")
        missed = sum(int(n) for n in re.findall(rb"\((\d+) missed\)", heard))
        lines = heard.count(b"y" * 190 + b"\n")
        expect(missed > 0 and lines >= 7, f"a slow one to miss some of {lines} + {missed}")
        expect(missed + lines == 60000, f"all accounted for, not {lines} + {missed}")


def told_to_end(server, *clients):
    """Has sent SIGTERM, and every client an unfinished request; the server takes no more."""
    for client in clients:
        client.sendall(b"one\nunfini")
        expect(receive_until(client, b"\n") == b"ONE\n", "an answer")
    server.process.send_signal(signal.SIGTERM)
    line = server.process.stdout.readline()
    expect(line == "signal 15: no more clients\n", f"the signal to be told, not {line!r}")
    try:
        while True:
            server.connect().close()
    except OSError:
        pass


def ended(server, how):
    expect(server.process.wait(PATIENCE) == 0, "graceful to end with 0")
    expect(server.process.stdout.read() == how, f"it to say {how!r}")


@check
def graceful():
    with Server("graceful", "tcp:127.0.0.1:0", str(PATIENCE * 2000)) as server:
        client = server.connect()
        told_to_end(server, client)
        client.sendall(b"shed\n")  # in time
        expect(receive_all(client) == b"UNFINISHED\n", "the answer, whole, and the end")
        ended(server, "done\n")
    with Server("graceful", "tcp:127.0.0.1:0", "200") as server:
        stuck = server.connect()
        told_to_end(server, stuck)
        expect(receive_all(stuck) == b"cut off, sorry\n", "a goodbye, and the end")
        ended(server, "time is up\n")
    with Server("graceful", "tcp:127.0.0.1:0", str(PATIENCE * 2000)) as server:
        stuck, quick = server.connect(), server.connect()
        told_to_end(server, stuck, quick)
        quick.sendall(b"shed\n")
        expect(receive_all(quick) == b"UNFINISHED\n", "an answer beside one that hangs")
        server.process.send_signal(signal.SIGINT)  # whoever is impatient sends another one
        expect(receive_all(stuck) == b"cut off, sorry\n", "a goodbye, and the end")
        ended(server, "done\n")


@check
def proxy():
    with socket.create_server(("127.0.0.1", 0)) as target:
        target.settimeout(PATIENCE)
        port = target.getsockname()[1]
        with Server("proxy", "tcp:127.0.0.1:0", f"tcp:127.0.0.1:{port}") as server:
            # The client ends its half first; the answer still comes.
            client = server.connect()
            behind, _ = target.accept()
            client.sendall(b"question")
            client.shutdown(socket.SHUT_WR)
            expect(receive_all(behind) == b"question", "the question and its end")
            behind.sendall(b"answer" * 100000)
            behind.close()
            expect(receive_all(client) == b"answer" * 100000, "the answer and its end")
            # The server ends its half first; the client may still talk.
            client = server.connect()
            behind, _ = target.accept()
            behind.sendall(b"no more from me")
            behind.shutdown(socket.SHUT_WR)
            expect(receive_all(client) == b"no more from me", "the server's end")
            client.sendall(b"but from me")
            client.close()
            expect(receive_all(behind) == b"but from me", "the client's words and end")


@check
def fan_out():
    with Server("http", "tcp:127.0.0.1:0") as one, Server("http", "tcp:127.0.0.1:0") as two:
        status, said = program("fan_out", "20000", one.address, two.address)
        expect(status == 0 and said.count(" bytes, complete\n") == 2, f"two answers: {said!r}")
        with socket.create_server(("127.0.0.1", 0)) as silent:
            mute = f"tcp:127.0.0.1:{silent.getsockname()[1]}"
            status, said = program("fan_out", "200", one.address, mute)
            expect(status == 1 and f"{mute}: 0 bytes, " in said and "timed out" in said.lower(),
                   f"the deadline to end it: {said!r}")
        # Nobody listens at `mute` any more: its refusal ends the wait for the one that is silent.
        with socket.create_server(("127.0.0.1", 0)) as silent:
            deaf = f"tcp:127.0.0.1:{silent.getsockname()[1]}"
            status, said = program("fan_out", str(PATIENCE * 2000), deaf, mute)
            expect(status == 1 and "refused" in said.lower(), f"the first error to end all: {said}")


@check
def thread_wake():
    status, said = program("thread_wake")
    expect(status == 0 and said == "the thread says 42; meanwhile the ticker ticked\n", repr(said))


@check
def sieve():
    status, said = program("sieve", "1000")
    primes = [n for n in range(2, 1000) if all(n % d for d in range(2, n))]
    expect(status == 0 and said.split() == [str(prime) for prime in primes], repr(said))
    expect(program("sieve", "2") == (0, ""), "no prime below 2")


@check
def producer_consumer():
    status, said = program("producer_consumer")
    expect(status == 0 and said == "producer 0: 1000 items, sum 500500; closed\n"
           "producer 1: 10 items, sum 55; silent, given up\n", repr(said))


@check
def worker_pool():
    status, said = program("worker_pool", "3", "200")
    expect(status == 0 and said == "sum 40200; at most 8 waited; producers were held up\n",
           f"every job done once, and a queue of 8, not {said!r}")
    status, said = program("worker_pool", "20", "3")
    expect(status == 0 and said.startswith("sum 12; "), f"every job done once, not {said!r}")


@check
def rate_limiter():
    status, said = program("rate_limiter", "100", "5", "20")
    calls = re.findall(r"call (\d+) after (\d+) ms\n", said)
    expect(status == 0 and sorted(int(number) for number, _ in calls) == list(range(1, 21)),
           f"20 calls, not {said!r}")
    for before, (_, milliseconds) in enumerate(calls):
        expect(int(milliseconds) >= 10 * (before - 4), f"none too early: {said!r}")


@check
def fibonacci():
    status, said = program("fibonacci", "100")
    expect(status == 0 and said.splitlines() == [
        "0", "1", "1", "2", "3", "5", "8", "13", "21", "34", "55", "89", "12 numbers",
        "deep and flat: same fringe", "deep and swapped: another fringe",
        "deep and longer: another fringe"], repr(said))
    status, said = program("fibonacci", str(2 ** 63))
    numbers = [int(line) for line in said.splitlines()[:93]]
    expect(status == 0 and numbers[:2] == [0, 1] and all(
        a + b == c for a, b, c in zip(numbers, numbers[1:], numbers[2:])), repr(said))


@check
def demo():
    with tempfile.TemporaryDirectory() as folder:
        server = os.path.join(FOLDER, "http")
        if EMULATOR:  # the load starts the server itself
            command = shlex.join([*EMULATOR, server])
            server = os.path.join(folder, "http")
            with open(server, "w", encoding="ascii") as script:
                script.write(f'#!/bin/sh\nexec {command} "$@"\n')
            os.chmod(server, 0o755)
        status, said = program("load", server, "200", "1")
    expect(status == 0 and " 0 wrong, 0 connections failed" in said, said)
    expect("OS threads" in said and said.count("p99.9") == 2, said)


if __name__ == "__main__":
    CHECKS[sys.argv[1]]()
