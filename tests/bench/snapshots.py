# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of snapshots: how long a commit takes under load, what the writers notice, what snapshots cost afterwards, and
how they go.  kagefs and btrfs; sets of volumes exist on kagefs only.  Writers: 8 threads, 4 KiB O_DIRECT at random places."""
import json
import os

from .machine import helper, run, settle
from .workload import Figure, Workload, at_least_value, below

THREADS = 8
LOAD = helper('snapshot_load')


def load(seconds, files, method='none', args=(), count=0, gap_ms=20, threads=THREADS):
    return json.loads(run(LOAD, 'load', seconds, threads, method, count, gap_ms, *args, '--', *files))


class Volume:
    """A volume, or subvolume, of its own with a VM's file in it, on any target that has snapshots."""

    def __init__(self, target, name, mib):
        self.target = target
        self.root = os.path.join(target.dir, name)
        self.copies = self.root + '.snapshots'
        if target.name == 'kagefs':
            run(target.program, 'volume', 'create', self.root)
        else:
            run('btrfs', 'subvolume', 'create', self.root)
            os.mkdir(self.copies)
        self.file = os.path.join(self.root, 'vm.img')
        run(LOAD, 'layout', self.file, mib)

    def method(self, prefix='s'):
        """Arguments of load() that make copies of it."""
        if self.target.name == 'kagefs':
            return {'method': 'kagefs', 'args': (prefix, self.root)}
        return {'method': 'btrfs', 'args': (self.root, self.copies)}

    def copy_of_file(self, i, prefix='s'):
        if self.target.name == 'kagefs':
            return os.path.join(self.root, '.snapshots', f'{prefix}{i}', 'vm.img')
        return os.path.join(self.copies, f's{i}', 'vm.img')

    def verify(self, copies=()):
        for path in [self.file, *(self.copy_of_file(i) for i in copies)]:
            run(LOAD, 'verify', path)

    def delete_copies(self, threads=1):
        """What deleting took, on kagefs."""
        if self.target.name == 'kagefs':
            return json.loads(run(LOAD, 'delete', threads, self.root))
        for name in os.listdir(self.copies):
            run('btrfs', 'subvolume', 'delete', os.path.join(self.copies, name))
        return None

    def remove(self):
        if self.target.name == 'kagefs':
            run(self.target.program, 'volume', 'delete', '--recursive', self.root)
        else:
            self.delete_copies()
            run('btrfs', 'subvolume', 'delete', self.root)
            os.rmdir(self.copies)


def has_snapshots(target):
    return target.has_snapshots


def is_kagefs(target):
    return target.name == 'kagefs'


def commit_under_load(target, form):
    vol = Volume(target, 'busy', form.file_mib)
    run(helper('small_files'), 'create', vol.root, form.snapshot_files)
    target.sync()
    settle(form.settle)
    without = load(form.snapshots * 0.02 + form.seconds, [vol.file])
    settle(form.settle)
    loaded = load(600, [vol.file], count=form.snapshots, **vol.method())
    settle(form.settle)
    vol.verify(copies=(0, form.snapshots // 2, form.snapshots - 1))
    gone = vol.delete_copies()
    vol.verify()
    vol.remove()
    figures = {'commit-p50': loaded['commit_p50'], 'commit-p99': loaded['commit_p99'], 'commit-worst': loaded['commit_worst'],
               'stall-p999': loaded['write_p999'], 'stall-p999-without': without['write_p999'],
               'stall-worst': loaded['write_worst'], 'stall-worst-without': without['write_worst'],
               'stall-worst-added': max(0, loaded['write_worst'] - without['write_worst']),
               'rate': loaded['iops'] / without['iops']}
    if gone:
        figures.update({'delete-p50': gone['answer_p50'], 'delete-p99': gone['answer_p99']})
    return figures


def set_commit(target, form):
    volumes = [Volume(target, f'member{i:02}', 8) for i in range(64)]
    target.sync()
    settle(form.settle)
    loaded = load(600, [v.file for v in volumes[:THREADS]], 'kagefs', ('s', *(v.root for v in volumes)), form.snapshots)
    settle(form.settle)
    for v in volumes[:THREADS]:
        v.verify(copies=(0, form.snapshots - 1))
    volumes[-1].verify(copies=(form.snapshots - 1,))
    volumes[0].delete_copies(THREADS)
    for v in volumes:
        v.remove()
    return {'p50': loaded['commit_p50'], 'p99': loaded['commit_p99'], 'worst': loaded['commit_worst']}


def rate_after(target, form):
    """Writes before any snapshot, right after one, and with 100, each between writes."""
    vol = Volume(target, 'ladder', form.file_mib)
    settle(form.settle)
    before = load(form.seconds, [vol.file])['iops']
    settle(form.settle)
    load(60, [vol.file], count=1, gap_ms=0, threads=0, **vol.method())
    first = load(form.seconds, [vol.file])['iops']
    if target.name == 'kagefs':
        load(60, [vol.file], 'kagefs', ('more', vol.root), count=99, gap_ms=5, threads=1)
    else:
        for name in [f's{i}' for i in range(1, 100)]:
            load(0.005, [vol.file], gap_ms=5, threads=1)
            run('btrfs', 'subvolume', 'snapshot', vol.root, os.path.join(vol.copies, name))
    settle(form.settle)
    hundred = load(form.seconds, [vol.file])['iops']
    vol.verify(copies=(0,))
    vol.delete_copies()
    vol.remove()
    return {'before': before, 'after-1': first / before, 'after-100': hundred / before}


def delete_many(target, form):
    vol = Volume(target, 'many', 64)
    load(3600, [vol.file], 'kagefs', ('s', vol.root), count=form.many_snapshots, gap_ms=0, threads=1)
    settle(form.settle)
    before = load(form.seconds, [vol.file])['iops']
    settle(form.settle)
    gone = vol.delete_copies(THREADS)
    if gone['deleted'] != form.many_snapshots:
        raise RuntimeError(f'{gone["deleted"]} snapshots deleted instead of {form.many_snapshots}')
    during = load(form.seconds, [vol.file])['iops']
    vol.verify()
    vol.remove()
    return {'answers': gone['seconds'] * 100000 / gone['deleted'], 'live-writes': during / before}


WORKLOADS = [
    Workload('snapshot-load', (
        Figure('commit-p50', 'snapshot commit under 8 writers, many files: p50', 'ms'),
        Figure('commit-p99', '… p99', 'ms', below(10)),
        Figure('commit-worst', '… worst', 'ms'),
        Figure('stall-p999', '… writes meanwhile: p99.9', 'ms', below(2)),
        Figure('stall-p999-without', '… the same without snapshots: p99.9', 'ms'),
        Figure('stall-worst', '… writes meanwhile: worst', 'ms'),
        Figure('stall-worst-without', '… the same without snapshots: worst', 'ms'),
        Figure('stall-worst-added', '… worst, above the same without snapshots', 'ms', below(2)),
        Figure('rate', '… rate of the writes, part of the same without snapshots', ''),
        Figure('delete-p50', 'delete of one of these snapshots, answer: p50', 'ms'),
        Figure('delete-p99', '… p99', 'ms', below(2))), commit_under_load, has_snapshots, once=True),
    Workload('set-commit', (
        Figure('p50', 'set of 64 volumes, commit under 8 writers: p50', 'ms'),
        Figure('p99', '… p99', 'ms', below(20)),
        Figure('worst', '… worst', 'ms')), set_commit, is_kagefs, once=True),
    Workload('snapshot-cost', (
        Figure('before', '4 KiB writes before the first snapshot', 'IOPS'),
        Figure('after-1', '… right after a snapshot, part of before', '', at_least_value(0.9)),
        Figure('after-100', '… with 100 snapshots, part of before', '', at_least_value(0.9))), rate_after, has_snapshots, once=True),
    Workload('snapshot-delete', (
        Figure('answers', 'deletes of all of many snapshots by 8 threads, answers for each 100,000', 's', below(10)),
        Figure('live-writes', '… live writes while their space returns, part of before', '', at_least_value(0.8))),
        delete_many, is_kagefs, once=True),
]
