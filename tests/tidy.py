#!/usr/bin/env python3
"""tidy.py - what the house asks of every file, checked.

	tests/tidy.py [--cc COMPILER] [--library libfiber.so]

Prints one line per finding and ends with 1 if there was any. The floors are read from the table in
src/README.md: rows that begin with a number, the folders in the second column. Where the last
column of a row names headers (`wait.h`), files of that row include no others of src/sched/.
"""
import argparse
import ast
import concurrent.futures
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FILE_LINES, FUNCTION_LINES, COLUMNS, TAB = 400, 60, 100, 8
CODE = (".c", ".h", ".S", ".cc", ".py")
SCRIPTS = ("run", ".ci/run", "bench/run")
PLATFORM = re.compile(
    r"^\s*#\s*(?:el)?if.*\b(?:__linux__|__APPLE__|__FreeBSD__|__OpenBSD__|__NetBSD__|__unix__|"
    r"_WIN\d+|__MINGW\w+|__x86_64__|__i386__|__aarch64__|__arm__|__riscv)\b")
MACHINE_PATH = re.compile(r"(?<![\w.}])/(?:work|root|home|tmp)/\w")
UNFINISHED = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
DECLARATION = re.compile(r"\b(fiber_\w+)\s*\([^;{]*\)[^;{]*;", re.S)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def tracked_files():
    """What git knows, and what is about to be added; everything, outside a repository."""
    git = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                         cwd=ROOT, capture_output=True, text=True)
    if git.returncode == 0:
        names = git.stdout.splitlines()
    else:
        names = [os.path.relpath(os.path.join(folder, name), ROOT)
                 for folder, _, files in os.walk(ROOT) for name in files
                 if os.path.relpath(folder, ROOT).split(os.sep)[0] not in ("build", ".git")]
    return sorted(name for name in names if os.path.isfile(os.path.join(ROOT, name)))


# ---- floors --------------------------------------------------------------------------------------

def floor_table():
    """{folder: (floor, headers of src/sched/ it may include, or None for all)}"""
    table = {}
    for line in read("src/README.md").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) < 3 or not line.startswith("|") or not re.match(r"\d", cells[0]):
            continue
        floor = int(re.match(r"\d+", cells[0]).group())
        headers = set(re.findall(r"`(\w+\.h)`", cells[-1])) or None
        for folder in re.findall(r"`((?:src/)?\w+)/?`", cells[1]):
            table[folder] = (floor, headers)
    return table


def folder_of(path, table):
    return next((folder for folder in table if path.startswith(folder + "/")), None)


def resolve(include):
    """The file that an #include with quotes means, as -Isrc -Iarch -Iarch/plain find it."""
    for folder in ("src", "arch", "arch/plain"):
        if os.path.exists(os.path.join(ROOT, folder, include)):
            return folder + "/" + include
    return None


def check_floors(files):
    table = floor_table()
    if not table:
        yield "src/README.md: no table of floors"
    for path in files:
        if not path.startswith(("src/", "arch/", "include/")) or not path.endswith((".c", ".h")):
            continue
        home = folder_of(path, table)
        if path.startswith("src/") and not home:
            yield f"{path}: its folder is on no floor of src/README.md"
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if match:
                yield from check_include(f"{path}:{number}", home, match.group(1), table)


def check_include(where, home, include, table):
    target = resolve(include)
    if home is None:
        yield f"{where}: a public header includes {include}, which is not installed"
    elif target is None:
        yield f"{where}: {include} is not written relative to src/ or arch/"
    elif (room := folder_of(target, table)) is None:
        yield f"{where}: {include} is on no floor"
    elif table[room][0] > table[home][0]:
        yield f"{where}: floor {table[home][0]} includes {include} of floor {table[room][0]}"
    elif room == "src/sched" and home != room and table[home][1] is not None \
            and os.path.basename(target) not in table[home][1]:
        yield f"{where}: {home} may not include {include}, only {sorted(table[home][1])}"


# ---- shape ---------------------------------------------------------------------------------------

def c_functions(lines):
    """(first line, length) of everything between braces in the first column."""
    start = None
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            yield start, number - start + 1
            start = None


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            yield node.lineno, node.end_lineno - node.lineno + 1


def check_shape(files):
    for path in files:
        if not path.endswith(CODE) and path not in SCRIPTS:
            continue
        text = read(path)
        lines = text.splitlines()
        # The public headers are the manual: theirs is as long as it must be.
        if len(lines) > FILE_LINES and not str(path).startswith('include/'):
            yield f"{path}: {len(lines)} lines, more than {FILE_LINES}"
        for number, line in enumerate(lines, 1):
            columns = len(line.expandtabs(TAB))
            if columns > COLUMNS:
                yield f"{path}:{number}: {columns} columns, more than {COLUMNS}"
            if line != line.rstrip():
                yield f"{path}:{number}: blanks at the end of the line"
            if UNFINISHED.search(line):
                yield f"{path}:{number}: unfinished: {line.strip()}"
        functions = python_functions(text) if path.endswith(".py") else c_functions(lines)
        for number, length in functions:
            if length > FUNCTION_LINES:
                yield f"{path}:{number}: a function of {length} lines, more than {FUNCTION_LINES}"


def check_platforms(files):
    for path in files:
        if not path.startswith("src/") or path.startswith("src/os/"):
            continue
        for number, line in enumerate(read(path).splitlines(), 1):
            if PLATFORM.search(line):
                yield f"{path}:{number}: asks for a platform outside os and arch: {line.strip()}"


def check_machine_paths(files):
    for path in files:
        for number, line in enumerate(read(path).splitlines(), 1):
            if MACHINE_PATH.search(line):
                yield f"{path}:{number}: a path of one machine: {line.strip()[:60]}"


# ---- headers -------------------------------------------------------------------------------------

def compile_alone(command, header):
    """A finding, or None. Through a file that includes it twice, as programs do."""
    source = f'#include "{header}"\n#include "{header}"\nextern int not_empty;\n'
    run = subprocess.run(command, input=source, cwd=ROOT, capture_output=True, text=True)
    if run.returncode == 0:
        return None
    error = next((line for line in run.stderr.splitlines() if "error" in line), run.stderr.strip())
    return f"{header}: does not compile alone ({' '.join(command[:2])}): {error}"


def check_headers(files, cc, cxx):
    strict = ["-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    inside = [cc, "-std=gnu11", "-D_GNU_SOURCE", *strict,
              "-Iinclude", "-Isrc", "-Iarch", "-Iarch/plain", "-I.", "-x", "c", "-"]
    outside = [[cc, "-std=c11", "-Wpedantic", *strict, "-Iinclude", "-I.", "-x", "c", "-"]]
    if cxx:
        outside.append([cxx, "-std=c++17", *strict, "-Iinclude", "-I.", "-x", "c++", "-"])
    jobs = []
    # Foreign calls are built only where libffi is installed.
    skipped = "src/foreign/" if compile_alone(inside, "ffi.h") else ()
    for path in files:
        if path.endswith(".h") and path.startswith(("src/", "arch/")) and \
                not path.endswith("_windows.h") and "/windows/" not in path and \
                not (skipped and path.startswith(skipped)):
            jobs.append((inside, path))
        if path.endswith(".h") and path.startswith("include/"):
            jobs += [(command, path) for command in outside]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from filter(None, pool.map(lambda job: compile_alone(*job), jobs))


def declarations(text):
    """(name, line number, documented) of each function that a public header declares.

    Documented: the comment stands above it, on its line, or above the first of a block of
    declarations without an empty line between them. A ruler (---- name ----) does not count."""
    comment = re.compile(r"/\*.*?\*/", re.S)
    blank = comment.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    blank = re.sub(r"^[ \t]*#(?:.*\\\n)*.*$", lambda m: re.sub(r"[^\n]", " ", m.group()), blank,
                   flags=re.M)
    # What an inline function calls is not declared there.
    blank = re.sub(r"^\{.*?^\}", lambda m: re.sub(r"[^\n]", " ", m.group()), blank,
                   flags=re.M | re.S)
    for match in DECLARATION.finditer(blank):
        statement = blank[:match.end()].rfind(";", 0, match.start()) + 1
        if re.search(r"\b(?:typedef|inline|return)\b", blank[statement:match.start()]):
            continue
        begin = text.rfind("\n\n", 0, match.start()) + 2
        stop = text.find("\n", match.end())
        notes = [m.group() for m in comment.finditer(text[begin:stop])]
        yield (match.group(1), text.count("\n", 0, match.start()) + 1,
               any("----" not in note for note in notes))


def check_documentation(files):
    for path in files:
        if path.startswith("include/") and path.endswith(".h"):
            for name, number, documented in declarations(read(path)):
                if not documented:
                    yield f"{path}:{number}: {name} has no comment"


# ---- the library ---------------------------------------------------------------------------------

def check_exports(files, library):
    run = subprocess.run(["nm", "-D", "--defined-only", library], capture_output=True, text=True)
    if run.returncode != 0:
        yield f"{library}: {run.stderr.strip()}"
        return
    exported = {line.split()[-1].split("@")[0] for line in run.stdout.splitlines()}
    for name in sorted(exported):
        if not name.startswith("fiber_"):
            yield f"{os.path.basename(library)}: exports {name}"
    declared = {name for path in files if path.startswith("include/")
                for name, _, _ in declarations(read(path))}
    missing = declared - exported
    hidden = {name for name in exported - declared if name.startswith("fiber_")}
    if missing:
        yield f"declared in include/, but not in the library: {' '.join(sorted(missing))}"
    if hidden:
        yield f"exported, but declared in no public header: {' '.join(sorted(hidden))}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cc", default=os.environ.get("CC", "cc"))
    parser.add_argument("--cxx", default=os.environ.get("CXX", ""))
    parser.add_argument("--library", help="the shared library, to check what it exports")
    options = parser.parse_args()
    files = tracked_files()
    findings = [*check_floors(files), *check_shape(files), *check_platforms(files),
                *check_machine_paths(files), *check_headers(files, options.cc, options.cxx),
                *check_documentation(files)]
    if options.library:
        findings += check_exports(files, options.library)
    print("\n".join(findings) if findings else f"{len(files)} files are tidy")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    main()
