"""One replica under continuous batching: what users wait, how many sequences fit.

In steady state each sequence of a batch of B waits, during its own answer, for the prompts of the other B - 1:

    TPOT = T_decode(B) + charge (B - 1)/output * T_prefill      requests/s = B / (TTFT + (output - 1) TPOT)

which keeps Little's law exact and gives the lone request at B = 1. The time of a step is `step`'s. Left out: waiting at
an arrival rate (queueing), eviction, length variance inside a batch.
"""

from typing import NamedTuple

import numpy as np

from .layout import Memory
from .rows import some
from .step import Law, Pass, decode_time_s, head_s, operators_s, split_s


class Prompt(NamedTuple):
    """Reading prompts: alone, and beside others. Short prompts share a step and with it the reading of the weights."""

    alone_s: np.ndarray  # one prompt, nothing else on the replica
    packed_s: np.ndarray  # a prompt's share where each step is full
    lone_s: np.ndarray  # what it takes more where it has a step for itself
    most: np.ndarray  # prompts of a full step
    steps: np.ndarray  # steps of one prompt


def prompt(law: Law, new_tokens, pairs, chunk_tokens) -> Prompt:
    """Prefill of a prompt with `new_tokens` that are not cached and `pairs` of tokens that attend, `chunk_tokens` a step.

    With several attention groups each reads prompts at the same time; alone, one group works and the others wait.
    """
    steps, most = np.maximum(np.ceil(new_tokens / chunk_tokens), 1.0), np.maximum(chunk_tokens / new_tokens, 1.0)
    fixed_s = law.fixed_s + law.prompt_fixed_s

    def read_s(prompts, groups):
        tokens = prompts * new_tokens
        seen = tokens / steps
        return (steps * (operators_s(law, seen, seen / groups, prompts) + fixed_s) + law.linear_s * tokens) / prompts

    groups = law.groups
    lone_s = packed_s = read_s(groups, groups)
    if some(most > 1):
        prompts = groups * most
        full_s = (law.chunk_s + head_s(law, prompts) + fixed_s) / prompts + law.linear_s * new_tokens
        packed_s = np.where(most > 1, full_s, lone_s)
    alone_s = read_s(1.0, 1.0) if some(groups > 1) else lone_s
    attention_s = law.pair_s * pairs
    return Prompt(alone_s + attention_s, packed_s + attention_s / groups, lone_s - packed_s, most, steps)


def prompt_s(read: Prompt, together):
    """Time of one prompt where `together` of them share a step: between a step for itself and a full one. [s]"""
    together = np.minimum(np.maximum(together, 1.0), read.most)
    with np.errstate(invalid="ignore", divide="ignore"):
        share_of_own = np.where(read.most > 1, (1 / together - 1 / read.most) / (1 - 1 / read.most), 0.0)
    return read.packed_s + share_of_own * read.lone_s


def prompt_pass(law: Law, new_tokens, pairs, chunk_tokens) -> Pass:
    """A prompt with steps of its own, by what takes it; it adds up to `prompt_s(read, 1)`."""
    groups, steps = law.groups, np.maximum(np.ceil(new_tokens / chunk_tokens), 1.0)
    tokens = groups * new_tokens
    compute_s, memory_s = split_s(law, tokens / steps, new_tokens / steps, groups)
    parts = steps * compute_s + law.pair_s * pairs, steps * memory_s, law.linear_s * tokens, steps * (law.fixed_s + law.prompt_fixed_s)
    return Pass(*(part / groups for part in parts))


def cached_attention_s(law: Law, pairs, new_tokens, cached_tokens):
    """Seconds a prompt attends to each of its cached tokens; NaN without any. [s]"""
    with np.errstate(invalid="ignore", divide="ignore"):
        return law.pair_s * pairs / (cached_tokens + new_tokens / 2) + 0.0 / cached_tokens


class Draft(NamedTuple):
    """Speculative decoding: tokens a sequence puts in a step, tokens it keeps of them, time to draft over a plain step."""

    checked: np.ndarray
    kept: np.ndarray
    cost_share: np.ndarray


PLAIN = Draft(1.0, 1.0, 0.0)


def draft(tokens, acceptance, cost_share) -> Draft:
    """`tokens` drafted a step, each kept with chance `acceptance` if the one before it was.

    Notes
    -----
    A step keeps `(1 - a^(g+1)) / (1 - a)` tokens on average, the model's own included [1]_. Drafting costs `g` draft
    steps of `cost_share` plain steps; verifying is part of the step, which reads the weights and the cache once.

    References
    ----------
    .. [1] Leviathan, Kalman, Matias, "Fast Inference from Transformers via Speculative Decoding", 2023, arXiv:2211.17192.

    Examples
    --------
    >>> print(round(float(draft(5.0, 0.8, 0.0).kept), 2))
    3.69
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        kept = np.where(acceptance < 1, (1 - acceptance ** (tokens + 1)) / np.subtract(1.0, acceptance), tokens + 1)
    return Draft(tokens + 1, kept, tokens * cost_share)


def step_s(law: Law, sequences, cached_tokens, drafted: Draft = PLAIN):
    """One decoding step, drafting included. [s]"""
    time_s = decode_time_s(law, sequences, cached_tokens, drafted.checked)
    return time_s if drafted is PLAIN else time_s + drafted.cost_share * decode_time_s(law, sequences, cached_tokens)


def latencies_s(law: Law, batch, lay, cached_tokens, output_tokens, read: Prompt, charge, drafted: Draft = PLAIN):
    """(TTFT without the engine's first-token overhead, TPOT, decode step a token) with `batch` sequences in flight. [s]

    With pipeline stages each step of a stage serves `batch / stages` sequences, and a token passes all stages.
    """
    sequences = np.maximum(batch / lay.pipeline_parallel, 1.0)
    others = sequences - 1.0
    whole_s = step_s(law, sequences, cached_tokens, drafted)
    arrivals = others / output_tokens  # prompts a token, in steady state
    tpot_s = whole_s / drafted.kept + charge * arrivals * prompt_s(read, arrivals * drafted.kept)
    ttft_s = read.alone_s + read.steps * np.minimum(others, 1.0) * whole_s
    return ttft_s, tpot_s, whole_s / drafted.kept


def closed_loop(law: Law, clients, room, lay, cached_tokens, output_tokens, read: Prompt, engine, drafted: Draft = PLAIN):
    """(TTFT, TPOT, decode step a token, running sequences) of `clients` that each send a request when the last is answered. [s]

    At most `room` sequences run; the rest wait. A request waits for prompts that came in the same burst, `burst_wait`
    times the prefill time for each to the power 0.8: bursts thin out over the waves of a run. What a request spends
    before its first token it does not spend running, so the running batch follows from Little's law, found in a few
    passes. The first-token overhead is not in.
    """
    most = np.minimum(clients, room)
    running = most
    for _ in range(4):
        ttft_s, tpot_s, token_s = latencies_s(law, running, lay, cached_tokens, output_tokens, read, engine.prefill_charge, drafted)
        burst_s = engine.burst_wait * np.maximum(most - 1, 0) ** 0.8 * prompt_s(read, 1.0) * lay.attention_data_parallel
        answer_s = np.maximum(output_tokens - 1, 1.0) * tpot_s
        first_s = ttft_s + burst_s
        running = np.minimum(most, clients * answer_s / (first_s + answer_s))
    queue_s = engine.overflow_wait * np.maximum(clients / most - 1, 0) * (first_s + answer_s)
    return first_s + queue_s, tpot_s, token_s, running


def lateness(ttft_s, tpot_s, ttft_slo_s, tpot_slo_s):
    """The larger of the two latencies over its limit; a NaN limit is none."""
    return np.fmax(ttft_s / ttft_slo_s, tpot_s / tpot_slo_s)


def touched_bytes(held: Memory, law: Law, tokens):
    """Bytes of weights that a pass over `tokens` tokens reads on one chip, were there no pipeline. [byte]"""
    return held.read_bytes - held.expert_bytes * np.exp(tokens * law.log_miss)


def decode_bytes(held: Memory, law: Law, sequences, cached_tokens):
    """Bytes that one chip must read in a decoding step, were there no pipeline: weights once, and the live KV. [byte]"""
    kv = (held.token_bytes * cached_tokens + held.state_bytes) * sequences
    return touched_bytes(held, law, sequences) + kv / law.groups


def prompt_bytes(held: Memory, law: Law, new_tokens, cached_tokens):
    """Bytes that one chip must move to read a prompt: weights once, and the KV of the whole prompt. [byte]"""
    return touched_bytes(held, law, new_tokens) + held.token_bytes * cached_tokens + held.state_bytes


def model_flop(deployed, new_tokens, pairs, cached_tokens):
    """FLOP of one prompt, and of one token of the answer. Causal attention, active parameters. [FLOP]"""
    read = deployed.body_flop * new_tokens + deployed.head_flop + deployed.pair_flop * pairs
    return read, deployed.token_flop + deployed.cached_flop * cached_tokens


def largest_batch(most, late):
    """Largest whole batch up to `most` that is not late; 1 where even that is. Bracketed, a few steps for all rows at once.

    Parameters
    ----------
    most : array (rows)
        Upper limit, at least 1.
    late : function batch -> array
        Latency over its limit; above 1 is late. Rises with the batch.
    """
    low, high = np.ones_like(most), np.asarray(most, dtype=float)
    f_low, f_high = late(low), late(high)
    fits = ~(f_high > 1.0)
    low = np.where(fits, high, low)
    f_low = np.where(fits, f_high, f_low)
    open_rows = (high - low > 1) & (f_low <= 1.0)
    halve = False
    while some(open_rows):
        # between two points the latency is nearly straight: aim there, and halve every third time lest an end sticks
        with np.errstate(invalid="ignore", divide="ignore"):
            aim = low + (high - low) * (1.0 - f_low) / (f_high - f_low)
        middle = np.floor((low + high) / 2) if halve else np.clip(np.floor(aim + 0.5), low + 1, high - 1)
        middle = np.where(open_rows, middle, low)
        f_middle = late(middle)
        good = f_middle <= 1.0
        low, f_low = np.where(good, middle, low), np.where(good, f_middle, f_low)
        high, f_high = np.where(good | ~open_rows, high, middle), np.where(good | ~open_rows, f_high, f_middle)
        open_rows = (high - low > 1) & (f_low <= 1.0)
        halve = not halve
    return low
