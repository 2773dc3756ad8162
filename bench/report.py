"""The report as data, and its tables for the terminal and for Markdown.

A document is what report.json holds: `about` the machine, and for each workload its title, the
order of participants and the rows with every sample. Tables and the page (page.py) are made from
it alone, so `bench/page.py report.json` makes them again. Of every figure, less is better."""

import json
import os
import platform
import statistics
import subprocess
from pathlib import Path

FIBER = 'fiber'


def number(value):
    if abs(value) >= 100:
        return f'{value:,.0f}'
    if abs(value) >= 10:
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
    """The median decides."""
    median = statistics.median(values)
    if median <= target:
        return 'met'
    return f'missed by {100 * (median / target - 1):.0f} %'


def middle(values):
    """The inner half, between which the median moves from run to run."""
    if len(values) < 3:
        return min(values), max(values)
    quarters = statistics.quantiles(values, n=4, method='inclusive')
    return quarters[0], quarters[2]


def standing(by_whom):
    """Ours beside the best of the others; a tie where the inner halves overlap."""
    mine = by_whom.get(FIBER)
    others = {who: statistics.median(v) for who, v in by_whom.items()
              if v and not who.startswith(FIBER)}  # neither ours nor another form of it
    if not mine or not others:
        return ''
    best = min(others, key=others.get)
    my_low, my_high = middle(mine)
    low, high = middle(by_whom[best])
    if my_low <= high and low <= my_high:
        return f'tie with {best}'
    ours, theirs = statistics.median(mine), others[best]
    if min(ours, theirs) <= 0:
        return f'before {best}' if ours < theirs else f'behind {best}'
    if ours < theirs:
        return f'{theirs / ours:.2g}x before {best}'
    return f'{ours / theirs:.2g}x behind {best}'


# ---- the document --------------------------------------------------------------------------------

def section(title, results, order, elsewhere):
    return {
        'title': title,
        'order': order,
        'elsewhere': elsewhere,
        'failed': {who: why for (row, who), why in results.failed.items() if not row},
        'rows': {row: row_of(results, row) for row in results.samples},
    }


def row_of(results, row):
    def here(table):
        return {who: text for (r, who), text in table.items() if r == row}

    return {
        'operations': results.operations.get((row, FIBER)),
        'figures': {
            figure: {
                'unit': results.unit[row, figure],
                'target': results.target.get((row, figure)),
                'samples': dict(by_whom),
            } for figure, by_whom in results.samples[row].items()
        },
        'empty': here(results.empty),
        'failed': here(results.failed),
        'notes': here(results.notes),
    }


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


def description(about):
    return (f'{about["processor"]}, {about["processors"]} processors, {about["memory_mb"]} MB, '
            f'Linux {about["kernel"]}, {about["compiler"]}; load average at the start '
            f'{about["load_average_at_start"]:.2f}; {about["rounds"]} interleaved rounds'
            f'{", quick" if about["quick"] else ""}; {about["disturbed"]} of {about["samples"]} '
            'samples taken while others used the machine.')


# ---- tables --------------------------------------------------------------------------------------

def label(row, figure):
    return f'{row}, {figure}' if figure else row


def rival_cell(row, figure, who):
    if who in row['failed']:
        return 'failed'
    if figure['samples'].get(who):
        return cell(figure['samples'][who])
    return '-' if who in row['empty'] else ''


def line_of(name, row, figure_name, figure, others):
    mine = figure['samples'].get(FIBER)
    target = figure['target']
    if FIBER in row['failed']:
        own = 'failed'
    else:
        own = three(mine) if mine else ''
    return [
        label(name, figure_name),
        f'{row["operations"]:,}' if row['operations'] else '',
        figure['unit'],
        f'{target:g}' if target else '',
        verdict(mine, target) if mine and target and own != 'failed' else '',
        own,
        standing(figure['samples']) if own != 'failed' else '',
        *[rival_cell(row, figure, who) for who in others],
    ]


def table(part):
    """Rows of texts; the first is the heading."""
    others = [who for who in part['order'] if who != FIBER]
    nothing = {'': {'unit': '', 'target': None, 'samples': {}}}
    lines = [['', 'operations', 'unit', 'target', '', f'{FIBER}: min / median / max',
              'beside the best', *others]]
    for name, row in part['rows'].items():
        for figure_name, figure in (row['figures'] or nothing).items():
            lines.append(line_of(name, row, figure_name, figure, others))
    return lines


def remarks(part):
    """What stands under a table: what failed, why cells are empty, notes, figures from
    elsewhere."""
    out = [f'{who} failed: {why}' for who, why in part['failed'].items()]
    reasons, together = {}, {}
    for name, row in part['rows'].items():
        out += [f'{who} failed at {name}: {why}' for who, why in row['failed'].items()]
        for who, why in row['empty'].items():
            reasons.setdefault((who, why), []).append(name)
    for (who, why), names in reasons.items():
        together.setdefault((why, '; '.join(names)), []).append(who)
    out += [f'{", ".join(whom)}: {why} ({names})' for (why, names), whom in together.items()]
    for name, row in part['rows'].items():
        for who, texts in row['notes'].items():
            out += [f'{who}, {name}: {text}' for text in texts[:2]]
    for name, text in part['elsewhere'].items():
        out.append(f'measured elsewhere, not in this run{", " if name else ""}{name}: {text}')
    return out


def plain(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return '\n'.join('  '.join(text.ljust(width) if i == 0 else text.rjust(width)
                               for i, (text, width) in enumerate(zip(line, widths)))
                     for line in lines)


def markdown(document):
    out = ['# Benchmarks', '',
           f'{description(document["about"])} Rivals: median (min-max). Less is better. What each '
           'row measures stands in bench/README.md.', '']
    for part in document['workloads'].values():
        lines = table(part)
        out += [f'## {part["title"]}', '', '| ' + ' | '.join(lines[0]) + ' |',
                '|---' + '|---:' * (len(lines[0]) - 1) + '|']
        out += ['| ' + ' | '.join(line) + ' |' for line in lines[1:]]
        out += [''] + [f'- {note}' for note in remarks(part)] + ['']
    return '\n'.join(out)


def write(folder, document, page):
    """`page` turns the document into HTML."""
    folder = Path(folder)
    folder.mkdir(exist_ok=True)
    (folder / 'report.json').write_text(json.dumps(document, indent=1) + '\n')
    (folder / 'report.md').write_text(markdown(document))
    (folder / 'report.html').write_text(page(document))
