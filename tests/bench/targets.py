# SPDX-License-Identifier: GPL-3.0-or-later
"""The file systems that are compared.  Each lies on the same disk; each offers a directory `dir` to work in."""
import contextlib
import json
import os
import shutil
import fcntl
import subprocess
import time

from .machine import MIB, drop_caches, run, settle


URING_SWITCH = '/sys/module/fuse/parameters/enable_uring'


class Target:
    """name; dir: where workloads work; has_snapshots: a tree can be copied at one instant."""
    has_snapshots = False

    def __init__(self, name, base):
        self.name = name
        self.base = base
        self.dir = os.path.join(base, name)

    def cold(self):
        """Nothing of `dir` is in memory any more."""
        drop_caches()

    def sync(self):
        run('sync', '-f', self.dir)

    @contextlib.contextmanager
    def over_io_uring(self):
        """Requests reach a FUSE server over io_uring meanwhile; the kernel's own file systems have no such way."""
        yield

    def fresh(self):
        """Before space is measured."""

    def close(self):
        """Release it and verify what can be verified offline."""


class Plain(Target):
    """A directory on the disk's own file system."""

    def __init__(self, base):
        fstype = run('findmnt', '-nro', 'FSTYPE', '-T', base).strip()
        super().__init__(fstype, base)
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)

    def used(self):
        self.sync()
        return int(run('du', '-sB1', self.dir).split()[0])

    def close(self):
        shutil.rmtree(self.dir)


class Kagefs(Target):
    has_snapshots = True

    def __init__(self, base, program, options=''):
        super().__init__('kagefs', base)
        self.program = program
        self.options = options
        self.store = os.path.join(base, 'kagefs.store')
        shutil.rmtree(self.store, ignore_errors=True)
        os.makedirs(self.dir, exist_ok=True)
        self._begin()

    def _begin(self):
        run(self.program, 'mkfs', self.store)
        self._mount()

    def _mount(self):
        args = ['-o', self.options] if self.options else []
        # Not into a pipe: the mounted program would keep it open.
        subprocess.run([self.program, 'mount', *args, self.store, self.dir], check=True, stdout=subprocess.DEVNULL)

    def cold(self):
        """A new process: its own caches are empty too."""
        run(self.program, 'umount', self.dir)
        drop_caches()
        self._mount()

    def _remount(self, options):
        run(self.program, 'umount', self.dir)
        self.options = options
        self._mount()

    @contextlib.contextmanager
    def over_io_uring(self):
        before = self.options
        with open(URING_SWITCH, 'r+') as switch:
            allowed = switch.read()
            switch.seek(0)
            switch.write('Y')
            switch.flush()
            try:
                self._remount(f'{before},io_uring' if before else 'io_uring')
                if not self.stats()['io_uring']['queues']:
                    raise RuntimeError('mounted without io_uring')
                yield
            finally:
                self._remount(before)
                switch.seek(0)
                switch.write(allowed)

    def snapshot(self, name, volume=None):
        run(self.program, 'snapshot', 'create', '--name', name, volume or self.dir)
        return os.path.join(volume or self.dir, '.snapshots', name)

    def delete_snapshot(self, name, volume=None):
        run(self.program, 'snapshot', 'delete', volume or self.dir, name)

    def stats(self):
        return json.loads(run(self.program, 'stats', '--json', self.dir))

    def rest(self, limit=300):
        """What was written has left the log: work that one job left behind is not timed in the next."""
        begin = time.monotonic()
        while self.stats()['apply']['lag_records'] and time.monotonic() - begin < limit:
            time.sleep(0.2)
        settle()

    def fresh(self):
        """An empty store: space that earlier work set free would come back while space is measured."""
        self._end()
        self._begin()

    def used(self):
        """Bytes of blocks and metadata of the store at rest: a mounted one holds space that packs grow into.  The log is
        left out: it is recycled, and its size is a setting."""
        run(self.program, 'sync', self.dir)
        settle()
        run(self.program, 'umount', self.dir)
        bytes_used = int(run('du', '-sB1', '--exclude=log', self.store).split()[0])
        self._mount()
        return bytes_used

    def _end(self):
        run(self.program, 'umount', self.dir)
        run(self.program, 'check', self.store)
        shutil.rmtree(self.store)

    def close(self):
        self._end()
        os.rmdir(self.dir)


class Loop(Target):
    """A file system of the kernel in a file that is fully written beforehand, so that no allocation below it is timed."""

    def __init__(self, name, base, mib, mkfs):
        super().__init__(name, base)
        self.image = os.path.join(base, name + '.img')
        self._write_image(mib)
        self.loop = run('losetup', '--find', '--show', '--direct-io=on', self.image).strip()
        run(*mkfs, self.loop)
        os.makedirs(self.dir, exist_ok=True)
        run('mount', self.loop, self.dir)

    def _write_image(self, mib):
        """It stays in the work directory: the next run has it already."""
        if os.path.exists(self.image) and os.stat(self.image).st_blocks * 512 >= mib * MIB == os.path.getsize(self.image):
            return
        run('dd', 'if=/dev/zero', f'of={self.image}', 'bs=1M', f'count={mib}', 'oflag=direct', 'conv=fsync')

    def used(self):
        self.sync()
        time.sleep(2)
        s = os.statvfs(self.dir)
        return (s.f_blocks - s.f_bfree) * s.f_frsize

    def close(self):
        run('umount', self.dir)
        run('losetup', '--detach', self.loop)
        os.rmdir(self.dir)


class Btrfs(Loop):
    has_snapshots = True

    def __init__(self, base, mib):
        super().__init__('btrfs', base, mib, ['mkfs.btrfs', '-q', '-f'])


class Xfs(Loop):
    def __init__(self, base, mib):
        super().__init__('xfs', base, mib, ['mkfs.xfs', '-q', '-f', '-m', 'reflink=1'])


FICLONE = 0x40049409


def reflink(source, dest):
    """A copy of a file that shares its blocks, where the file system can."""
    with open(source, 'rb') as s, open(dest, 'wb') as d:
        fcntl.ioctl(d, FICLONE, s.fileno())


def make(name, base, program, loop_mib, options):
    if name == 'kagefs':
        return Kagefs(base, program, options)
    if name == 'btrfs':
        return Btrfs(base, loop_mib)
    if name == 'xfs':
        return Xfs(base, loop_mib)
    return Plain(base)


def available():
    """The disk's own, kagefs, and those that can be made and mounted here."""
    names = ['ext4', 'kagefs']
    for fs in ('btrfs', 'xfs'):
        if shutil.which('mkfs.' + fs) and _kernel_has(fs):
            names.append(fs)
    return names


def _kernel_has(fs):
    if shutil.which('modprobe'):
        subprocess.run(['modprobe', '-q', fs], check=False, stderr=subprocess.DEVNULL)
    return any(line.split()[-1] == fs for line in open('/proc/filesystems'))
