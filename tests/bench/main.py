# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/bench: runs the workloads on the targets in turn, keeps every figure, prints the table."""
import argparse
import json
import os
import signal
import subprocess
import sys
import time

from . import disk_io, growth, report, snapshots, space, targets, trees
from .machine import describe, settle, warm_memory
from .workload import LONG, SHORT

WORKLOADS = disk_io.WORKLOADS + trees.WORKLOADS + snapshots.WORKLOADS + space.WORKLOADS + growth.WORKLOADS
DOCUMENT = 'docs/performance.md'


def arguments():
    p = argparse.ArgumentParser(prog='scripts/bench', description=__doc__)
    p.add_argument('workloads', nargs='*', metavar='WORKLOAD', help='only these (default: all); --list names them')
    p.add_argument('--list', action='store_true', help='name the workloads and end')
    p.add_argument('--long', action='store_true', default=os.environ.get('BENCH') == 'long', help='the long form')
    p.add_argument('--on', metavar='FS,...', help='only these file systems (default: ext4,kagefs and where mkfs exists btrfs,xfs)')
    p.add_argument('--repeats', type=int, metavar='N', help='repetitions of ext4 and kagefs')
    p.add_argument('--seconds', type=float, metavar='S', help='seconds per timed job')
    p.add_argument('--mount-options', default='', metavar='OPTIONS', help='kagefs mount options')
    p.add_argument('--dir', metavar='DIR', help='work directory on the disk to measure (default: build/bench/work)')
    p.add_argument('--results', metavar='FILE', help='where figures are appended (default: build/bench/results.jsonl)')
    p.add_argument('--write', action='store_true', help=f'only put the results into {DOCUMENT}')
    return p.parse_args()


def chosen(names, form):
    known = {w.name: w for w in WORKLOADS}
    bad = [n for n in names if n not in known]
    if bad:
        sys.exit(f'bench: no workload {" ".join(bad)}; scripts/bench --list names them')
    return [known[n] for n in names] if names else [w for w in WORKLOADS if form is LONG or not w.long_only]


def commit():
    done = subprocess.run(['git', 'describe', '--always', '--dirty'], stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip() or 'unknown'


class Results:
    """Every figure is appended to the file when it is known, so that an interrupted run loses nothing."""

    def __init__(self, path, facts):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        self.run = f'{time.time():.0f}'
        self.file = open(path, 'a')
        self._line(facts)

    def _line(self, obj):
        self.file.write(json.dumps(obj) + '\n')
        self.file.flush()

    def add(self, workload, target, figures):
        for name, value in figures.items():
            self._line({'run': self.run, 'workload': workload.name, 'figure': name, 'target': target.name, 'value': value})


def repeats_of(workload, target, form):
    n = form.repeats if target.name in (report.BASE, report.OURS) else form.other_repeats
    return min(n, 1) if workload.once and form is not LONG else n


def run_all(workloads, tgts, form, results):
    """Targets take turns within each repetition of each workload.  False when something failed."""
    good = True
    for w in workloads:
        on = [t for t in tgts if w.on(t)]
        for rep in range(form.repeats):
            for t in on:
                if rep >= repeats_of(w, t, form):
                    continue
                begin = time.monotonic()
                try:
                    figures = w.run(t, form)
                except (OSError, RuntimeError, subprocess.SubprocessError) as e:
                    print(f'{w.name:22} {t.name:7} FAILED: {e}', flush=True)
                    good = False
                    continue
                took = time.monotonic() - begin
                waited = settle(form.settle)
                results.add(w, t, figures)
                shown = ' '.join(f'{k + "=" if k else ""}{report.number(v)}' for k, v in figures.items())
                print(f'{w.name:22} {t.name:7} {shown}   ({took:.1f} s, then busy for {waited:.1f} s)', flush=True)
    return good


def main():
    args = arguments()
    build = os.environ.get('O', 'build')
    results_path = args.results or os.path.join(build, 'bench', 'results.jsonl')
    form = LONG if args.long else SHORT
    if args.seconds or args.repeats:
        form = type(form)(**{**form.__dict__, **({'seconds': args.seconds} if args.seconds else {}),
                             **({'repeats': args.repeats} if args.repeats else {})})
    if args.list:
        for w in WORKLOADS:
            print(f'{w.name:22} {"; ".join(f.title for f in w.figures)}{" (long form)" if w.long_only else ""}')
        return 0
    if args.write:
        report.write(WORKLOADS, results_path, DOCUMENT)
        return 0
    if os.geteuid():
        sys.exit('bench: needs root: it mounts file systems and empties caches')
    workloads = chosen(args.workloads, form)
    base = os.path.abspath(args.dir or os.path.join(build, 'bench', 'work'))
    os.makedirs(base, exist_ok=True)
    names = args.on.split(',') if args.on else targets.available()
    facts = {'machine': describe(base), 'form': f'{form.name}, {form.seconds:g} s per timed job, {form.repeats} repetitions '
             f'({form.other_repeats} of btrfs and xfs), VM file of {form.file_mib} MiB', 'commit': commit()}
    results = Results(results_path, facts)
    program = os.path.abspath(os.path.join(build, 'kagefs'))
    warm_memory(4096)
    tgts, good = [], False
    signal.signal(signal.SIGTERM, lambda *_: sys.exit('bench: terminated'))  # what is mounted is released
    try:
        for n in names:
            tgts.append(targets.make(n, base, program, max(4096, 3 * form.file_mib), args.mount_options))
        settle(form.settle)
        good = run_all(workloads, tgts, form, results)
    finally:
        for t in tgts:
            try:
                t.close()
            except (OSError, RuntimeError) as e:
                print(f'{t.name}: FAILED at the end: {e}', flush=True)
                good = False
    values, _ = report.load(results_path)
    print('\n' + report.table(workloads, values))
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())
