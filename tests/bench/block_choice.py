# SPDX-License-Identifier: GPL-3.0-or-later
"""What block size and compression cost and gain with three kinds of content: makes the table "Block size, hash and compression" of
docs/performance.md.  Needs root, mkfs.ext4 and a built kagefs.

    python3 -B -m tests.bench.block_choice [--work DIR] [BLOCK-SIZE/CODEC ...]     e.g. 64K/lz4; default: all of them

Each row is a fresh store.  `time` is from the first write until the store is unmounted and everything lies in it as blocks and rows;
`cpu` is what the daemon took for that; `space` is that of packs and database, `rows` that of the database alone."""
import argparse
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import time

from .machine import MIB, drop_caches, run, warm_memory

SIZES = ('16K', '64K', '128K', '256K')
CODECS = ('none', 'lz4', 'zstd')
PAGE = 4096
UPDATES = 0.02  # part of the database's pages that is rewritten, after a snapshot


def make_image(path, mib):
    """A guest's disk: a file system with programs, libraries and text, and space never written."""
    tree = path + '.tree'
    os.makedirs(tree)
    left = mib * MIB * 3 // 4
    for top in ('/usr/bin', '/usr/share/doc', '/usr/lib/x86_64-linux-gnu'):
        part = left // 3
        for e in sorted(os.scandir(top), key=lambda e: e.name):
            if e.is_file(follow_symlinks=False) and e.stat().st_size <= part:
                shutil.copy(e.path, tree)
                part -= e.stat().st_size
    run('mkfs.ext4', '-q', '-d', tree, path, f'{mib}M')
    shutil.rmtree(tree)


def make_database(path, mib):
    rng = random.Random(1)
    words = [bytes(rng.choices(b'abcdefghijklmnopqrstuvwxyz', k=rng.randint(3, 10))).decode() for _ in range(4000)]
    db = sqlite3.connect(path)
    db.execute('PRAGMA journal_mode = OFF')
    db.execute('CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT, mail TEXT, balance REAL, token BLOB, note TEXT)')
    while os.path.getsize(path) < mib * MIB:
        db.executemany('INSERT INTO person (name, mail, balance, token, note) VALUES (?, ?, ?, ?, ?)',
                       [(rng.choice(words) + ' ' + rng.choice(words), f'{rng.choice(words)}@{rng.choice(words)}.example',
                         rng.random() * 1e4, rng.randbytes(32), ' '.join(rng.choices(words, k=15))) for _ in range(20000)])
        db.commit()
    db.close()


def make_tree(path, mib):
    """Small files."""
    left = mib * MIB
    for where, _, names in os.walk('/usr/include'):
        to = path + where
        os.makedirs(to, exist_ok=True)
        for n in sorted(names):
            source = os.path.join(where, n)
            if os.path.isfile(source) and not os.path.islink(source) and left > 0:
                shutil.copy(source, to)
                left -= os.path.getsize(source)


class Store:
    """A store mounted by a daemon whose CPU time is known when it has ended."""

    def __init__(self, program, base, size, codec):
        self.program, self.dir, self.mount = program, os.path.join(base, 'store'), os.path.join(base, 'mount')
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.mount, exist_ok=True)
        run(program, 'mkfs', '--block-size', size, '--compress', codec, self.dir)
        self.begin()

    def begin(self):
        self.daemon = subprocess.Popen([self.program, 'mount', '-f', self.dir, self.mount], stderr=subprocess.DEVNULL)
        while not os.path.ismount(self.mount):
            if self.daemon.poll() is not None:
                raise RuntimeError('kagefs mount ended')
            time.sleep(0.005)

    def end(self):
        """Seconds of CPU the daemon took in all."""
        self.daemon.send_signal(signal.SIGTERM)
        _, status, usage = os.wait4(self.daemon.pid, 0)
        self.daemon.returncode = status
        if status:
            raise RuntimeError(f'kagefs mount ended with {status}')
        return usage.ru_utime + usage.ru_stime

    def space(self):
        """Bytes of (packs and database, database)."""
        rows = os.stat(os.path.join(self.dir, 'meta.db')).st_blocks * 512
        return int(run('du', '-sB1', os.path.join(self.dir, 'packs')).split()[0]) + rows, rows


def rewrite_pages(path):
    """Every page rewritten gets the content of another, but for its first 64 bytes, which are new."""
    rng = random.Random(2)
    pages = os.path.getsize(path) // PAGE
    fd = os.open(path, os.O_RDWR)
    for p in rng.sample(range(1, pages), int(pages * UPDATES)):
        data = os.pread(fd, PAGE, rng.randrange(1, pages) * PAGE)
        os.pwrite(fd, rng.randbytes(64) + data[64:], p * PAGE)
    os.fsync(fd)
    os.close(fd)
    return int(pages * UPDATES) * PAGE


def measure(store, source):
    begin = time.monotonic()
    run('cp', '-r', '--sparse=never', source, store.mount)
    cpu = store.end()
    took = time.monotonic() - begin
    space, rows = store.space()
    return {'time': took, 'cpu': cpu, 'space': space, 'rows': rows}


def cold_read(store, name):
    drop_caches()
    store.begin()
    begin = time.monotonic()
    run('tar', 'cf', '/dev/zero', '-C', store.mount, name)
    took = time.monotonic() - begin
    return took, store.end()


def row(program, base, size, codec, source):
    """One line of the table; figures per MiB of content."""
    name = os.path.basename(source)
    mib = int(run('du', '-sB1', '--apparent-size', source).split()[0]) / MIB
    store = Store(program, base, size, codec)
    wrote = measure(store, source)
    read, read_cpu = cold_read(store, name)
    line = (f'| {name} | {size} | {codec} | {mib / wrote["time"]:.0f} | {wrote["cpu"] / mib * 1024:.1f} | {mib / read:.0f} '
            f'| {read_cpu / mib * 1024:.1f} | {wrote["space"] / MIB / mib:.2f} | {wrote["rows"] / 1024 / mib:.2f} |')
    if name == 'database':
        store.begin()
        run(program, 'snapshot', 'create', '--name', 's', store.mount)
        changed = rewrite_pages(os.path.join(store.mount, name))
        store.end()
        line += f' {(store.space()[0] - wrote["space"]) / changed:.1f} |'
    else:
        line += ' – |'
    run(program, 'check', store.dir)
    shutil.rmtree(store.dir)
    return line


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('choice', nargs='*', metavar='BLOCK-SIZE/CODEC')
    p.add_argument('--work', default=os.path.join(os.environ.get('O', 'build'), 'bench', 'choice'), metavar='DIR')
    p.add_argument('--mib', type=int, default=128, help='of each kind of content')
    args = p.parse_args()
    program = os.path.abspath(os.path.join(os.environ.get('O', 'build'), 'kagefs'))
    sources = []
    for name, make in (('image', make_image), ('tree', make_tree), ('database', make_database)):
        path = os.path.join(os.path.abspath(args.work), name)
        os.makedirs(args.work, exist_ok=True)
        if not os.path.exists(path):
            make(path, args.mib)
        sources.append(path)
    warm_memory(2048)
    for source in sources:
        for choice in args.choice or [f'{s}/{c}' for s in SIZES for c in CODECS]:
            print(row(program, os.path.abspath(args.work), *choice.split('/'), source), flush=True)


if __name__ == '__main__':
    main()
