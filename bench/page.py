#!/usr/bin/env python3
"""bench/page.py - the report as one HTML page, readable without a network and without JavaScript.

    bench/page.py report.json > report.html

Rows whose names differ only in a number become lines over that number; every other row is a panel
of bars. The tables below the plots have what the plots cannot show."""

import json
import re
import sys
from html import escape

sys.dont_write_bytecode = True

import plots  # noqa: E402
import report  # noqa: E402

LIGHT = ('#0b62c4', '#c8422f', '#2e8b57', '#8a5bb5', '#b8860b', '#3a8f98', '#d0609a', '#7a6a58',
         '#5a6acf', '#6f8f1f', '#e07b28', '#70757a', '#a03060', '#1f7a5c')
DARK = ('#5aa9ff', '#ff8271', '#62cf93', '#c39bea', '#e6b840', '#68cbd5', '#ff98cb', '#bfae98',
        '#98a6ff', '#b3d45c', '#ffad66', '#aab0b6', '#e07aa5', '#5ec7a4')
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --faint: #d9dde2; --soft: #5c6670;
 --panel: #f7f8fa; LIGHT }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ec; --paper: #14171b; --faint: #343b43;
 --soft: #9aa5b1; --panel: #1b1f25; DARK } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
 max-width: 1480px; margin: 2em auto; padding: 0 1.2em; }
h1 { font-size: 1.7em; } h2 { margin: 2.2em 0 .6em; } h3 { font-size: .95em; margin: 0 0 .5em; }
p, li { max-width: 75em; } .soft, li { color: var(--soft); font-size: .9em; }
.plots { display: flex; flex-wrap: wrap; gap: 14px; }
figure { margin: 0; padding: 10px 14px; background: var(--panel); border-radius: 8px; }
figcaption { font-size: .85em; color: var(--soft); max-width: 450px; }
.scroll { overflow-x: auto; margin-top: 1em; }
table { border-collapse: collapse; font-size: .84em; font-variant-numeric: tabular-nums; }
th, td { padding: .25em .7em; border-bottom: 1px solid var(--faint); text-align: right;
 white-space: nowrap; } th:first-child, td:first-child { text-align: left; }
th:nth-child(6), td:nth-child(6) { font-weight: 600; } .bad { color: var(--w1); font-weight: 600; }
svg { max-width: 100%; height: auto; font: 12px system-ui, sans-serif; fill: var(--ink); }
svg .ours { font-weight: 700; } svg .tick { fill: var(--soft); font-size: 11px; }
svg .cut { fill: var(--paper); font-weight: 700; }
.grid { stroke: var(--faint); } .axis, .spread { stroke: var(--ink); }
.target { stroke: var(--ink); stroke-dasharray: 2 3; } polyline { fill: none; stroke-width: 1.6; }
polyline.w0 { stroke-width: 3.2; } .whisker { stroke-width: 1; }
.key { margin-right: 1em; white-space: nowrap; }
.key b { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .3em; }
"""
NUMBER = re.compile(r'(?<![\w(.])\d{1,3}(?:,\d{3})+(?![\w.])|(?<![\w(.])\d+(?![\w.])')

ONE = re.compile(r'^ (call|connection|fiber)\b')  # of one, singular; the others are many


def style():
    def colours(palette):
        return ' '.join(f'--w{i}: {colour};' for i, colour in enumerate(palette))

    classes = ''.join(
        f'rect.w{i}, circle.w{i} {{ fill: var(--w{i}); }} '
        f'polyline.w{i}, line.w{i} {{ stroke: var(--w{i}); }} '
        f'b.w{i} {{ background: var(--w{i}); }}\n'
        for i in range(len(LIGHT)))
    return STYLE.replace('LIGHT', colours(LIGHT)).replace('DARK', colours(DARK)) + classes


def kinds_of(document):
    """A class for each participant, the same on the whole page; ours is w0."""
    names = [report.FIBER]
    for part in document['workloads'].values():
        names += [who for who in part['order'] if who not in names]
    return {who: f'w{1 + (i - 1) % (len(LIGHT) - 1) if i else 0}' for i, who in enumerate(names)}


def families(part):
    """{(pattern, figure): [(number, row)]} of rows that differ in one number only, three or
    more."""
    found = {}
    for row, data in part['rows'].items():
        match = NUMBER.search(row)
        for figure in data['figures'] if match else ():
            pattern = row[:match.start()] + 'N' + ONE.sub(r' \1s', row[match.end():])
            value = int(match.group().replace(',', ''))
            found.setdefault((pattern, figure), []).append((value, row))
    return {key: sorted(rows) for key, rows in found.items() if len(rows) >= 3}


def figure_html(title, drawing, caption=''):
    note = f'<figcaption>{caption}</figcaption>' if caption else ''
    return f'<figure><h3>{escape(title)}</h3>{drawing}{note}</figure>' if drawing else ''


def key(names, kinds):
    return ' '.join(f'<span class="key"><b class="{kinds[who]}"></b>{escape(who)}</span>'
                   for who in names)


def family_html(part, pattern, figure, rows, kinds):
    series = {}
    for value, row in rows:
        for who, samples in part['rows'][row]['figures'][figure]['samples'].items():
            series.setdefault(who, []).append((value, samples))
    unit = part['rows'][rows[0][1]]['figures'][figure]['unit']
    title = report.label(pattern, figure)
    shown = [who for who in part['order'] if who in series]
    return figure_html(title, plots.lines(title, series, kinds, unit), key(shown, kinds))


def bars_html(part, row, name, figure, kinds):
    title = report.label(row, name)
    heading = f'{title}, {figure["unit"]}' if figure['unit'] else title
    target = figure['target']
    caption = f'dotted: the target, {target:g}' if target else ''
    drawing = plots.bars(title, figure['samples'], part['order'], kinds, target)
    return figure_html(heading, drawing, caption)


def plots_html(part, kinds):
    together = families(part)
    drawn = {(row, figure) for (_, figure), rows in together.items() for _, row in rows}
    out = [family_html(part, pattern, figure, rows, kinds)
           for (pattern, figure), rows in together.items()]
    singles = [(row, name, figure) for row, data in part['rows'].items()
               for name, figure in data['figures'].items() if (row, name) not in drawn]
    # A bar with nothing beside it says nothing, unless there is nothing else.
    least = min(2, max([len(figure['samples']) for _, _, figure in singles], default=0))
    out += [bars_html(part, row, name, figure, kinds) for row, name, figure in singles
            if len(figure['samples']) >= max(least, 1)]
    return f'<div class="plots">{"".join(out)}</div>'


def cell_html(text, tag):
    kind = ' class="bad"' if text == 'failed' or text.startswith('missed') else ''
    return f'<{tag}{kind}>{escape(text)}</{tag}>'


def table_html(part):
    heading, *lines = report.table(part)
    rows = ''.join(f'<tr>{"".join(cell_html(t, "td") for t in line)}</tr>' for line in lines)
    names = ''.join(cell_html(text, 'th') for text in heading)
    return (f'<div class="scroll"><table><thead><tr>{names}</tr></thead><tbody>{rows}</tbody>'
            '</table></div>')


def html(document):
    kinds = kinds_of(document)
    out = ['<!DOCTYPE html>', '<html lang="en"><head><meta charset="utf-8">',
           '<meta name="viewport" content="width=device-width, initial-scale=1">',
           f'<title>fiber: benchmarks</title><style>{style()}</style></head><body>',
           '<h1>Fibers beside coroutines, callbacks and threads</h1>',
           f'<p class="soft">{escape(report.description(document["about"]))}</p>',
           '<p>Less is better everywhere. Bars and points are medians; the thin lines reach from '
           'the least sample to the greatest. Axes of lines are logarithmic; a bar with an arrow '
           'is cut off, and its figure stands beside it.</p>']
    for name, part in document['workloads'].items():
        notes = ''.join(f'<li>{escape(note)}</li>' for note in report.remarks(part))
        out += [f'<section id="{escape(name)}"><h2>{escape(part["title"])}</h2>',
                plots_html(part, kinds), table_html(part), f'<ul>{notes}</ul></section>']
    return '\n'.join(out + ['</body></html>', ''])


if __name__ == '__main__':
    if len(sys.argv) != 2:
        sys.exit(__doc__.splitlines()[2].strip())
    with open(sys.argv[1]) as file:
        print(html(json.load(file)), end='')
