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
    files: int      # small files
    repeats: int
    other_repeats: int  # of file systems that are there for comparison only
    settle: float  # most seconds to wait for work in the background between two jobs


SHORT = Form('short', 3, 512, 10000, 2, 1, 8)
LONG = Form('long', 20, 4096, 50000, 3, 2, 60)
