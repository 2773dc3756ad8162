#!/usr/bin/env python3
"""bench_report.py - what the benchmarks write is well formed, whatever happened while they ran.

	tests/bench_report.py

From made-up samples with all that can come up (failures, empty cells, one sample, nought, markup
in a name) the report is written as it is after a run; then the JSON must hold every sample, the
Markdown's tables must be even, and the HTML must be balanced, with well-formed SVG, and ask for
nothing else."""
import html.parser
import json
import pathlib
import re
import sys
import tempfile
import xml.etree.ElementTree as tree

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "bench"))

import page  # noqa: E402
import report  # noqa: E402
import rounds  # noqa: E402

EMPTY_TAGS = {"meta", "br", "line", "rect", "circle", "polyline"}


def expect(condition, what):
    if not condition:
        sys.exit(f"bench_report: {what}")


def sample_results():
    results = rounds.Results()
    for fibers in (2, 100, 10000):
        for who, ns in (("fiber", 5), ("Go <1.19>", 50), ("Tokio", 5.2)):
            for i in range(7):
                results.add(f"{fibers:,} fibers", "", who, ns + i * 0.1 + fibers / 1000, "ns",
                            8 if who == "fiber" else 0, 1000)
    results.add("1 fiber", "", "fiber", 0.0, "ns")
    results.add("skynet", "peak memory", "fiber", 2.5, "MB", 16)
    results.add("skynet", "peak memory", "Go <1.19>", 2500, "MB")
    results.failed["skynet", "Tokio"] = "signal 11: said nothing"
    results.empty["skynet", "Pth"] = "first in, first out"
    results.note("1 fiber", "fiber", "alone | as it is")
    results.failed["nobody's", "fiber"] = "status 1: wrong work: sum"
    results.samples["nobody's"]  # a row that nobody got to the end of
    return results


def document():
    about = report.machine() | {"rounds": 7, "quick": False, "samples": 70, "disturbed": 1}
    part = report.section("Trees & yields", sample_results(),
                          ["fiber", "Go <1.19>", "Tokio", "Pth"], {"skynet": "others 3"})
    lost = rounds.Results()
    lost.failed["", "echo"] = "OSError: no programs"
    return {"about": about, "workloads": {
        "trees": part, "echo": report.section("echo", lost, [], {})}}


class Balance(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        for name, value in attrs:
            expect(name not in ("src", "href"), f"the page asks for {value}")
        if tag not in EMPTY_TAGS:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in EMPTY_TAGS:
            expect(self.open and self.open.pop() == tag, f"</{tag}> closes something else")


def check_html(text):
    balance = Balance()
    balance.feed(text)
    balance.close()
    expect(not balance.open, f"still open: {balance.open}")
    expect("script" not in balance.seen, "the page has a script")
    expect("url(" not in text and "@import" not in text, "the style asks for something")
    drawings = re.findall(r"<svg.*?</svg>", text, re.S)
    for drawing in drawings:
        tree.fromstring(drawing)
        expect("nan" not in drawing and "inf" not in drawing, "a coordinate is no number")
    expect(sum("<polyline" in d for d in drawings) == 1, "the rows of fibers are one plot")
    expect(sum("<rect" in d for d in drawings) == 1, "a row of its own has bars")
    for wanted in ("Go &lt;1.19&gt;", "prefers-color-scheme: dark", "signal 11", "no programs",
                   "first in, first out", "status 1: wrong work"):
        expect(wanted in text, f"the page lacks {wanted!r}")


def check_markdown(text):
    lines = text.splitlines()
    tables = [line for line in lines if line.startswith("|")]
    widths = {len(re.findall(r"(?<!\\)\|", line)) for line in tables}
    expect(len(tables) == 2 + 6 + 2, f"{len(tables)} lines of tables")
    expect(len(widths - {8}) == 1, f"lines of {widths} cells in one table")
    expect(any("nobody's" in line and "failed" in line for line in tables), "no failed cell")
    expect(any("tie with Tokio" in line for line in tables), "a tie is told as one")


def main():
    given = document()
    with tempfile.TemporaryDirectory() as folder:
        report.write(folder, given, page.html)
        written = {p.name: p.read_text() for p in pathlib.Path(folder).iterdir()}
    expect(set(written) == {"report.json", "report.md", "report.html"}, "three files")
    expect(json.loads(written["report.json"]) == given, "the JSON has what there was")
    expect(page.html(json.loads(written["report.json"])) == written["report.html"],
           "the page is made of the JSON alone")
    check_markdown(written["report.md"])
    check_html(written["report.html"])


main()
