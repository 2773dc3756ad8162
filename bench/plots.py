"""Plots as SVG texts: bars with their spread, and lines over a number of fibers or connections.

Colours are classes (w0 is ours), which the page's style sheet defines for light and for dark; the
rest is drawn in the colour of the text. Nothing needs a script."""

import math
import statistics
from html import escape

from report import number

NAME_WIDTH, BAR_WIDTH, VALUE_WIDTH, BAR_STEP = 128, 210, 112, 22
LINES_WIDTH, LINES_HEIGHT, MARGIN = 460, 260, 46
LONGEST = 6  # a bar longer than so many times the middle one is cut off, with an arrow


def svg(width, height, title, body):
    return (f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
            f'<title>{escape(title)}</title>{"".join(body)}</svg>')


def text(x, y, words, anchor='start', kind=''):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">'
            f'{escape(words)}</text>')


def line(x1, y1, x2, y2, kind):
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>'


# ---- bars ----------------------------------------------------------------------------------------

def spread(y, values, x_of):
    low, high = x_of(min(values)), x_of(max(values))
    if high - low < 1:
        return []
    return [line(low, y, high, y, 'spread'), line(low, y - 4, low, y + 4, 'spread'),
            line(high, y - 4, high, y + 4, 'spread')]


def bar(y, who, kind, values, x_of, limit):
    median = statistics.median(values)
    width = max(x_of(median) - NAME_WIDTH, 1)
    out = [text(NAME_WIDTH - 8, y + 4, who, 'end', 'ours' if kind == 'w0' else ''),
           f'<rect x="{NAME_WIDTH}" y="{y - 7:.1f}" width="{width:.1f}" height="14" rx="2" '
           f'class="{kind}"/>']
    if median > limit:
        out.append(text(NAME_WIDTH + BAR_WIDTH - 6, y + 4, '\N{RIGHTWARDS ARROW}', 'end', 'cut'))
    else:
        out += spread(y, values, x_of)
    right = NAME_WIDTH + BAR_WIDTH + VALUE_WIDTH - 4
    out.append(text(right, y + 4, number(median), 'end', 'value'))
    return out


def bars(title, samples, order, kinds, target=None):
    """One panel: a bar for each participant, the median with its least and greatest sample."""
    taking_part = [who for who in order if samples.get(who)]
    medians = [statistics.median(samples[who]) for who in taking_part]
    most = max([max(samples[who]) for who in taking_part] + [target or 0, 1e-9])
    limit = min(most, max(LONGEST * statistics.median(medians), target or 0, 1e-9))

    def x_of(value):
        return NAME_WIDTH + BAR_WIDTH * min(max(value, 0), limit) / limit

    body = []
    for i, who in enumerate(taking_part):
        body += bar(14 + BAR_STEP * i, who, kinds[who], samples[who], x_of, limit)
    height = BAR_STEP * len(taking_part) + 6
    if target and target <= limit:
        body.append(line(x_of(target), 0, x_of(target), height, 'target'))
    return svg(NAME_WIDTH + BAR_WIDTH + VALUE_WIDTH, height, title, body)


# ---- lines ---------------------------------------------------------------------------------------

def decades(least, most):
    """The powers of ten around both, at least one apart."""
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(most))
    return low, max(high, low + 1)


def short(value):
    """For an axis: 1,000 but 10k."""
    if value >= 1e6:
        return f'{value / 1e6:g}M'
    return f'{value / 1e3:g}k' if value >= 1e4 else f'{value:,g}'


class Axes:
    """Both logarithmic: what is far apart is a factor, not a difference."""

    def __init__(self, xs, ys):
        self.x_low, self.x_high = math.log10(min(xs)), math.log10(max(xs))
        self.y_low, self.y_high = decades(min(ys), max(ys))

    def x(self, value):
        share = (math.log10(value) - self.x_low) / max(self.x_high - self.x_low, 1e-9)
        return MARGIN + 10 + share * (LINES_WIDTH - MARGIN - 24)

    def y(self, value):
        share = (math.log10(value) - self.y_low) / (self.y_high - self.y_low)
        return LINES_HEIGHT - MARGIN / 2 - share * (LINES_HEIGHT - MARGIN / 2 - 12)

    def draw(self, xs, unit):
        bottom = self.y(10.0 ** self.y_low)
        out = []
        for power in range(self.y_low, self.y_high + 1):
            y = self.y(10.0 ** power)
            out += [line(MARGIN, y, LINES_WIDTH - 4, y, 'grid'),
                    text(MARGIN - 6, y + 4, short(10.0 ** power), 'end', 'tick')]
        for x in xs:
            out += [line(self.x(x), bottom, self.x(x), bottom + 4, 'axis'),
                    text(self.x(x), bottom + 17, short(x), 'middle', 'tick')]
        return out + [line(MARGIN, bottom, LINES_WIDTH - 4, bottom, 'axis'),
                      text(MARGIN + 4, 11, unit, 'start', 'tick')]


def curve(axes, points, kind):
    path = ' '.join(f'{axes.x(x):.1f},{axes.y(statistics.median(v)):.1f}' for x, v in points)
    out = [f'<polyline points="{path}" class="{kind}"/>']
    for x, values in points:
        out += [line(axes.x(x), axes.y(min(values)), axes.x(x), axes.y(max(values)),
                     f'{kind} whisker'),
                f'<circle cx="{axes.x(x):.1f}" cy="{axes.y(statistics.median(values)):.1f}" r="3" '
                f'class="{kind}"/>']
    return out


def lines(title, series, kinds, unit):
    """`series`: {participant: [(x, samples)]}. Ours is drawn last, over the others."""
    shown = {}
    for who, points in series.items():
        above_nought = [(x, v) for x, v in points if v and min(v) > 0]
        if above_nought:
            shown[who] = above_nought
    if not shown:
        return ''
    xs = sorted({x for points in shown.values() for x, _ in points})
    axes = Axes(xs, [value for points in shown.values() for _, v in points for value in v])
    body = axes.draw(xs, unit)
    for who in sorted(shown, key=lambda w: kinds[w] == 'w0'):
        body += curve(axes, shown[who], kinds[who])
    return svg(LINES_WIDTH, LINES_HEIGHT, title, body)
