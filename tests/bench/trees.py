# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows of small files: creating them, unpacking a tree, and git on it."""
import os
import shutil
import time

from .machine import helper, run, warm_memory
from .workload import Figure, Workload, at_least, at_most

TREE = '/usr/include'
GIT = {'GIT_AUTHOR_NAME': 'bench', 'GIT_AUTHOR_EMAIL': 'bench@localhost', 'GIT_COMMITTER_NAME': 'bench',
       'GIT_COMMITTER_EMAIL': 'bench@localhost', 'GIT_CONFIG_GLOBAL': '/dev/null', 'GIT_CONFIG_NOSYSTEM': '1'}


def timed(*args, **kw):
    begin = time.monotonic()
    run(*args, **kw)
    return time.monotonic() - begin


def create(target, form):
    where = os.path.join(target.dir, 'small')
    os.mkdir(where)
    warm_memory(512)
    seconds = float(run(helper('small_files'), 'create', where, form.files))
    target.cold()
    run(helper('small_files'), 'verify', where, form.files)
    shutil.rmtree(where)
    return {'': form.files / seconds}


def archive(target):
    """A tar of the machine's header files, beside the targets; read once, so that it comes from memory."""
    path = os.path.join(target.base, 'tree.tar')
    if not os.path.exists(path):
        run('tar', 'cf', path, '-C', os.path.dirname(TREE), os.path.basename(TREE))
    with open(path, 'rb') as f:
        while f.read(1 << 20):
            pass
    return path


def tree(target, form):
    """untar, git add and git status follow each other on one tree."""
    tar = archive(target)
    where = os.path.join(target.dir, 'tree')
    os.mkdir(where)
    warm_memory(1024)
    begin = time.monotonic()
    run('tar', 'xf', tar, '-C', where)
    target.sync()
    untar = time.monotonic() - begin
    run('tar', 'df', tar, '-C', where)
    top = os.path.join(where, os.path.basename(TREE))
    env = {**os.environ, **GIT}
    run('git', 'init', '-q', '.', cwd=top, env=env)
    add = timed('git', 'add', '.', cwd=top, env=env)
    run('git', 'status', '--porcelain', cwd=top, env=env)
    status = sorted(timed('git', 'status', '--porcelain', cwd=top, env=env) for _ in range(5))[2]
    target.cold()
    run('git', 'fsck', '--full', '--strict', cwd=top, env=env)
    if run('git', 'diff', '--stat', cwd=top, env=env):
        raise RuntimeError('git: the tree differs from what was added')
    shutil.rmtree(where)
    return {'untar': untar, 'git-add': add, 'git-status': status}


def over_io_uring(workload):
    def run_it(target, form):
        with target.over_io_uring():
            return workload(target, form)
    return run_it


def tree_figures(how, goals):
    return (Figure('untar', f'untar {TREE}, then sync{how}', 's', goals and at_most(1 / 0.7)),
            Figure('git-add', f'git add of that tree{how}', 's', goals and at_most(1.5)),
            Figure('git-status', f'git status of it, warm{how}', 's', goals and at_most(2)))


WORKLOADS = [
    Workload('create-4k', (Figure('', 'create 4 KiB files, 1 thread', 'files/s', at_least(0.10)),), create),
    Workload('create-4k-uring', (Figure('', 'create 4 KiB files, 1 thread, over io_uring', 'files/s', at_least(0.25)),),
             over_io_uring(create)),
    Workload('tree', tree_figures('', None), tree, once=True),
    Workload('tree-uring', tree_figures(', over io_uring', True), over_io_uring(tree), once=True),
]
