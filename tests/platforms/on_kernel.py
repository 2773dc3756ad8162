#!/usr/bin/env python3
"""on_kernel.py - runs tests under a kernel of their own, in an emulated machine.

	tests/platforms/on_kernel.py BUILD SYSROOT KERNEL LOG [--patience N] [--only NAME...]

BUILD is a cross build with its tests, SYSROOT has the libraries that they need, dash and a static
busybox, KERNEL is the kernel's image. All of it becomes an initial file system, whose init runs
every test in BUILD (or those named) and says on the console how each ended. LOG gets that in the
form of Meson's testlog.txt. Ends with 0 if the machine came through, whatever the tests say; a
machine that stops before its last test fails."""
import argparse
import gzip
import io
import json
import os
import re
import stat
import subprocess
import sys
import time

LIBRARIES = ("lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu")
MACHINE = ("qemu-system-aarch64", "-M", "virt,gic-version=3", "-cpu", "max,pauth-impdef=on",
           "-accel", "tcg,thread=multi", "-smp", "2", "-m", "3G", "-nographic", "-no-reboot",
           "-nic", "none", "-monitor", "none", "-serial", "stdio")
SUITES = ("laws", "programs")
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mkdir -p /usr/bin
ln -s /bin/busybox /usr/bin/true
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts /tmp
mount -t devpts pts /dev/pts
mount -t tmpfs tmp /tmp
mount -t tmpfs shm /dev/shm
ln -s /proc/self/fd /dev/fd
ln -s fd/0 /dev/stdin
ln -s fd/1 /dev/stdout
ln -s fd/2 /dev/stderr
ifconfig lo 127.0.0.1 up
ulimit -n 20000
export HOME=/ FIBER_TEST_PATIENCE=%(patience)s
echo "MACHINE up: $(uname -r), $(getconf PAGESIZE 2>/dev/null) $(nproc) processors"
while read -r name seconds arguments; do
	echo "BEGIN $name"
	timeout -s KILL $seconds /tests/$name $arguments 2>/stderr </dev/null
	status=$?
	echo
	echo "STDERR $name"
	tail -c 3000 /stderr
	echo
	echo "END $name $status"
done </tests/list
echo "MACHINE down"
poweroff -f
"""


# ---- the initial file system ---------------------------------------------------------------------

class Archive:
    """A cpio archive in the "newc" form, as the kernel unpacks it."""

    def __init__(self):
        self.out, self.folders, self.number = io.BytesIO(), set(), 0

    def entry(self, name, mode, data=b"", device=(0, 0)):
        self.number += 1
        fields = (self.number, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08X" % field for field in fields)
        for piece in head + name.encode() + b"\0", data:
            self.out.write(piece)
            self.out.write(b"\0" * (-self.out.tell() % 4))

    def add(self, name, data, mode=0o755):
        folder = os.path.dirname(name)
        if folder and folder not in self.folders:
            self.folders.add(folder)
            self.entry(folder, stat.S_IFDIR | 0o755)
        self.entry(name, stat.S_IFREG | mode, data)

    def finish(self):
        self.entry("TRAILER!!!", 0)
        return gzip.compress(self.out.getvalue(), 1)


def read(path):
    with open(path, "rb") as file:
        return file.read()


def needed(path):
    text = subprocess.run(["readelf", "-dW", path], capture_output=True, text=True, check=True)
    return re.findall(r"\(NEEDED\).*\[(.*)\]", text.stdout)


def stripped(path):
    target = path + ".stripped"
    subprocess.run(["aarch64-linux-gnu-strip", "-S", "-o", target, path], check=True)
    data = read(target)
    os.unlink(target)
    return data


def add_libraries(archive, sysroot, programs):
    """What the programs need, and what that needs; backtrace() loads libgcc_s when it is called."""
    wanted, have = {"ld-linux-aarch64.so.1", "libgcc_s.so.1"}, set()
    for program in programs:
        wanted.update(needed(program))
    while wanted - have:
        name = (wanted - have).pop()
        have.add(name)
        path = next((os.path.join(sysroot, folder, name) for folder in LIBRARIES
                     if os.path.exists(os.path.join(sysroot, folder, name))), None)
        if not path:
            sys.exit(f"on_kernel: {name} is not in {sysroot}")
        archive.add("lib/" + name, read(path))
        wanted.update(needed(path))


def file_system(sysroot, tests, patience):
    archive = Archive()
    archive.add("init", (INIT % {"patience": patience}).encode())
    archive.add("bin/busybox", read(os.path.join(sysroot, "bin/busybox")))
    # busybox's own shell ignores SIGQUIT, and hands that on to what tests start with it.
    archive.add("bin/sh", read(os.path.join(sysroot, "bin/dash")))
    for folder in ("proc", "sys", "dev"):
        archive.entry(folder, stat.S_IFDIR | 0o755)
    archive.entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    archive.add("etc/hosts", b"127.0.0.1 localhost\n::1 localhost\n", 0o644)
    archive.add("etc/passwd", b"root:x:0:0:root:/:/bin/sh\n", 0o644)
    archive.add("etc/services", b"http 80/tcp\ndomain 53/udp\ndomain 53/tcp\n", 0o644)
    add_libraries(archive, sysroot, [path for _, path, _, _ in tests])
    for name, path, _, _ in tests:
        archive.add("tests/" + name, stripped(path))
    listed = "".join(f"{name} {seconds} {' '.join(arguments)}\n"
                     for name, _, seconds, arguments in tests)
    archive.add("tests/list", listed.encode(), 0o644)
    return archive.finish()


# ---- the run -------------------------------------------------------------------------------------

def tests_of(build, chosen, patience):
    """[(name, path, seconds, arguments)]"""
    text = subprocess.run(["meson", "introspect", "--tests", build], capture_output=True, text=True,
                          check=True).stdout
    found = []
    for test in json.loads(text):
        path = next((word for word in test["cmd"] if "/tests/test-" in word), None)
        suite = test["suite"][0].split(":")[-1]
        if path and suite in SUITES and (not chosen or test["name"] in chosen):
            arguments = test["cmd"][test["cmd"].index(path) + 1:]
            found.append((test["name"], path, int(test["timeout"] * patience), arguments))
    return sorted(found)


def boot(kernel, image, log):
    """The console's lines, as they come."""
    path = log + ".initrd"
    with open(path, "wb") as file:
        file.write(image)
    command = [*MACHINE, "-kernel", kernel, "-initrd", path, "-append",
               "console=ttyAMA0 quiet panic=-1 random.trust_cpu=1"]
    machine = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    for line in machine.stdout:
        yield line.decode(errors="replace").rstrip("\r\n")
    machine.wait()
    os.unlink(path)


class Console:
    """Turns what the init says into the log."""

    def __init__(self, tests, log):
        self.tests, self.log = {test[0]: test for test in tests}, log
        self.lines, self.done, self.began = [], 0, 0.0

    def take(self, line):
        word, _, rest = line.partition(" ")
        if word == "MACHINE":
            print(line, flush=True)
        elif word == "BEGIN":
            self.lines, self.began = [f"{'-' * 34} stdout {'-' * 34}"], time.time()
        elif word == "STDERR":
            self.lines.append(f"{'-' * 34} stderr {'-' * 34}")
        elif word == "END" and len(rest.split()) == 2:
            self.end(*rest.split())
        else:
            self.lines.append(line)

    def end(self, name, status):
        status, seconds = int(status), time.time() - self.began
        said = f"exit status {status}" if status < 128 else f"killed by signal {status - 128}"
        suite = "laws" if self.tests[name][3] else "programs"
        self.done += 1
        progress = f"{self.done}/{len(self.tests)}"
        print(f"{progress} {name} {said} {seconds:.1f} s", flush=True)
        self.log.write("\n".join([f"{'=' * 34} {progress} {'=' * 34}",
                                  f"test:         {suite} / {name}", f"result:       {said}",
                                  f"duration:     {seconds:.2f}s", *self.lines, ""]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("build", "sysroot", "kernel", "log"):
        parser.add_argument(name)
    parser.add_argument("--patience", type=float, default=4)
    parser.add_argument("--only", nargs="*", default=[])
    chosen = parser.parse_args()
    tests = tests_of(chosen.build, chosen.only, chosen.patience)
    image = file_system(chosen.sysroot, tests, chosen.patience)
    with open(chosen.log, "w", encoding="utf-8") as log:
        console = Console(tests, log)
        for line in boot(chosen.kernel, image, chosen.log):
            console.take(line)
    if console.done < len(tests):
        print("\n".join(console.lines[-40:]))
        print(f"on_kernel: the machine stopped after {console.done} of {len(tests)} tests")
    sys.exit(console.done < len(tests))


if __name__ == "__main__":
    main()
