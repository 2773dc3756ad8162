#!/usr/bin/env python3
"""elf.py - what the assembly tells linkers and loaders about itself.

	tests/elf.py CC ASSEMBLY SHARED_LIBRARY

No executable stack; symbols hidden, with types and sizes, and no others; unwind tables; in a build
with -fcf-protection indirect branch tracking is promised (and kept: every function begins with
endbr64), the shadow stack is not. Ends with 0, with 1 and a line per finding, or with 77 without
readelf.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

FUNCTIONS = ("arch_control_words", "arch_frame", "arch_leave", "arch_start", "arch_switch",
             "arch_switch_bare")
OWN = ("arch_entry",)  # local


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


def check_object(path, protected):
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
        if binding == "GLOBAL" or kind not in ("SECTION", "FILE"):
            yield f"{name}: a symbol too many"
    yield from check_protection(path, protected)


def check_protection(path, protected):
    notes = output("readelf", "-nW", path)
    feature = re.search(r"x86 feature: (.*)", notes)
    said = feature.group(1) if feature else ""
    if "SHSTK" in said:
        yield "it says that it works with a shadow stack, which the switch does not exchange"
    if ("IBT" in said) != protected:
        yield f"indirect branch tracking: it says \"{said}\""
    code = output("objdump", "-d", "--no-show-raw-insn", path)
    starts = re.findall(r"^[0-9a-f]+ <(\w+)>:\n[^\t]*\t(\w+)", code, re.M)
    for name, instruction in starts:
        if name in FUNCTIONS and (instruction == "endbr64") != protected:
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
    for tool in ("readelf", "objdump", "nm"):
        if not shutil.which(tool):
            print(f"skipped: there is no {tool}")
            sys.exit(77)
    with tempfile.TemporaryDirectory() as folder:
        plain = assemble(cc, source, ["-fcf-protection=none"], folder)
        findings = [f"plain: {text}" for text in check_object(plain, False)]
        protected = assemble(cc, source, ["-fcf-protection=full"], folder)
        findings += [f"protected: {text}" for text in check_object(protected, True)]
    findings += check_library(library)
    print("\n".join(findings) or "all is said as it is")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
