"""Turns the text of a terminal with its colour sequences, on standard input, into an SVG picture. usage: COLUMNS"""
import html
import re
import sys

COLUMNS = int(sys.argv[1])
WIDTH, HEIGHT, MARGIN = 8.4, 18, 12
BASIC = ['#3b3b3b', '#d55e00', '#009e73', '#e69f00', '#0072b2', '#cc79a7', '#56b4e9', '#cccccc']


def indexed(n):
    if n < 16:
        return BASIC[n % 8]
    if n >= 232:
        return '#' + f'{8 + (n - 232) * 10:02x}' * 3
    n -= 16
    return '#' + ''.join(f'{0 if c == 0 else 55 + c * 40:02x}' for c in (n // 36, n // 6 % 6, n % 6))


def style(state, codes):
    codes = [int(c or 0) for c in codes.split(';')] if codes else [0]
    while codes:
        c = codes.pop(0)
        if c == 0:
            state = {}
        elif c == 38 and codes[0] == 2:
            state = state | {'fill': '#%02x%02x%02x' % tuple(codes[1:4])}
            codes = codes[4:]
        elif c == 38:
            state = state | {'fill': indexed(codes[1])}
            codes = codes[2:]
        elif 30 <= c <= 37 or 90 <= c <= 97:
            state = state | {'fill': BASIC[c % 10]}
        elif c == 39:
            state = {k: v for k, v in state.items() if k != 'fill'}
        elif c in (1, 2, 4, 7):
            state = state | {c: True}
    return state


lines = sys.stdin.read().rstrip('\n').split('\n')
out = []
state = {}
for row, line in enumerate(lines):
    column = 0
    for part in re.findall(r'\x1b\[[0-9;]*m|[^\x1b]+', line):
        if part[0] == '\x1b':
            state = style(state, part[2:-1])
            continue
        fill = state.get('fill', '#d8d8d8')
        x, y = MARGIN + column * WIDTH, MARGIN + row * HEIGHT
        if 7 in state:
            out.append(f'<rect x="{x:.1f}" y="{y}" width="{len(part) * WIDTH:.1f}" height="{HEIGHT}" fill="{fill}"/>')
            fill = '#16181d'
        if part.strip():
            # viewers join blanks
            text = html.escape(part).replace(' ', '\u00a0')
            extra = (' font-weight="bold"' if 1 in state else '') + (' opacity="0.6"' if 2 in state else '')
            extra += ' text-decoration="underline"' if 4 in state else ''
            out.append(f'<text x="{x:.1f}" y="{y + 14}" fill="{fill}" textLength="{len(part) * WIDTH:.1f}"'
                       f'{extra}>{text}</text>')
        column += len(part)

width, height = 2 * MARGIN + COLUMNS * WIDTH, 2 * MARGIN + len(lines) * HEIGHT
print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" viewBox="0 0 {width:.0f} {height}" '
      'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">')
print(f'<rect width="100%" height="100%" rx="8" fill="#16181d"/>')
print('\n'.join(out))
print('</svg>')
