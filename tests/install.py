#!/usr/bin/env python3
"""install.py - what `meson install` leaves is enough to build and run a program elsewhere.

	tests/install.py BUILD_DIRECTORY CC [OPTION...]

Installs into a temporary directory, then compiles a small program that includes every public
header, against the shared and the static library, with nothing but what pkg-config says, and runs
both. OPTION is what CC needs to find the system's libraries."""
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile

# What runs the program, where it is for another machine.
EMULATOR = shlex.split(os.environ.get("FIBER_TEST_EMULATOR", ""))
PROGRAM = r"""
#include <errno.h>

/* Needs what the library itself was built with: libffi, where that was there. */
static int foreign(void)
{
	fiber_signature_t *sig;
	int r = fiber_signature_create(&sig, "i(p)", NULL);

	if (r == 0)
		fiber_signature_free(sig);
	return r == -ENOTSUP ? 0 : r;
}

static int hello(void *arg)
{
	fiber_yield();
	return foreign() < 0 ? 0 : *(int *)arg;
}

int main(void)
{
	int seven = 7;

	return fiber_run(NULL, hello, &seven) == 7 ? 0 : 1;
}
"""


def run(*command, **options):
    done = subprocess.run(command, text=True, capture_output=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.split()


def find(folder, name):
    for place, _, names in os.walk(folder):
        if name in names:
            return place
    sys.exit(f"{name} was not installed")


def public_headers():
    folder = pathlib.Path(__file__).resolve().parent.parent / "include"
    return sorted(str(header.relative_to(folder)) for header in folder.rglob("*.h"))


def main():
    build, cc, options = sys.argv[1], sys.argv[2], sys.argv[3:]
    with tempfile.TemporaryDirectory() as stage:
        run("meson", "install", "-C", build, "--no-rebuild", "--destdir", stage)
        libraries = find(stage, "libfiber.a")
        find(stage, "libfiber.so")
        where = {**os.environ, "PKG_CONFIG_PATH": find(stage, "fiber.pc"),
                 "PKG_CONFIG_SYSROOT_DIR": stage, "LD_LIBRARY_PATH": libraries}
        cflags = run("pkg-config", "--cflags", "fiber", env=where)
        if "-fstack-clash-protection" not in cflags:
            sys.exit(f"pkg-config --cflags lacks -fstack-clash-protection: {cflags}")
        shared = run("pkg-config", "--libs", "fiber", env=where)
        static = [os.path.join(libraries, "libfiber.a") if flag == "-lfiber" else flag
                  for flag in run("pkg-config", "--static", "--libs", "fiber", env=where)]
        source = os.path.join(stage, "program.c")
        with open(source, "w", encoding="ascii") as file:
            file.writelines(f"#include <{header}>\n" for header in public_headers())
            file.write(PROGRAM)
        for name, libs in (("shared", shared), ("static", static)):
            program = os.path.join(stage, name)
            run(cc, *options, source, "-Wall", "-Werror", *cflags, "-o", program, *libs)
            run(*EMULATOR, program, env=where)


if __name__ == "__main__":
    main()
