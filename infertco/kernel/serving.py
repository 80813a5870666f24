"""One replica under continuous batching: how long a step takes, what users wait, how many sequences fit.

A step over M tokens takes

    T(M) = sum over operators of layers * sqrt((c M)^2 + (a hit + b M)^2)  +  attention  +  fixed  +  linear * M

with c compute, a weight-reading and b activation seconds. `law` works the coefficients out once a row; every batch
tried afterwards costs a few array operations. In steady state each sequence of a batch of B waits, during its own
answer, for the prompts of the other B - 1:

    TPOT = T_decode(B) + charge (B - 1)/output * T_prefill      requests/s = B / (TTFT + (output - 1) TPOT)

which keeps Little's law exact and gives the lone request at B = 1. Left out: waiting (queueing), eviction, length
variance inside a batch.
"""

from typing import NamedTuple

import numpy as np

from . import network, transformer


class Law(NamedTuple):
    """Coefficients of a step's time for one replica. Seconds; (8, rows) for operators, (rows) for the rest."""

    compute_s: np.ndarray  # per token, by operator, one layer
    weight_s: np.ndarray  # per pass: reading the operator's weights, all experts
    token_s: np.ndarray  # per token: activations in and out
    layers: np.ndarray
    spread: np.ndarray  # share of the tokens that one chip's operator sees: 1 / attention groups, or 1
    log_miss: np.ndarray  # log chance that a token leaves an expert alone
    attention_compute_s: np.ndarray  # per sequence and cached token, one layer
    attention_memory_s: np.ndarray
    state_s: np.ndarray  # per sequence: reading constant states
    prompt_attention_s: np.ndarray  # attention of one prompt, all layers
    fixed_s: np.ndarray  # per pass: kernel floors, layers, collective latency, engine step
    linear_s: np.ndarray  # per token: collective bandwidth
    sequence_s: np.ndarray  # per running sequence: engine


class Pass(NamedTuple):
    """Time of one pass, by what takes it; (rows). They add up."""

    compute_s: np.ndarray
    memory_s: np.ndarray
    network_s: np.ndarray
    overhead_s: np.ndarray

    @property
    def total_s(self):
        return self.compute_s + self.memory_s + self.network_s + self.overhead_s


def law(model, shape, layout, rates, engine, lengths) -> Law:
    """Coefficients of the step time.

    Parameters
    ----------
    model, shape : Model and transformer.Shape
    layout : object with tensor_parallel, attention_data_parallel, ways, pipeline_parallel, weight_bits, kv_bits
    rates : object with flop_per_s, head_flop_per_s, attention_flop_per_s, bytes_per_s, head_bytes_per_s,
        attention_bytes_per_s (attainable, of one chip), kernel_time_s, head_kernel_time_s,
        group_bytes_per_s, replica_bytes_per_s (attainable link rates inside an attention group and between all chips)
    engine : object with layer_time_s, allreduce_time_s, step_time_s, sequence_time_s
    lengths : object with input_tokens, cached_tokens
    """
    tp, dp, ways, pp = layout.tensor_parallel, layout.attention_data_parallel, layout.ways, layout.pipeline_parallel
    per_group, per_stage = 1.0 / tp, 1.0 / ways
    cut = transformer.stack(*[per_group] * 2, *[per_stage] * 5, per_group)
    copies = transformer.stack(1.0, 1.0, 1.0, 1.0, model.n_experts, model.n_experts, 1.0, 1.0)
    flop_per_s = transformer.stack(*[rates.flop_per_s] * 7, rates.head_flop_per_s)
    bytes_per_s = transformer.stack(*[rates.bytes_per_s] * 7, rates.head_bytes_per_s)
    share = cut * shape.params
    L, D = model.n_layers, model.d_model
    heads_s = transformer.decode_attention_flop_per_token_layer(model) * per_group
    kv_bytes = transformer.kv_bytes_per_token_layer(model, layout.kv_bits, tp)
    fixed_s, linear_s = communication_s(model, layout, rates, engine)
    kernels = np.sum(shape.layers[:7] * (shape.params[:7] > 0), axis=0)
    return Law(
        compute_s=2 * share * shape.active / flop_per_s,
        weight_s=share * copies * (layout.weight_bits / 8) / bytes_per_s,
        token_s=2 * (shape.width_in + shape.width_out * cut) * shape.active / bytes_per_s,
        layers=shape.layers,
        spread=transformer.stack(1.0 / dp, 1.0 / dp, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0 / dp),
        log_miss=transformer.expert_miss(model),
        attention_compute_s=heads_s / rates.attention_flop_per_s / dp,
        attention_memory_s=kv_bytes / rates.attention_bytes_per_s / dp,
        state_s=model.n_linear_layers * model.linear_state_bytes * per_group / dp / rates.attention_bytes_per_s,
        prompt_attention_s=transformer.prefill_attention_flop(model, lengths.input_tokens, lengths.cached_tokens)
        * per_group / rates.attention_flop_per_s,
        fixed_s=fixed_s + engine.step_time_s + L * engine.layer_time_s
        + kernels * rates.kernel_time_s + (L + 1) * rates.head_kernel_time_s,
        linear_s=linear_s,
        sequence_s=engine.sequence_time_s,
    )  # fmt: skip


def communication_s(model, layout, rates, engine):
    """Collectives of one pass: (fixed seconds, seconds per token of the pass).

    Two all-reduces a layer inside an attention group. With data-parallel attention the second becomes an exchange
    between all chips: dispatch (1 byte an element) and combine (2 bytes) for experts, an all-reduce for dense layers.
    """
    tp, dp, ways, pp = layout.tensor_parallel, layout.attention_data_parallel, layout.ways, layout.pipeline_parallel
    L, D, alpha = model.n_layers, model.d_model, engine.allreduce_time_s
    group, replica = rates.group_bytes_per_s, rates.replica_bytes_per_s
    moe, parted = model.n_moe_layers, np.where(dp > 1, 1.0, 0.0)
    sent = np.minimum(np.maximum(model.n_active_experts, 1.0), ways)
    token_bytes = 2.0 * D

    def seconds(tokens, alpha):
        one = network.allreduce_time_s(tp, tokens * token_bytes / dp, alpha, group)
        dense = network.allreduce_time_s(ways, tokens * token_bytes / dp, alpha, replica)
        experts = 2 * network.alltoall_time_s(ways, tokens * token_bytes * 0.75 * sent / ways, alpha, replica)
        spread = (L - moe) * dense + moe * experts
        with np.errstate(invalid="ignore"):
            hops = np.where(pp > 1, (pp - 1) * network.send_time_s(tokens * token_bytes / dp, alpha, replica), 0.0)
        return L * one + np.where(parted > 0, spread, L * one) + hops

    return seconds(0.0, alpha), seconds(1.0, 0.0)


def operators_pass(law: Law, tokens, spread, head_tokens=None):
    """(compute, memory) seconds of every operator of a pass over `tokens` tokens; (8, rows) each."""
    seen = tokens * spread
    compute_s = law.compute_s * seen
    memory_s = law.weight_s + law.token_s * seen
    touched = law.weight_s[transformer.EXPERTS] * np.exp(tokens * law.log_miss)
    memory_s[transformer.EXPERTS] -= touched
    if head_tokens is not None:
        compute_s[transformer.HEAD] = law.compute_s[transformer.HEAD] * head_tokens
        memory_s[transformer.HEAD] = law.weight_s[transformer.HEAD] + law.token_s[transformer.HEAD] * head_tokens
    return compute_s, memory_s


def norm(compute_s, memory_s):
    """The smooth roofline on seconds. [s]"""
    return np.sqrt(compute_s * compute_s + memory_s * memory_s)


def weighted(layers, seconds):
    return np.einsum("i...,i...->...", layers, seconds)


def decode_time_s(law: Law, sequences, cached_tokens):
    """One decoding step of `sequences` sequences with `cached_tokens` tokens in all their layers together. [s]"""
    attention_s = sequences * norm(
        law.attention_compute_s * cached_tokens, law.attention_memory_s * cached_tokens + law.state_s
    )
    operators_s = weighted(law.layers, norm(*operators_pass(law, sequences, law.spread)))
    return operators_s + attention_s + law.fixed_s + (law.linear_s + law.sequence_s) * sequences


def decode_pass(law: Law, sequences, cached_tokens) -> Pass:
    """`decode_time_s` by what takes it."""
    parts = [operators_pass(law, sequences, law.spread)]
    compute_s, memory_s = split(law, *parts[0])
    a = sequences * law.attention_compute_s * cached_tokens
    b = sequences * (law.attention_memory_s * cached_tokens + law.state_s)
    total = norm(a, b)
    return Pass(
        compute_s + share(a, total), memory_s + share(b, total), law.linear_s * sequences,
        law.fixed_s + law.sequence_s * sequences,
    )  # fmt: skip


def prefill_pass(law: Law, new_tokens, chunk_tokens, spread) -> Pass:
    """Reading one prompt of which `new_tokens` are not cached, `chunk_tokens` a step; alone on the replica if spread is 1."""
    steps = np.maximum(np.ceil(new_tokens / chunk_tokens), 1.0)
    compute_s, memory_s = split(law, *operators_pass(law, new_tokens / steps, spread, head_tokens=1.0))
    return Pass(
        steps * compute_s + law.prompt_attention_s, steps * memory_s, law.linear_s * new_tokens, steps * law.fixed_s
    )


def split(law: Law, compute_s, memory_s):
    """Seconds of all operators together, by compute and memory."""
    total = norm(compute_s, memory_s)
    return weighted(law.layers, share(compute_s, total)), weighted(law.layers, share(memory_s, total))


def share(part_s, total_s):
    """Part of a 2-norm that one of its two sides takes: `part^2 / total`. [s]"""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total_s > 0, part_s * part_s / total_s, 0.0 * total_s)


def latencies_s(law: Law, batch, stages, cached_tokens, output_tokens, prefill_s, alone_s, steps, charge):
    """(TTFT without the engine's first-token overhead, TPOT, decode step) with `batch` sequences in flight. [s]

    With pipeline stages each step of a stage serves `batch / stages` sequences; a token passes all stages.
    """
    sequences = np.maximum(batch / stages, 1.0)
    step_s = decode_time_s(law, sequences, cached_tokens)
    others = sequences - 1.0
    tpot_s = step_s + charge * others / output_tokens * prefill_s
    ttft_s = alone_s + steps * np.minimum(others, 1.0) * step_s
    return ttft_s, tpot_s, step_s


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
    while np.any(open_rows):
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
