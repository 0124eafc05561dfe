# SPDX-License-Identifier: GPL-2.0-only
"""Find the architectures and strategies that a command line names."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zsemu.guest.strategies import Strategy
    from zsemu.guest.targets import Target


def subjects(archs: list[str], names: list[str]) -> "tuple[list[Target], list[Strategy]]":
    """Return the architectures and strategies that are asked for, or all.

    A kernel's objects must be of architectures that are named, and limit them where none are.
    """
    from zsemu.guest import strategies, targets
    from zsemu.kernel.strategy import KernelStrategy, strategy

    wanted = [targets.target(name) for name in archs or targets.names()]
    named = [strategy(name) for name in names or strategies.names()]
    kernels = [one for one in named if isinstance(one, KernelStrategy)]
    for one in kernels:
        for target in wanted if archs else ():
            one.ensure(target.name)
    if len(kernels) == len(named):
        wanted = [target for target in wanted if any(target.name in one.archs for one in kernels)]
    return wanted, named
