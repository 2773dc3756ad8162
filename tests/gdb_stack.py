#!/usr/bin/env python3
"""gdb_stack.py - what gdb makes of stacks that are not a thread's.

	tests/gdb_stack.py switch PROGRAM	steps through every instruction of the switches of
						gdb_switch.c, and looks at the backtrace of each
	tests/gdb_stack.py fiber PROGRAM	stops inside the fibers of gdb_fiber.c

Ends with 0, with 1 and a line per finding, or with 77 where there is no gdb that can do it. The
same file runs a second time inside gdb, which brings the module of that name.
"""
import os
import shutil
import subprocess
import sys

try:
    import gdb
except ImportError:
    gdb = None

SWITCHES = ("arch_leave", "arch_switch", "arch_switch_bare")
OURS = "gdb_stack: "  # marks our lines among what gdb prints
findings = []


# ---- inside gdb ----------------------------------------------------------------------------------

def backtrace():
    """Names from the innermost frame outwards, and why it ends there."""
    frame, names = gdb.newest_frame(), []
    while frame is not None and len(names) < 50:
        names.append(frame.name())
        outermost, frame = frame, frame.older()
    return names, outermost.unwind_stop_reason()


def on_context():
    return bool(gdb.parse_and_eval("(char *)$sp > stack && (char *)$sp <= stack + sizeof stack"))


def expected(switch, context):
    """All backtraces that may be there; the last is that of a context which never ran."""
    main = [[switch, leaves, "main"] for leaves in ("leave_main", "leave_main_bare")]
    other = [[switch, leaves, "body", "arch_entry"]
             for leaves in ("leave_context", "leave_context_bare", "give_up")]
    return other + [[switch, "arch_entry"]] if context else main


def step_through(switch):
    """From its first instruction to the one after its ret. (steps, sides seen, first resumes)"""
    steps, sides, first = 0, set(), 0
    while gdb.newest_frame().name() == switch:
        context = on_context()
        names, reason = backtrace()
        if names not in expected(switch, context):
            findings.append(f"{steps} instructions into {switch}: {names}")
        if context and reason != gdb.FRAME_UNWIND_OUTERMOST:
            findings.append(f"{steps} instructions into {switch}: it ends because "
                            + gdb.frame_stop_reason_string(reason))
        steps, first = steps + 1, first + (names == [switch, "arch_entry"])
        sides.add(context)
        gdb.execute("stepi", to_string=True)
    return steps, sides, first


def step_inside_entry():
    """Through arch_entry as long as it lasts; how many instructions, and on which sides."""
    steps, sides = 0, set()
    while gdb.newest_frame().name() == "arch_entry":
        context = on_context()
        names, reason = backtrace()
        if names != (["arch_entry"] if context else ["arch_entry", "start_main", "main"]):
            findings.append(f"{steps} instructions into arch_entry: {names}")
        if context and reason != gdb.FRAME_UNWIND_OUTERMOST:
            findings.append(f"{steps} instructions into arch_entry: it goes on")
        steps += 1
        sides.add(context)
        gdb.execute("stepi", to_string=True)
    return steps, sides


def step_through_start():
    """At the first instruction of arch_start: there, into the second stack, and back again."""
    start = [["arch_start", "start_main", "main"], ["arch_start"]]
    while gdb.newest_frame().name() == "arch_start":
        names, _ = backtrace()
        if names != start[on_context()]:
            findings.append(f"inside arch_start: {names}")
        gdb.execute("stepi", to_string=True)
    for wanted in {True}, {True}, {True, False}:
        steps, sides = step_inside_entry()
        if steps < 4 or sides != wanted:
            findings.append(f"{steps} instructions of arch_entry, on the context's stack: {sides}")
        while gdb.newest_frame().name() == "start_body":
            gdb.execute("stepi", to_string=True)


def check_switch():
    for switch in SWITCHES + ("arch_start",):
        gdb.execute(f"break *{switch}", to_string=True)
    gdb.execute("run", to_string=True)
    rounds, first = 0, 0
    while gdb.selected_inferior().pid:
        if gdb.newest_frame().name() == "arch_start":
            step_through_start()
            gdb.execute("continue", to_string=True)
            continue
        steps, sides, firsts = step_through(gdb.newest_frame().name())
        if steps < 10 or sides != {False, True}:
            findings.append(f"a switch of {steps} instructions, on the context's stack: {sides}")
        rounds, first = rounds + 1, first + firsts
        # The next instruction may be the first one of a switch already.
        if gdb.newest_frame().name() not in SWITCHES:
            gdb.execute("continue", to_string=True)
    if rounds != 8 or first == 0:
        findings.append(f"{rounds} switches, {first} walks from a context that had not run")
    print(f"{OURS}stepped through {rounds} switches")


def check_fiber():
    gdb.execute("break deepest", to_string=True)
    gdb.execute("run", to_string=True)
    stops, callers = 0, ["deepest", "deeper", "deep"]
    begun_by = {"task": 0, "generator": 0}
    while gdb.selected_inferior().pid:
        names, reason = backtrace()
        if names[:3] != callers or names[3] not in begun_by or names[-1] != "arch_entry":
            findings.append(f"stop {stops}: {names}")
        else:
            begun_by[names[3]] += 1
        if reason != gdb.FRAME_UNWIND_OUTERMOST:
            findings.append(f"stop {stops}: it ends because {gdb.frame_stop_reason_string(reason)}")
        stops += 1
        gdb.execute("continue", to_string=True)
    if begun_by != {"task": 6, "generator": 2}:
        findings.append(f"{begun_by}: three fibers stop twice each, and one in a generator")
    print(f"{OURS}stopped {stops} times inside fibers")


def inside():
    for setting in ("confirm off", "pagination off", "debuginfod enabled off"):
        try:
            gdb.execute(f"set {setting}")
        except gdb.error:
            pass  # an older gdb does not know all of them
    try:
        {"fiber": check_fiber, "switch": check_switch}[os.environ["GDB_STACK"]]()
    except gdb.error as error:
        findings.append(str(error))
    for finding in findings or ["all backtraces are right"]:
        print(OURS + finding)
    gdb.execute(f"quit {1 if findings else 0}")


# ---- outside -------------------------------------------------------------------------------------

def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(77)


def check_gdb(gdb_path, program):
    """Skips where gdb has no Python, or may not trace (a container without ptrace)."""
    run = subprocess.run([gdb_path, "-batch", "-nx", "-ex", "python print('py' + 'thon')",
                          "-ex", "break main", "-ex", "run", "-ex", "kill", program],
                         capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if "python" not in run.stdout:
        skip("this gdb has no Python")
    if "Breakpoint 1, " not in run.stdout:
        skip("gdb cannot run a program here: " + (run.stderr.strip().splitlines() or ["?"])[-1])


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    what, program = sys.argv[1:]
    gdb_path = shutil.which("gdb")
    if not gdb_path:
        skip("there is no gdb")
    check_gdb(gdb_path, program)
    run = subprocess.run([gdb_path, "-batch", "-nx", "-x", os.path.abspath(__file__), program],
                         env={**os.environ, "GDB_STACK": what}, stdin=subprocess.DEVNULL,
                         capture_output=True, text=True)
    ours = [line for line in run.stdout.splitlines() if line.startswith(OURS)]
    print("\n".join(ours) or run.stdout + run.stderr)
    sys.exit(run.returncode if ours else 1)


if gdb:
    inside()
elif __name__ == "__main__":
    main()
