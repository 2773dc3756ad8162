#!/usr/bin/env python3
"""elf.py - what the assembly tells linkers and loaders about itself.

	tests/elf.py CC ASSEMBLY SHARED_LIBRARY

No executable stack; symbols hidden, with types and sizes, and no others; unwind tables. In a build
that asks for protected branches (-fcf-protection, -mbranch-protection) the object promises landing
pads, on AArch64 signed return addresses too, and keeps to it: every function begins with one. It
never promises to work with a shadow stack, which the switch does not exchange. Ends with 0, with 1
and a line per finding, or with 77 without readelf.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

FUNCTIONS = ["arch_control_words", "arch_frame", "arch_leave", "arch_start", "arch_switch",
             "arch_switch_bare"]
HOPS = {"x86_64": ["arch_hop", "arch_hop_bare"]}  # some processors have them
OWN = ["arch_entry"]  # local
# Of each processor: plain and protected builds, what the note says then, what functions begin with.
PROTECTION = {
    "x86_64": ("-fcf-protection=none", "-fcf-protection=full", "IBT", ("endbr64",)),
    "aarch64": ("-mbranch-protection=none", "-mbranch-protection=standard", "BTI, PAC",
                ("bti", "paciasp")),
}


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def assemble(cc, source, flags, folder):
    target = os.path.join(folder, "switch.o")
    subprocess.run([cc, *flags, "-c", source, "-o", target], check=True)
    return target


def sections(path):
    """{name: flags}"""
    text = output("readelf", "-SW", path)
    pattern = r"^\s*\[ *\d+\] (\S+)\s+\S+\s+(?:[0-9a-f]+ ){4}([A-Zlopx ]*?)\s+\d"
    return {name: flags for name, flags in re.findall(pattern, text, re.M)}


def symbols(path):
    """{name: (size, type, binding, visibility)}, without the unnamed ones"""
    found = {}
    for line in output("readelf", "-sW", path).splitlines():
        words = line.split()
        if len(words) == 8 and words[0].rstrip(":").isdigit():
            found[words[7]] = (int(words[2], 0), words[3], words[4], words[5])
    return found


def check_object(path):
    found = sections(path)
    if ".note.GNU-stack" not in found:
        yield "no .note.GNU-stack: the program would get an executable stack"
    elif "X" in found[".note.GNU-stack"]:
        yield ".note.GNU-stack asks for an executable stack"
    if ".eh_frame" not in found:
        yield "no unwind tables"
    names = symbols(path)
    for name in FUNCTIONS + OWN:
        size, kind, binding, visibility = names.pop(name, (0, "?", "?", "?"))
        if kind != "FUNC" or size == 0:
            yield f"{name}: type {kind}, size {size}"
        if name in FUNCTIONS and (binding, visibility) != ("GLOBAL", "HIDDEN"):
            yield f"{name}: {binding} {visibility}"
        if name in OWN and binding != "LOCAL":
            yield f"{name}: {binding}"
    for name, (_, kind, binding, _) in names.items():
        mapping = re.fullmatch(r"\$[dx]", name)  # AArch64: where code and data begin
        if binding == "GLOBAL" or (kind not in ("SECTION", "FILE") and not mapping):
            yield f"{name}: a symbol too many"


def check_protection(path, protected, feature, pads, objdump):
    notes = output("readelf", "-nW", path)
    found = re.search(r"(?:x86|AArch64) feature: (.*)", notes)
    said = found.group(1) if found else ""
    if said != (feature if protected else ""):
        yield f"the note says \"{said}\""
    code = output(objdump, "-d", "--no-show-raw-insn", path)
    starts = re.findall(r"^[0-9a-f]+ <(\w+)>:\n[^\t]*\t(\w+)", code, re.M)
    for name, instruction in starts:
        if name in FUNCTIONS and (instruction in pads) != protected:
            yield f"{name} begins with {instruction}"
    if not {name for name, _ in starts}.issuperset(FUNCTIONS):
        yield f"functions in the disassembly: {starts}"


def check_library(path):
    """The linker's verdict on all objects together."""
    segments = output("readelf", "-lW", path)
    stack = re.search(r"GNU_STACK(?:\s+0x\w+){5}\s+(\S.*\S)\s+0x\w+$", segments, re.M)
    if not stack or stack.group(1) != "RW":
        yield f"the library's stack: {stack.group(1) if stack else 'not said'}"
    for name in re.findall(r"\s(\S+)$", output("nm", "-D", "--defined-only", path), re.M):
        if name.startswith("arch_"):
            yield f"the library exports {name}"


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    cc, source, library = sys.argv[1:]
    plain, protected, feature, pads = next(
        value for name, value in PROTECTION.items() if os.path.basename(source).startswith(name))
    for name, hops in HOPS.items():
        if os.path.basename(source).startswith(name):
            FUNCTIONS.extend(hops)
    objdump = cc[:-len("gcc")] + "objdump" if cc.endswith("-gcc") else "objdump"
    for tool in ("readelf", objdump, "nm"):
        if not shutil.which(tool):
            print(f"skipped: there is no {tool}")
            sys.exit(77)
    findings = []
    with tempfile.TemporaryDirectory() as folder:
        for flag in plain, protected:
            path = assemble(cc, source, [flag], folder)
            findings += [f"{flag}: {text}" for text in (
                *check_object(path),
                *check_protection(path, flag == protected, feature, pads, objdump))]
    findings += check_library(library)
    print("\n".join(findings) or "all is said as it is")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
