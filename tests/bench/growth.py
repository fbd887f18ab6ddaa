# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of growth: the same work on ten times the file, beside ten times the files, and with a thousand snapshots, as part
of what it was before.  kagefs alone: each figure is a ratio of two of its own, taken in one run."""
import os
import shutil

from .disk_io import fio, iops
from .machine import helper, run, warm_memory
from .snapshots import Volume, is_kagefs, load
from .workload import Figure, Workload, at_least_value

TIMES = 10
SNAPSHOTS = 1000


def cold_reads(target, form, path, mib):
    """As many of either file as are an eighth of the smaller one: more, and it would be read from memory in the end."""
    target.rest()
    target.cold()
    warm_memory(512)
    return iops(fio(f'--filename={path}', f'--size={mib}m', '--rw=randread', '--bs=4k', '--numjobs=8', '--invalidate=0',
                    f'--io_size={form.growth_mib * 1024 // 64}k', '--readonly'))


def writes(target, form, vol):
    target.rest()
    return load(form.seconds, [vol.file])['iops']


def file_size(target, form):
    small, large = (Volume(target, name, mib) for name, mib in (('small', form.growth_mib), ('large', TIMES * form.growth_mib)))
    w = [writes(target, form, v) for v in (small, large)]
    r = [cold_reads(target, form, v.file, mib) for v, mib in ((small, form.growth_mib), (large, TIMES * form.growth_mib))]
    for v in (small, large):
        v.verify()
        v.remove()
    return {'write': w[1] / w[0], 'read': r[1] / r[0]}


def snapshots(target, form):
    """Between two snapshots there are writes, so that each of them keeps blocks of its own."""
    vol = Volume(target, 'kept', form.growth_mib)
    w = [writes(target, form, vol)]
    r = [cold_reads(target, form, vol.file, form.growth_mib)]
    load(600, [vol.file], count=SNAPSHOTS, gap_ms=0, threads=1, **vol.method())
    w.append(writes(target, form, vol))
    r.append(cold_reads(target, form, vol.file, form.growth_mib))
    vol.verify(copies=(0, SNAPSHOTS // 2, SNAPSHOTS - 1))
    vol.delete_copies(8)
    vol.remove()
    return {'write': w[1] / w[0], 'read': r[1] / r[0]}


def files(target, form):
    """Files per second for the first ones, and for as many more when ten times that number is there."""
    where = [os.path.join(target.dir, name) for name in ('first', 'filling', 'last')]
    count = [form.files, (TIMES - 2) * form.files, form.files]
    seconds = []
    for path, n in zip(where, count):
        os.mkdir(path)
        warm_memory(512)
        seconds.append(float(run(helper('small_files'), 'create', path, n)))
        target.rest()
    target.cold()
    for path, n in zip(where, count):
        run(helper('small_files'), 'verify', path, n)
        shutil.rmtree(path)
    return {'': seconds[0] / seconds[2]}


def row(name, title, write, read, work):
    return Workload(name, (Figure('write', f'4 KiB random O_DIRECT writes {title}', '', at_least_value(write)),
                           Figure('read', '… cold 4 KiB random reads of it', '', read and at_least_value(read))),
                    work, is_kagefs, long_only=True, once=True)


WORKLOADS = [
    row('growth-size', 'in a ten times larger file, part of those in the smaller', 0.75, None, file_size),
    Workload('growth-files', (Figure('', 'create 4 KiB files beside ten times as many, part of the first', '', at_least_value(0.75)),),
             files, is_kagefs, long_only=True, once=True),
    row('growth-snapshots', 'with 1,000 snapshots, part of those without', 0.75, 0.75, snapshots),
]
