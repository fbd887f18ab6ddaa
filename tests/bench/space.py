# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of space: what a second copy of a tree, and a changed copy of an image, add; and clones."""
import filecmp
import os
import random
import shutil
import time

from .disk_io import image, lay_out
from .machine import MIB, run
from .trees import archive
from .workload import Figure, Workload, below

AREA = 65536


def second_tree(target, form):
    """Percent of the first copy's space that a second copy of the same files adds."""
    tar = archive(target)
    target.fresh()
    used = [target.used()]
    for name in ('first', 'second'):
        where = os.path.join(target.dir, name)
        os.mkdir(where)
        run('tar', 'xf', tar, '-C', where)
        used.append(target.used())
    run('tar', 'df', tar, '-C', os.path.join(target.dir, 'second'))
    logical = int(run('du', '-sB1', '--apparent-size', os.path.join(target.dir, 'first')).split()[0])
    for name in ('first', 'second'):
        shutil.rmtree(os.path.join(target.dir, name))
    return {'first': (used[1] - used[0]) / logical * 100, '': (used[2] - used[1]) / logical * 100}


def changed_image(target, form):
    """Added bytes per rewritten byte when an image is copied in full and 5 % of its 64 KiB areas are new in the copy."""
    target.fresh()
    lay_out(target, form.file_mib)
    rng = random.Random(5)
    areas = rng.sample(range(form.file_mib * MIB // AREA), form.file_mib * MIB // AREA // 20)
    copy = os.path.join(target.dir, 'changed.img')
    before = target.used()
    run('cp', '--reflink=never', image(target), copy)
    with open(copy, 'r+b', buffering=0) as f:
        for a in areas:
            f.seek(a * AREA)
            f.write(rng.randbytes(AREA))
        os.fsync(f.fileno())
    added = target.used() - before
    target.cold()
    _verify_changed(image(target), copy, areas, form)
    os.unlink(copy)
    return {'': added / (len(areas) * AREA)}


def _verify_changed(original, copy, areas, form):
    """Rewritten areas hold the same random bytes again, all others those of the original."""
    rng = random.Random(5)
    rng.sample(range(form.file_mib * MIB // AREA), len(areas))
    new = {a: rng.randbytes(AREA) for a in areas}
    with open(original, 'rb') as o, open(copy, 'rb') as c:
        for a in range(form.file_mib * MIB // AREA):
            was, now = o.read(AREA), c.read(AREA)
            if now != new.get(a, was):
                raise RuntimeError(f'{copy}: wrong content in area {a}')


def copy_range(source, dest):
    """Seconds for copy_file_range of the whole file."""
    with open(source, 'rb') as s, open(dest, 'wb') as d:
        left = os.fstat(s.fileno()).st_size
        begin = time.monotonic()
        while left:
            n = os.copy_file_range(s.fileno(), d.fileno(), min(left, 1 << 30))
            if not n:
                raise RuntimeError(f'{source}: copy_file_range ended early')
            left -= n
        os.fsync(d.fileno())
        return time.monotonic() - begin


def clone_data(target, form):
    lay_out(target, form.file_mib)
    copy = os.path.join(target.dir, 'clone.img')
    seconds = copy_range(image(target), copy)
    if not filecmp.cmp(image(target), copy, shallow=False):
        raise RuntimeError(f'{copy}: differs')
    os.unlink(copy)
    return {'': seconds * 10240 / form.file_mib}


def clone_sparse(target, form):
    """100 GiB with 64 KiB of data in each GiB."""
    source, copy = (os.path.join(target.dir, n) for n in ('sparse.img', 'sparse.copy'))
    rng = random.Random(7)
    data = {gib: rng.randbytes(AREA) for gib in range(100)}
    with open(source, 'wb') as f:
        f.truncate(100 << 30)
        for gib, d in data.items():
            os.pwrite(f.fileno(), d, gib << 30)
        os.fsync(f.fileno())
    seconds = copy_range(source, copy)
    with open(copy, 'rb') as f:
        if os.fstat(f.fileno()).st_size != 100 << 30:
            raise RuntimeError(f'{copy}: wrong size')
        for gib, d in data.items():
            if os.pread(f.fileno(), 2 * AREA, gib << 30) != d + bytes(AREA):
                raise RuntimeError(f'{copy}: wrong content in GiB {gib}')
    os.unlink(source)
    os.unlink(copy)
    return {'': seconds}


def can_clone(target):
    return target.name in ('kagefs', 'btrfs', 'xfs')


WORKLOADS = [
    Workload('space-tree', (
        Figure('first', 'space of a tree of header files, part of its bytes', '%'),
        Figure('', 'space added by a second copy of it, part of its bytes', '%', below(1))), second_tree, once=True),
    Workload('space-image', (Figure('', 'space added by a copy of an image with 5 % of its 64 KiB areas rewritten, per '
                                    'rewritten byte', '', below(1.2)),), changed_image, once=True),
    Workload('clone-data', (Figure('', 'copy_file_range clone of data + fsync, per 10 GiB', 's', below(2)),), clone_data, can_clone, once=True),
    Workload('clone-sparse', (Figure('', 'copy_file_range clone of 100 GiB sparse + fsync', 's', below(1)),), clone_sparse,
             can_clone, once=True),
]
