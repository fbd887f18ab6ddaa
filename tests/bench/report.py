# SPDX-License-Identifier: GPL-3.0-or-later
"""From results to docs/performance.md."""
import json
import statistics

BASE, OURS = 'ext4', 'kagefs'
START, END = '<!-- results: made by scripts/bench --write -->', '<!-- end of results -->'


def load(path):
    """{(figure, target): [values]} of the last run of each workload, and its facts."""
    values, facts, runs = {}, {}, {}
    for line in open(path):
        r = json.loads(line)
        if 'machine' in r:
            facts = r
            continue
        key = (r['workload'], r['figure'], r['target'])
        if runs.get(r['workload']) != r['run']:
            for k in [k for k in values if k[0] == r['workload']]:
                del values[k]
            runs[r['workload']] = r['run']
        values.setdefault(key, []).append(r['value'])
    return values, facts


def number(v):
    if v is None:
        return '–'
    return f'{v:,.0f}' if abs(v) >= 100 else f'{v:.1f}' if abs(v) >= 10 else f'{v:.2f}'


def cell(values):
    if not values:
        return '–'
    text = number(statistics.median(values))
    if len(values) > 1:
        text += f' [{number(min(values))}–{number(max(values))}]'
    return text


def table(workloads, values):
    lines = ['| workload | ext4 | kagefs | ratio | target | met? | btrfs | xfs |', '|---|---|---|---|---|---|---|---|']
    for w in workloads:
        for f in w.figures:
            got = {t: values.get((w.name, f.name, t), []) for t in (BASE, OURS, 'btrfs', 'xfs')}
            if not any(got.values()):
                continue
            base = statistics.median(got[BASE]) if got[BASE] else None
            ours = statistics.median(got[OURS]) if got[OURS] else None
            ratio = f'{ours / base:.{2 if ours > 0.2 * base else 3}f}' if base and ours is not None else '–'
            met = f.goal.met(ours, base) if f.goal and ours is not None else None
            name = w.name + ('.' + f.name if f.name else '')
            lines.append(f'| {f.title}, {f.unit} (`{name}`) | {cell(got[BASE])} | {cell(got[OURS])} | {ratio} | {f.goal or "–"} | '
                         f'{ {True: "yes", False: "**no**", None: "–"}[met]} | {cell(got["btrfs"])} | {cell(got["xfs"])} |')
    return '\n'.join(lines)


def section(workloads, path):
    values, facts = load(path)
    out = [START, '']
    if facts:
        out += [f'- {k}: {v}' for k, v in facts['machine']]
        out += [f'- form: {facts["form"]}; kagefs {facts["commit"]}', '']
    out += [table(workloads, values), '', END]
    return '\n'.join(out)


def write(workloads, path, document):
    """Replace the results between the two marks of the document; what people wrote around them stays."""
    text = open(document).read()
    before, rest = text.split(START, 1)
    after = rest.split(END, 1)[1]
    with open(document, 'w') as f:
        f.write(before + section(workloads, path) + after)
