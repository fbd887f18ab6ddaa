# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of a virtual machine's image: random and sequential I/O by fio on one file that is laid out in full.

Every 4 KiB written carries its own offset and checksum; after each job that writes, the whole file is read and verified."""
import json
import os
import subprocess
import tempfile

from .machine import MIB, settle, warm_memory
from .targets import reflink
from .workload import Figure, Workload, at_least

# As Samba's and a VM host's threads do it: one file, plain system calls.  30 % of the data is compressible.
BASE = ['fio', '--name=job', '--thread', '--group_reporting', '--refill_buffers', '--buffer_compress_percentage=30',
        '--randrepeat=0', '--norandommap', '--output-format=json']
CELLS = ['--verify=crc32c', '--verify_interval=4k', '--do_verify=0']


def image(target):
    return os.path.join(target.dir, 'vm.img')


def fio(*args):
    done = subprocess.run([*BASE, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          cwd=tempfile.gettempdir())
    if done.returncode:
        raise RuntimeError(f'fio {" ".join(args)}: exit code {done.returncode}: {done.stderr.strip()[-300:]}')
    job = json.loads(done.stdout[done.stdout.index('{'):])['jobs'][0]
    if job['error']:
        raise RuntimeError(f'fio {" ".join(args)}: error {job["error"]}')
    return job


def iops(job):
    return job['read']['iops'] + job['write']['iops']


def mibs(job):
    return (job['read']['bw'] + job['write']['bw']) / 1024


def verify(path, mib):
    fio(f'--filename={path}', f'--size={mib}m', '--rw=read', '--bs=1m', '--verify=crc32c', '--verify_interval=4k',
        '--verify_fatal=1')


def lay_out(target, mib):
    """The VM's file, written once from end to end."""
    path = image(target)
    if os.path.exists(path) and os.path.getsize(path) == mib * MIB:
        return
    if os.path.exists(path):
        os.unlink(path)
    fio(f'--filename={path}', f'--size={mib}m', '--rw=write', '--bs=1m', '--end_fsync=1', *CELLS)
    settle()


def random_writes(*args, threads, mib=None, seconds=None):
    def run(target, form):
        size = mib or form.file_mib
        lay_out(target, size)
        job = fio(f'--filename={image(target)}', f'--size={size}m', f'--numjobs={threads}', '--time_based',
                  f'--runtime={seconds or form.seconds}', *args, *CELLS)
        verify(image(target), size)
        return {'': iops(job)}
    return run


def random_reads(cold):
    def run(target, form):
        lay_out(target, form.file_mib)
        if cold:
            target.cold()
            warm_memory(form.file_mib)
        else:
            verify(image(target), form.file_mib)
            with open(image(target), 'rb') as f:
                while f.read(MIB):
                    pass
        # invalidate=0: fio does not drop what it is about to read
        job = fio(f'--filename={image(target)}', f'--size={form.file_mib}m', '--rw=randread', '--bs=4k', '--numjobs=8',
                  '--invalidate=0', '--time_based', f'--runtime={form.seconds}')
        return {'': iops(job)}
    return run


def sequential_write(target, form):
    path = os.path.join(target.dir, 'seq.img')
    warm_memory(2 * form.file_mib + 512)
    job = fio(f'--filename={path}', f'--size={form.file_mib}m', '--rw=write', '--bs=1m', '--end_fsync=1', *CELLS)
    verify(path, form.file_mib)
    os.unlink(path)
    return {'': mibs(job)}


def cold_snapshot_read(target, form):
    """A backup job reads an image out of a snapshot; without snapshots, out of a reflink copy, or the file itself."""
    lay_out(target, form.file_mib)
    path, drop = backup_copy(target)
    try:
        target.cold()
        warm_memory(form.file_mib + 512)
        job = fio(f'--filename={path}', f'--size={form.file_mib}m', '--rw=read', '--bs=1m', '--invalidate=0', '--readonly')
        verify(path, form.file_mib)
    finally:
        drop()
    return {'': mibs(job)}


def backup_copy(target):
    """(path of the image's copy, what deletes it)."""
    if target.name == 'kagefs':
        root = target.snapshot('backup')
        return os.path.join(root, 'vm.img'), lambda: target.delete_snapshot('backup')
    copy = os.path.join(target.dir, 'vm.copy')
    try:
        reflink(image(target), copy)
    except OSError:
        os.unlink(copy)
        return image(target), lambda: None
    return copy, lambda: os.unlink(copy)


def row(name, title, unit, goal, run, **kw):
    return Workload(name, (Figure('', title, unit, goal),), run, **kw)


WORKLOADS = [
    row('w4k-sync-d1', '4 KiB random O_SYNC, 1 thread', 'IOPS', at_least(0.95),
        random_writes('--rw=randwrite', '--bs=4k', '--sync=1', threads=1)),
    row('w4k-sync-d8', '4 KiB random O_SYNC, 8 threads, one file', 'IOPS', at_least(1.2),
        random_writes('--rw=randwrite', '--bs=4k', '--sync=1', threads=8)),
    row('w4k-fdatasync-d8', '4 KiB write + fdatasync each, 8 threads, one file', 'IOPS', at_least(0.2),
        random_writes('--rw=randwrite', '--bs=4k', '--fdatasync=1', threads=8)),
    row('w64k-sync-d8', '64 KiB random O_SYNC, 8 threads', 'IOPS', at_least(0.9),
        random_writes('--rw=randwrite', '--bs=64k', '--sync=1', threads=8)),
    row('w4k-direct-d8', '4 KiB random O_DIRECT, 8 threads', 'IOPS', at_least(1.5),
        random_writes('--rw=randwrite', '--bs=4k', '--direct=1', threads=8)),
    row('w4k-direct-5min', '4 KiB random O_DIRECT, 8 threads, sustained 5 min over a 4 GiB file', 'IOPS', at_least(0.8),
        random_writes('--rw=randwrite', '--bs=4k', '--direct=1', threads=8, mib=4096, seconds=300), long_only=True),
    row('mix16k-direct-d8', '16 KiB 70/30 mix O_DIRECT, 8 threads', 'IOPS', at_least(1.0),
        random_writes('--rw=randrw', '--rwmixread=70', '--bs=16k', '--direct=1', threads=8)),
    row('r4k-cold-d8', '4 KiB random read, cold, 8 threads', 'IOPS', at_least(0.9), random_reads(cold=True)),
    row('r4k-warm-d8', '4 KiB random read, warm, 8 threads', 'IOPS', at_least(0.9), random_reads(cold=False)),
    row('seqw-1m', 'sequential write 1 MiB + fsync', 'MiB/s', at_least(1.0), sequential_write),
    row('snapshot-read-cold', 'cold sequential read of a snapshot by a backup job', 'MiB/s', at_least(1.0),
        cold_snapshot_read),
]
