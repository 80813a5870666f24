"""Draw of a chip by phase, of its server at the wall, and over the year.

    draw = TDP { i + (1 - i) [1 - exp(-(k_m u_m + k_c sqrt(u_c)))] }      at most the power limit, if there is one
    wall = factor * draw + the rest of the server

with u_m the bytes that must move over bandwidth x time and u_c the model FLOP over peak x time, of one phase. The form
is empirical: i, k_m and k_c are fitted to the power of GPUs alone, factor and rest to whole systems on their AC side
(`data/efficiency.csv`). PUE comes on top, once, and is not in here. Left out: what a power limit costs in speed,
communication (it draws power that neither utilization sees), temperature.
"""

import numpy as np

from .rows import some


def chip_w(chip, memory_use, compute_use, limit_w=np.nan):
    """Draw of one chip in a phase, at its own terminals: no host, no supply, no PUE. [W]

    Parameters
    ----------
    chip : values
        `tdp_w`, `idle_power_share` and what the two utilizations add, `power_per_memory_use` and
        `power_per_root_compute_use`.
    memory_use, compute_use : Number
        Share of the memory bandwidth and of the peak in use; counted up to 1. [1]
    limit_w : Number
        Power limit set on the chip; NaN: none. [W]

    Notes
    -----
    Both utilizations are needed: on GPUs the memory's falls with the batch while power rises.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> chip = SimpleNamespace(tdp_w=700.0, idle_power_share=0.3, power_per_memory_use=0.7, power_per_root_compute_use=3.4)
    >>> print(chip_w(chip, 0.0, 0.0), round(float(chip_w(chip, 0.8, 0.02))), round(float(chip_w(chip, 0.1, 0.6))))   # idle, decode, prefill
    210.0 527 667
    >>> print(chip_w(chip, 0.1, 0.6, limit_w=500.0))
    500.0
    """
    pull = chip.power_per_memory_use * np.minimum(memory_use, 1) + chip.power_per_root_compute_use * np.sqrt(np.minimum(compute_use, 1))
    draw_w = chip.tdp_w * (chip.idle_power_share + (1 - chip.idle_power_share) * (1 - np.exp(-pull)))
    return np.where(draw_w > limit_w, limit_w, draw_w) if some(limit_w == limit_w) else draw_w


def active_w(prefill_w, decode_w, prefill_share):
    """Draw of one chip at work: the phases by their share of its time. [W]

    Notes
    -----
    The prompt's share is the time that decoding waits for it; what hides under decoding counts with the answer.

    Examples
    --------
    >>> print(active_w(660.0, 500.0, 0.25))
    540.0
    """
    return prefill_share * prefill_w + (1 - prefill_share) * decode_w


def server_w(chip, draw_w):
    """Draw of a server on its AC side, per chip: supplies and fans in proportion, CPUs, memory and NICs beside. [W]

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> print(8 * server_w(SimpleNamespace(server_power_factor=1.25, server_w=150.0), 500.0))   # eight chips at 500 W
    6200.0
    """
    return chip.server_power_factor * draw_w + chip.server_w


def idle_w(chip):
    """Draw of one chip that waits for requests. [W]"""
    return chip.idle_power_share * chip.tdp_w


def mean_w(chip, active, host_share, utilization):
    """Mean draw of one slot over the year: chip at work and idle, host and network at their share. [W]"""
    return utilization * active + (1 - utilization) * idle_w(chip) + host_share * (chip.host_w + chip.network_w)
