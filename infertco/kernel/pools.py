"""Disaggregated serving: workers that only read prompts hand the KV cache to workers that only write answers.

Decoding then waits for no prompt: `TPOT = T_decode`. A group of N_p prefill and N_d decode workers with B sequences in
flight is in balance [1]_ where both pools finish as many requests a second,

    N_p / t_prompt = B / (output T_decode(B / N_d))

and serves the smooth minimum of both sides otherwise. The cache moves layer by layer beside the prefill, all but its
last slice [2]_. Left out: uneven load between workers, and the memory that waiting caches hold.

.. [1] Zhong et al., "DistServe: Disaggregating Prefill and Decoding", OSDI 2024.
.. [2] Patel et al., "Splitwise: Efficient Generative LLM Inference Using Phase Splitting", ISCA 2024.
"""

from typing import NamedTuple

import numpy as np

from .rows import chosen
from .serving import Prompt, prompt_s


class Worker(NamedTuple):
    """Deployment of one worker: what `layout.layout` and `layout.usable_bytes` ask of a deployment."""

    tensor_parallel: np.ndarray
    attention_data_parallel: np.ndarray
    pipeline_parallel: np.ndarray
    expert_parallel: np.ndarray
    workspace_bytes: np.ndarray
    memory_reserve: np.ndarray


class Pools(NamedTuple):
    """Both pools of a group; (rows). Where `there` is False, prefill and decode share chips."""

    there: np.ndarray
    decode_workers: np.ndarray
    prefill_workers: np.ndarray  # 0: as many as keep the decode workers busy
    read: Prompt  # on a prefill worker
    hand_off_s: np.ndarray  # what the prefill does not hide

    @property
    def first_s(self):
        """TTFT without waiting and without the engine's first-token overhead. [s]"""
        return self.read.alone_s + self.hand_off_s


def workers(deployment, there):
    """(prefill, decode) deployments of a worker of each pool, each with its own or the common parallelism."""
    d = deployment
    common = dict(pipeline_parallel=d.pipeline_parallel, workspace_bytes=d.workspace_bytes, memory_reserve=d.memory_reserve)

    def worker(tensor_parallel, attention_data_parallel, expert_parallel):
        tp = np.where(there, chosen(tensor_parallel, d.tensor_parallel), d.tensor_parallel)
        dp = np.where(there, chosen(attention_data_parallel, d.attention_data_parallel), d.attention_data_parallel)
        return Worker(tp, dp, expert_parallel=expert_parallel, **common)

    return (
        worker(d.prefill_tensor_parallel, d.prefill_attention_data_parallel, np.where(there, np.nan, d.expert_parallel)),
        worker(d.decode_tensor_parallel, d.decode_attention_data_parallel, d.expert_parallel),
    )


def hand_off_s(kv_bytes, bytes_per_s, prefill_s, n_layers):
    """Time the hand-off of a prompt's KV cache adds to the first token: the last layer's slice, or what the prefill cannot hide. [s]

    Parameters
    ----------
    kv_bytes : Number
        Cache of one prompt on the chip that sends most. [byte]
    bytes_per_s : Number
        Attainable rate of a chip's link to the other pool.

    Examples
    --------
    >>> print(hand_off_s(8e9, 40e9, 1.0, 80))   # 0.2 s over the link, hidden but for one layer of 80
    0.0025
    >>> print(hand_off_s(80e9, 40e9, 0.8, 80))   # 2 s, of which 79/80 of 0.8 s are hidden
    1.21
    """
    moved_s = kv_bytes / bytes_per_s
    return np.maximum(moved_s / n_layers, moved_s - prefill_s * (1 - 1 / n_layers))


def balanced_workers(batch, decode_step_s, output_tokens, prompt_s):
    """Prefill workers that keep `batch` sequences in flight, `N_p = B t_prompt / (output T_decode)`; not whole. [1]

    Examples
    --------
    >>> print(balanced_workers(100, 0.02, 500, 0.4))   # 10 answers a second, 2.5 prompts a second and worker
    4.0
    """
    return batch * prompt_s / (output_tokens * decode_step_s)


def prefill_workers(pools: Pools, batch, step_s, output_tokens):
    """Prefill workers of the group: as given, or the fewest that keep `batch` sequences in flight, its capacity."""
    needed = np.ceil(balanced_workers(batch, step_s, output_tokens, pools.read.packed_s))
    return np.where(pools.prefill_workers > 0, pools.prefill_workers, np.maximum(needed, 1.0))


def smooth_least(*rates):
    """Smooth minimum, the 4-norm of the inverses: never above the least. [1/s]"""
    return sum(1.0 / (rate * rate) ** 2 for rate in rates) ** -0.25


def capacity_per_s(pools: Pools, count, batch, step_s, output_tokens):
    """Requests a second with `batch` sequences in flight in the decode pool, unless `count` prefill workers finish fewer. [1/s]"""
    return smooth_least(batch / (np.maximum(output_tokens - 1, 1.0) * step_s), count / pools.read.packed_s)


def closed_loop(clients, count, room, token_s, output_tokens, pools: Pools, engine):
    """(TTFT, TPOT, sequences in flight in the decode pool) of `clients` on a group with `count` prefill workers.

    Requests a second are the smooth minimum of what the clients send, what the prefill workers finish and what the
    decode workers have room for; clients beyond that wait for their first token (Little's law). `room` is the pool's,
    `token_s` the time of a token with so many sequences in it.
    """
    answers, running = np.maximum(output_tokens - 1, 1.0), np.minimum(clients, room)
    burst_s = engine.burst_wait * np.maximum(clients / count - 1, 0.0) ** 0.8 * prompt_s(pools.read, 1.0)
    for _ in range(4):
        tpot_s = token_s(running)
        sent = clients / (pools.first_s + burst_s + answers * tpot_s)
        rate = smooth_least(sent, count / pools.read.packed_s, room / (answers * tpot_s))
        running = np.minimum(rate * answers * tpot_s, room)
    return clients / rate - answers * tpot_s, tpot_s, running
