#!/usr/bin/env python3
"""bench_rows.py - the benchmarks' programs list their rows, run them, and check their work.

	tests/bench_rows.py BUILD_DIRECTORY/bench

Of each harness one small row, of each server a short visit. Nothing is asked of the figures but
that they are figures. 77: the benchmarks were not built (-Dbench=true)."""
import math
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))

import delay  # noqa: E402
import echo  # noqa: E402
import rounds  # noqa: E402
import servers  # noqa: E402
import suite  # noqa: E402
import web  # noqa: E402

# A small one of each; of the others the first.
SMALL = {
    "chan": "pipeline of 10 stages, alone",
    "depth": "100 calls down, a yield, and back",
    "sleep": "10,000 parked",
    "spawn": "batch of 100,000",
}


def expect(condition, what):
    if not condition:
        sys.exit(f"bench_rows: {what}")


def check_harness(ours, name, workload):
    program = ours / workload.program
    rows = rounds.rows_of(program)
    expect(rows and len(set(rows)) == len(rows), f"{name}: rows {rows}")
    named = set(workload.slow) | {row for _, row in workload.empty if row}
    expect(named <= set(rows), f"{name}: the suite names rows unknown here: {named - set(rows)}")
    row = SMALL.get(name, rows[0])
    cores = rounds.cores_of(workload, row)
    figures = [line for line in rounds.sample(program, row, cores) if line[0] is not None]
    expect(figures and all(math.isfinite(line[1]) for line in figures), f"{name}: {figures}")
    try:
        rounds.sample(program, "no such row", cores)
    except rounds.Failed as failure:
        expect("status 3" in str(failure), f"{name}: an unknown row: {failure}")
    else:
        expect(False, f"{name}: an unknown row runs")


def check_echo(ours, server):
    with servers.Running(server.argv(ours, "")) as running:
        load = [running, 20, 20, 60]
        for more in ([], ["--rate", 2000], ["--idle", 100]):
            seen = echo.load(ours, *load, *more)
            expect(seen["echoes"] > 0 and seen["p50_ns"] <= seen["p99_ns"], f"echo: {seen}")
        echo.load(ours, running, 20, "--echoes", 3)


def check_http(ours):
    server = next(s for s in web.SERVERS if s.name == suite.FIBER)
    with web.start(server, ours, "") as running:
        web.check(running.port)
        expect(running.cpu_seconds() > 0, "the server used no processor")


def check_delay(ours):
    client = next(c for c in delay.SERVERS if c.name == suite.FIBER)
    with delay.DelayServer(ours) as server:
        late, cpu = delay.visit(client, ours, "", f"tcp:127.0.0.1:{server.port}", 10)
        expect(late >= 0 and cpu > 0, f"delay: {late} ms late, {cpu} ms of processor")


def main():
    ours = pathlib.Path(sys.argv[1])
    if not (ours / "bench-yield").exists():
        print("the benchmarks are not built")
        sys.exit(77)
    for name, workload in suite.WORKLOADS.items():
        if workload.is_built(ours):
            check_harness(ours, name, workload)
    for name in (suite.FIBER, "fiber, dormant"):
        check_echo(ours, next(s for s in echo.SERVERS if s.name == name))
    check_http(ours)
    check_delay(ours)


main()
