"""Tables for the terminal and for Markdown, and JSON with every sample."""

import json
import os
import platform
import statistics
import subprocess
from pathlib import Path

import suite


def number(value):
    if value >= 100:
        return f'{value:,.0f}'
    if value >= 10:
        return f'{value:.1f}'
    return f'{value:.2f}'


def cell(values):
    """median (min-max)"""
    median = number(statistics.median(values))
    if len(values) == 1:
        return median
    return f'{median} ({number(min(values))}-{number(max(values))})'


def three(values):
    return ' / '.join(number(v) for v in (min(values), statistics.median(values), max(values)))


def verdict(values, target):
    """The median decides. Two figures are a tie when they differ by less than the spread shows."""
    median = statistics.median(values)
    if median <= target:
        return 'met'
    return f'missed by {100 * (median / target - 1):.0f} %'


def label(row, figure):
    return f'{row}, {figure}' if figure else row


def table(results, who_in_order):
    """Rows of texts; the first is the heading."""
    lines = [['', 'operations', 'unit', 'target', '', f'{suite.FIBER}: min / median / max',
              *[w for w in who_in_order if w != suite.FIBER]]]
    for row, figures in results.samples.items():
        for figure, by_whom in figures.items():
            mine = by_whom.get(suite.FIBER)
            target = results.target.get((row, figure))
            operations = results.operations.get((row, suite.FIBER))
            lines.append([
                label(row, figure),
                f'{operations:,}' if operations else '',
                results.unit[row, figure],
                f'{target:g}' if target else '',
                verdict(mine, target) if mine and target else '',
                three(mine) if mine else '',
                *[cell(by_whom[w]) if w in by_whom else ('-' if (row, w) in results.empty else '')
                  for w in who_in_order if w != suite.FIBER],
            ])
    return lines


def remarks(results, elsewhere):
    """What stands under a table: empty cells with their reasons, notes, figures from elsewhere."""
    out = []
    reasons = {}
    for (row, who), why in results.empty.items():
        reasons.setdefault((who, why), []).append(row)
    for (who, why), rows in reasons.items():
        out.append(f'{who}: {why} ({"; ".join(rows)})')
    for (row, who), texts in results.notes.items():
        out += [f'{who}, {row}: {text}' for text in texts[:2]]
    for row, text in elsewhere.items():
        out.append(f'measured elsewhere, not in this run, {row}: {text}')
    return out


def plain(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return '\n'.join('  '.join(text.ljust(width) if i == 0 else text.rjust(width)
                               for i, (text, width) in enumerate(zip(line, widths)))
                     for line in lines)


def markdown(title, lines, notes):
    out = [f'## {title}', '', '| ' + ' | '.join(lines[0]) + ' |',
           '|---' + '|---:' * (len(lines[0]) - 1) + '|']
    out += ['| ' + ' | '.join(line) + ' |' for line in lines[1:]]
    out += [''] + [f'- {note}' for note in notes]
    return '\n'.join(out) + '\n'


def machine():
    cpu = next((line.split(':')[1].strip() for line in open('/proc/cpuinfo')
                if line.startswith('model name')), platform.machine())
    memory = next(line.split()[1] for line in open('/proc/meminfo') if line.startswith('MemTotal'))
    compiler = subprocess.run(['gcc', '--version'], capture_output=True, text=True).stdout
    return {
        'processor': cpu,
        'processors': len(os.sched_getaffinity(0)),
        'memory_mb': int(memory) // 1024,
        'kernel': platform.release(),
        'compiler': compiler.splitlines()[0] if compiler else '',
        'load_average_at_start': os.getloadavg()[0],
    }


def write(folder, about, sections):
    """sections: [(name, title, results, order, elsewhere)]"""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    text = ['# Benchmarks', '',
            f'{about["processor"]}, {about["processors"]} processors, {about["memory_mb"]} MB, '
            f'Linux {about["kernel"]}, {about["compiler"]}; load average at the start '
            f'{about["load_average_at_start"]:.2f}; {about["rounds"]} interleaved rounds'
            f'{", quick" if about["quick"] else ""}; {about["disturbed"]} of {about["samples"]} '
            'samples taken while others used the machine. Rivals: median (min-max). '
            'What each row measures stands in bench/README.md.', '']
    document = {'about': about, 'workloads': {}}
    for name, title, results, order, elsewhere in sections:
        text.append(markdown(title, table(results, order), remarks(results, elsewhere)))
        document['workloads'][name] = in_json(results)
    (folder / 'report.md').write_text('\n'.join(text))
    (folder / 'report.json').write_text(json.dumps(document, indent=1) + '\n')


def in_json(results):
    return {
        row: {
            'figures': {
                figure: {
                    'unit': results.unit[row, figure],
                    'target': results.target.get((row, figure)),
                    'samples': by_whom,
                } for figure, by_whom in figures.items()
            },
            'empty': {who: why for (r, who), why in results.empty.items() if r == row},
            'notes': {who: texts for (r, who), texts in results.notes.items() if r == row},
        } for row, figures in results.samples.items()
    }
