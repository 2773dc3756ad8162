"""How long the programs are: lines that are neither empty nor only a comment, those of what they
include from here too. Beside their speed, for those that are one program each (of the rows that
share a program nobody's share can be told)."""

import re
from pathlib import Path

BENCH = Path(__file__).resolve().parent
ROW = 'source'


def files_of(path, found=None):
    """A program's file, the headers of ours that it includes, and what stands behind those."""
    found = {} if found is None else found
    if path in found:
        return found
    found[path] = text = path.read_text()
    for name in re.findall(r'^#include "(.+)"', text, re.M):
        for beside in (path.parent / name, (path.parent / name).with_suffix('.c')):
            if beside.exists():
                files_of(beside.resolve(), found)
    return found


def count(path):
    return sum(count_text(text) for text in files_of((BENCH / path).resolve()).values())


def count_text(text):
    # Strings of these programs have neither /* nor // in them, apart from addresses behind a colon.
    text = re.sub(r'/\*.*?\*/', '', text, flags=re.S)
    text = re.sub(r'(?<!:)//.*', '', text)
    return sum(1 for line in text.splitlines() if line.strip())


def add(results, sources):
    """`sources`: {participant: its file, relative to bench/}"""
    for who, path in sources.items():
        results.add(ROW, 'lines', who, count(path), '')
