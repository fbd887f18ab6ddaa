# SPDX-License-Identifier: GPL-3.0-or-later
"""The machine a run takes place on: what it is, and bringing it into a known state before something is timed."""
import mmap
import os
import platform
import subprocess
import time

MIB = 1 << 20


def run(*args, **kw):
    """Run a command that must work; what it printed comes back."""
    kw.setdefault('stderr', subprocess.STDOUT)
    done = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, text=True, check=False, **kw)
    if done.returncode:
        raise RuntimeError(f'{" ".join(map(str, args))}: exit code {done.returncode}: {(done.stdout or "").strip()[-400:]}')
    return done.stdout


def helper(name):
    """A program of tests/bench."""
    return os.path.join(os.environ.get('O', 'build'), 'tests', 'bench_' + name)


def warm_memory(mib):
    """Touch free memory: a virtual machine may have given it back to its host, and the first touch would be timed."""
    free = int(next(l for l in open('/proc/meminfo') if l.startswith('MemAvailable')).split()[1]) // 1024
    mib = min(mib, free // 2)
    with mmap.mmap(-1, mib * MIB) as m:
        for at in range(0, len(m), mmap.PAGESIZE):
            m[at] = 1


def drop_caches():
    os.sync()
    with open('/proc/sys/vm/drop_caches', 'w') as f:
        f.write('3')


def _busy():
    """(jiffies not idle, sectors moved) of the whole machine."""
    cpu = [int(x) for x in open('/proc/stat').readline().split()[1:9]]
    sectors = 0
    for line in open('/proc/diskstats'):
        f = line.split()
        sectors += int(f[5]) + int(f[9])
    return sum(cpu) - cpu[3] - cpu[4], sectors


def settle(limit=10.0):
    """Wait until nothing works in the background any more, so that one file system does not pay for another; seconds waited."""
    begin = time.monotonic()
    quiet = 0
    cpu, disk = _busy()
    while quiet < 2 and time.monotonic() - begin < limit:
        time.sleep(0.2)
        now_cpu, now_disk = _busy()
        calm = now_cpu - cpu <= 3 and now_disk - disk <= 256
        quiet = quiet + 1 if calm else 0
        cpu, disk = now_cpu, now_disk
    return time.monotonic() - begin


def _first(cmd):
    try:
        return run(*cmd).strip().splitlines()[0]
    except (OSError, RuntimeError, IndexError):
        return '-'


def describe(directory):
    """What docs/performance.md says about the machine: (name, value) pairs."""
    cpu = next((l.split(':')[1].strip() for l in open('/proc/cpuinfo') if l.startswith('model name')), platform.machine())
    mem = int(open('/proc/meminfo').readline().split()[1]) // 1024
    source, fstype, options = run('findmnt', '-nro', 'SOURCE,FSTYPE,OPTIONS', '-T', directory).split()
    os_name = next((l.split('=')[1].strip().strip('"') for l in open('/etc/os-release') if l.startswith('PRETTY_NAME')), '-')
    return [
        ('processor', f'{os.cpu_count()} x {cpu}'),
        ('memory', f'{mem} MiB'),
        ('kernel', f'{platform.release()}, {os_name}'),
        ('disk', f'{os.path.basename(source)}: {fstype} ({options})'),
        ('libfuse', _first(['pkg-config', '--modversion', 'fuse3'])),
        ('fio', _first(['fio', '--version'])),
    ]
