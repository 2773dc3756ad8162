#!/usr/bin/env python3
"""assembles.py - the assembly is right for systems that it can't run on here.

	tests/assembles.py FOLDER

FOLDER is arch/. clang assembles each file for every system that has its ABI. What comes out must
hold the same instructions for all of them, because assemblers differ in what begins a comment, and
the rest of such a line would vanish silently. Ends with 0, with 1 and a line per finding, or with
77 without clang or its disassembler."""
import os
import re
import shutil
import subprocess
import sys
import tempfile

TARGETS = {
    "aarch64_aapcs.S": ("aarch64-unknown-linux-gnu", "aarch64-unknown-freebsd",
                        "arm64-apple-macos11"),
    "x86_64_sysv.S": ("x86_64-unknown-linux-gnu", "x86_64-unknown-freebsd"),
}
# Protected and not. Each is another sequence of instructions.
FLAGS = {"aarch64": ("-mbranch-protection=none", "-mbranch-protection=standard",
                     "-mbranch-protection=pac-ret+b-key"),
         "x86_64": ("-fcf-protection=none", "-fcf-protection=full")}
VERSIONS = ("-19", "-16", "-14", "")


def find(tool):
    return next(filter(None, (shutil.which(tool + version) for version in VERSIONS)), None)


def instructions(clang, objdump, source, target, flag):
    """[(mnemonic, registers)]; addresses and names of places differ and are left out."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "switch.o")
        run = subprocess.run([clang, f"--target={target}", flag, "-c", source, "-o", path],
                             capture_output=True, text=True, check=False)
        if run.returncode:
            return run.stderr.strip()
        text = subprocess.run([objdump, "-d", "--no-show-raw-insn", path], capture_output=True,
                              text=True, check=True).stdout
    found = []
    for line in text.splitlines():
        match = re.match(r"\s*[0-9a-f]+:\s+(\S+)\s*([^<]*)", line)
        if match:
            found.append((match[1], re.sub(r"0x[0-9a-f]+|\b[0-9a-f]+\b", "", match[2]).strip()))
    return found


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    clang, objdump = find("clang"), find("llvm-objdump")
    if not clang or not objdump:
        print("skipped: there is no clang with llvm-objdump")
        sys.exit(77)
    findings = []
    for name, (first, *others) in TARGETS.items():
        source = os.path.join(sys.argv[1], name)
        for flag in next(flags for prefix, flags in FLAGS.items() if name.startswith(prefix)):
            expected = instructions(clang, objdump, source, first, flag)
            if isinstance(expected, str) or len(expected) < 100:
                findings.append(f"{name} for {first} {flag}: {expected}")
            for target in others:
                found = instructions(clang, objdump, source, target, flag)
                if found != expected:
                    findings.append(f"{name} for {target} {flag} is not as for {first}: {found}")
    print("\n".join(findings) or "it is the same on all systems")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
