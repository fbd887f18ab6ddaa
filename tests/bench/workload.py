# SPDX-License-Identifier: GPL-3.0-or-later
"""What a workload is: something that runs on a target and gives one or several figures."""
from dataclasses import dataclass, field
from typing import Callable


@dataclass(frozen=True)
class Goal:
    """kind 'ratio': figure of kagefs divided by that of the disk's own file system; 'value': the figure itself."""
    kind: str
    op: str  # '>=' or '<='
    bound: float

    def met(self, value, base):
        if self.kind == 'ratio':
            if not base:
                return None
            value /= base
        return value >= self.bound if self.op == '>=' else value <= self.bound

    def __str__(self):
        sign = '≥' if self.op == '>=' else '≤'
        return f'{sign} {self.bound:.3g}' + ('x' if self.kind == 'ratio' else '')


def at_least(ratio):
    return Goal('ratio', '>=', ratio)


def at_most(ratio):
    return Goal('ratio', '<=', ratio)


def below(value):
    return Goal('value', '<=', value)


def at_least_value(value):
    return Goal('value', '>=', value)


@dataclass(frozen=True)
class Figure:
    """One line of the table."""
    name: str
    title: str
    unit: str
    goal: Goal | None = None


@dataclass(frozen=True)
class Workload:
    """run(target, form) returns {figure name: value}; a target that `on` does not accept is left out."""
    name: str
    figures: tuple
    run: Callable
    on: Callable = field(default=lambda target: True)
    long_only: bool = False
    once: bool = False  # one repetition in the short form


@dataclass(frozen=True)
class Form:
    """How long a run is."""
    name: str
    seconds: float  # per timed job
    file_mib: int   # the VM's file
    growth_mib: int # the smaller file of the rows of growth
    files: int      # small files
    snapshot_files: int  # files beside the VM's in the volume that is copied
    snapshots: int       # copies made while writers work
    many_snapshots: int  # deleted at once
    repeats: int
    other_repeats: int  # of file systems that are there for comparison only
    settle: float  # most seconds to wait for work in the background between two jobs


SHORT = Form('short', seconds=2, file_mib=512, growth_mib=128, files=10000, snapshot_files=10000, snapshots=100, many_snapshots=2000,
             repeats=2, other_repeats=1, settle=8)
LONG = Form('long', seconds=20, file_mib=4096, growth_mib=1024, files=50000, snapshot_files=100000, snapshots=1000, many_snapshots=100000,
            repeats=3, other_repeats=2, settle=60)
