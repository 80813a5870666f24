"""FLOP and bytes to seconds on one chip: a smooth roofline, and what bounds it.

`t = sqrt((FLOP/C)^2 + (bytes/W)^2)`: the 2-norm of compute time and memory time. It is never below either roof and
never above their sum. Measured matrix products lie between norm 1.2 and 2.5 depending on precision (fits on public
kernel tables); 2 keeps the kernel free of powers. C and W are attainable rates: the peak times an efficiency.
Fixed times (kernel floors, launches) are added outside.
"""

import numpy as np

from .rows import some

FORMATS = ("bf16", "fp16", "fp8", "int8", "fp4", "")  # "": the chip lists none wide enough


def operator_time_s(flop, moved_bytes, flop_per_s, bytes_per_s):
    """Time of one operator at the smooth roofline. [s]

    Parameters
    ----------
    flop : Number
        Arithmetic of the operator. [FLOP]
    moved_bytes : Number
        Bytes read from and written to memory. [byte]
    flop_per_s, bytes_per_s : Number
        Attainable rates, efficiencies included.

    Notes
    -----
    `max(compute, memory) <= t <= compute + memory`; the lower bound is perfect overlap, the upper none [1]_.

    References
    ----------
    .. [1] Austin et al., "How to Scale Your Model", Rooflines, 2025.

    Examples
    --------
    >>> print(operator_time_s(3e12, 4e9, 1e15, 1e12))   # 3 ms of compute, 4 ms of memory
    0.005
    """
    return norm(flop / flop_per_s, moved_bytes / bytes_per_s)


def norm(compute_s, memory_s):
    """The smooth roofline on seconds. [s]"""
    return (compute_s * compute_s + memory_s * memory_s) ** 0.5


def ridge_flop_per_byte(flop_per_s, bytes_per_s):
    """Arithmetic intensity at which the two roofs meet. [FLOP/byte]"""
    return flop_per_s / bytes_per_s


def arithmetic(activation_bits, bf16, fp16, fp8, int8, fp4):
    """Peak, width and format the arithmetic runs in: (peak, 8-bit?, 4-bit?, index into FORMATS).

    Takes the chip's dense peaks, NaN where not listed. [FLOP/s] 4 bits take fp4, 8 take fp8 else int8, 16 take bf16
    else fp16; a width the chip lacks goes to the next wider one, never narrower. The peak is NaN where none is left.
    """
    has_8 = ~(np.isnan(fp8) & np.isnan(int8))
    four = (activation_bits <= 4) & ~np.isnan(fp4)
    eight = (activation_bits <= 8) & ~four & has_8
    wide = np.where(np.isnan(bf16), fp16, bf16)
    peak = np.where(eight, np.where(np.isnan(fp8), int8, fp8), wide)
    peak = np.where(four, fp4, peak) if some(four) else peak
    form = np.where(eight, np.where(np.isnan(fp8), 3, 2), np.where(np.isnan(wide), 5, np.where(np.isnan(bf16), 1, 0)))
    return peak, eight, four, np.where(four, 4, form)
