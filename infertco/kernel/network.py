"""Collectives between the chips of a replica: a fixed latency and a bandwidth term each.

The latency is mostly software (4 to 45 us for the same wires, by engine), so it is an argument. No overlap with
compute is assumed in decoding.
"""

import numpy as np


def allreduce_time_s(n, message_bytes, latency_s, bytes_per_s):
    """All-reduce of one buffer over n chips: `latency + 2 (n-1)/n m/W`; nothing for one chip. [s]

    `message_bytes` is the buffer of one chip, `bytes_per_s` the attainable rate of its link in one direction.

    Examples
    --------
    >>> print(float(allreduce_time_s(4.0, 2e6, 1e-5, 3e11)))   # 10 us and 2 * 3/4 * 2 MB at 300 GB/s
    2e-05
    """
    with np.errstate(invalid="ignore"):
        return np.where(n > 1, latency_s + 2 * (n - 1) / n * message_bytes / bytes_per_s, 0.0)


def alltoall_time_s(n, message_bytes, latency_s, bytes_per_s):
    """All-to-all of one buffer over n chips: `latency + (n-1)/n m/W`; nothing for one chip. [s]"""
    with np.errstate(invalid="ignore"):
        return np.where(n > 1, latency_s + (n - 1) / n * message_bytes / bytes_per_s, 0.0)


def send_time_s(message_bytes, latency_s, bytes_per_s):
    """One buffer to the next chip. [s]"""
    return latency_s + message_bytes / bytes_per_s
