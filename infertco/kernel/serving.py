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

from . import layout, network, roofline, transformer


MOE_KERNELS = 5.0  # router, top-k, dispatch, combine, sum: beside the matrix products of a MoE layer
MLA_KERNELS = 4.0  # two low-rank projections and two absorbed ones more than grouped attention has


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


class Rates(NamedTuple):
    """Attainable rates of one chip and its links, and kernel floors."""

    flop_per_s: np.ndarray
    expert_flop_per_s: np.ndarray
    head_flop_per_s: np.ndarray
    attention_flop_per_s: np.ndarray
    bytes_per_s: np.ndarray
    expert_bytes_per_s: np.ndarray
    head_bytes_per_s: np.ndarray
    attention_bytes_per_s: np.ndarray
    kernel_time_s: np.ndarray
    head_kernel_time_s: np.ndarray
    group_bytes_per_s: np.ndarray  # link inside an attention group
    replica_bytes_per_s: np.ndarray  # link between all chips of the replica


def attainable(chip, lay, activation_bits, engine):
    """(index of the arithmetic's format, its peak, Rates): what a chip reaches in the format the arithmetic runs in.

    Attention and the head run in 16 bit whatever the weights are.
    """
    bf16, fp16 = chip.peak_flop_per_s_bf16, chip.peak_flop_per_s_fp16
    others = chip.peak_flop_per_s_fp8, chip.peak_flop_per_s_int8, chip.peak_flop_per_s_fp4
    peak, eight, four, form = roofline.arithmetic(activation_bits, bf16, fp16, *others)

    def by_width(at_16, at_8, at_4):
        value = np.where(eight, at_8, at_16)
        return np.where(four, at_4, value) if np.any(four) else value

    compute = by_width(chip.compute_efficiency_16, chip.compute_efficiency_8, chip.compute_efficiency_4) * engine.compute_share
    memory = by_width(chip.memory_efficiency_16, chip.memory_efficiency_8, chip.memory_efficiency_4)
    kernel_s = by_width(chip.kernel_time_s_16, chip.kernel_time_s_8, chip.kernel_time_s_4)
    wide, bandwidth = layout.chosen(bf16, fp16), chip.hbm_bytes_per_s
    rates = Rates(
        flop_per_s=compute * peak, expert_flop_per_s=compute * peak * chip.expert_compute_efficiency,
        head_flop_per_s=chip.compute_efficiency_16 * wide * engine.compute_share,
        attention_flop_per_s=chip.attention_compute_efficiency * wide * engine.compute_share,
        bytes_per_s=memory * bandwidth, expert_bytes_per_s=memory * bandwidth * chip.expert_memory_efficiency,
        head_bytes_per_s=chip.memory_efficiency_16 * bandwidth,
        attention_bytes_per_s=chip.attention_memory_efficiency * bandwidth,
        kernel_time_s=kernel_s, head_kernel_time_s=chip.kernel_time_s_16,
        group_bytes_per_s=engine.link_efficiency * layout.link_bytes_per_s(chip, lay.tensor_parallel),
        replica_bytes_per_s=engine.link_efficiency * layout.link_bytes_per_s(chip, lay.chips),
    )  # fmt: skip
    return form, peak, rates


def law(model, shape, lay, rates: Rates, engine, prompt_attention_flop) -> Law:
    """Coefficients of the step time for a model, its operators, a layout, a chip's rates and an engine's fixed times."""
    tp, dp, L = lay.tensor_parallel, lay.attention_data_parallel, model.n_layers
    per_group, per_stage, k = 1.0 / tp, 1.0 / lay.ways, model.n_active_experts
    share, out = shape.params * per_stage, shape.width_out * per_stage
    for i in (0, 1, transformer.HEAD):  # attention and head are cut over the group
        share[i], out[i] = shape.params[i] * per_group, shape.width_out[i] * per_group
    compute_s, weight_s = share * (2 / rates.flop_per_s), share * (lay.weight_bits / 8 / rates.bytes_per_s)
    token_s = (shape.width_in + out) * (2 / rates.bytes_per_s)
    compute_s[transformer.EXPERTS] *= k * rates.flop_per_s / rates.expert_flop_per_s
    weight_s[transformer.EXPERTS] *= model.n_experts * rates.bytes_per_s / rates.expert_bytes_per_s
    token_s[transformer.EXPERTS] *= k
    compute_s[transformer.HEAD] *= rates.flop_per_s / rates.head_flop_per_s
    weight_s[transformer.HEAD] *= rates.bytes_per_s / rates.head_bytes_per_s
    fixed_s, linear_s = communication_s(model, lay, rates, engine.allreduce_time_s)
    kernels = 4 * L + model.n_moe_layers * (MOE_KERNELS + (model.n_shared_experts > 0)) + MLA_KERNELS * L * (model.kv_lora_rank > 0)
    return Law(
        compute_s=compute_s, weight_s=weight_s, token_s=token_s, layers=shape.layers,
        spread=transformer.stack(1.0 / dp, 1.0 / dp, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0 / dp) if np.any(dp > 1) else 1.0,
        log_miss=transformer.expert_miss(model),
        attention_compute_s=transformer.decode_attention_flop(model) * per_group / rates.attention_flop_per_s / dp,
        attention_memory_s=transformer.kv_bytes_per_token_layer(model, lay.kv_bits, tp) / rates.attention_bytes_per_s / dp,
        state_s=model.n_linear_layers * model.linear_state_bytes * per_group / dp / rates.attention_bytes_per_s,
        prompt_attention_s=prompt_attention_flop * per_group / rates.attention_flop_per_s,
        fixed_s=fixed_s + engine.step_time_s + L * engine.layer_time_s + kernels * rates.kernel_time_s + (L + 1) * rates.head_kernel_time_s,
        linear_s=linear_s, sequence_s=engine.sequence_time_s,
    )  # fmt: skip


def communication_s(model, lay, rates: Rates, latency_s):
    """Collectives of one pass: (fixed seconds, seconds per token of the pass).

    Two all-reduces a layer inside an attention group. With data-parallel attention the second becomes an exchange
    between all chips: dispatch (1 byte an element) and combine (2 bytes) for experts, an all-reduce for dense layers.
    """
    tp, dp, ways, pp = lay.tensor_parallel, lay.attention_data_parallel, lay.ways, lay.pipeline_parallel
    L, moe = model.n_layers, model.n_moe_layers
    group, replica = rates.group_bytes_per_s, rates.replica_bytes_per_s
    sent = np.minimum(np.maximum(model.n_active_experts, 1.0), ways) / ways

    def seconds(token_bytes, latency_s):
        seconds = 2 * L * network.allreduce_time_s(tp, token_bytes / dp, latency_s, group)
        if np.any(dp > 1):
            dense = network.allreduce_time_s(ways, token_bytes / dp, latency_s, replica)
            experts = 2 * network.alltoall_time_s(ways, 0.75 * token_bytes * sent, latency_s, replica)
            seconds = np.where(dp > 1, seconds / 2 + (L - moe) * dense + moe * experts, seconds)
        if np.any(pp > 1):
            hop = (pp - 1) * network.send_time_s(token_bytes / dp, latency_s, replica)
            seconds = np.where(pp > 1, seconds + hop, seconds)
        return seconds

    return seconds(0.0, latency_s), seconds(2.0 * model.d_model, 0.0)


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


class Prompt(NamedTuple):
    """Reading prompts: alone, and beside others. Short prompts share a step and with it the reading of the weights."""

    alone_s: np.ndarray  # one prompt, nothing else on the replica
    packed_s: np.ndarray  # a prompt's share where each step is full
    lone_s: np.ndarray  # what it takes more where it has a step for itself
    most: np.ndarray  # prompts of a full step
    steps: np.ndarray  # steps of one prompt


def prompt(law: Law, new_tokens, chunk_tokens, groups) -> Prompt:
    """Prefill of a prompt with `new_tokens` that are not cached, `chunk_tokens` a step.

    With several attention groups each reads prompts at the same time; alone, one group works and the others wait.
    """
    steps, most = np.maximum(np.ceil(new_tokens / chunk_tokens), 1.0), np.maximum(chunk_tokens / new_tokens, 1.0)

    def read_s(prompts, spread):
        tokens = prompts * new_tokens
        operators_s = weighted(law.layers, norm(*operators_pass(law, tokens / steps, spread, head_tokens=prompts)))
        return (steps * (operators_s + law.fixed_s) + law.linear_s * tokens) / prompts

    lone_s, packed_s = read_s(groups, law.spread), read_s(groups * most, law.spread)
    alone_s = read_s(1.0, 1.0) if np.any(groups > 1) else lone_s
    attention_s = law.prompt_attention_s
    return Prompt(alone_s + attention_s, packed_s + attention_s / groups, lone_s - packed_s, most, steps)


def prompt_s(read: Prompt, together):
    """Time of one prompt where `together` of them share a step: between a step for itself and a full one. [s]"""
    together = np.minimum(np.maximum(together, 1.0), read.most)
    with np.errstate(invalid="ignore", divide="ignore"):
        share_of_own = np.where(read.most > 1, (1 / together - 1 / read.most) / (1 - 1 / read.most), 0.0)
    return read.packed_s + share_of_own * read.lone_s


def prompt_pass(law: Law, new_tokens, chunk_tokens, groups) -> Pass:
    """A prompt with steps of its own, by what takes it; it adds up to `prompt_s(read, 1)`."""
    steps = np.maximum(np.ceil(new_tokens / chunk_tokens), 1.0)
    tokens = groups * new_tokens
    compute_s, memory_s = split(law, *operators_pass(law, tokens / steps, law.spread, head_tokens=groups))
    parts = steps * compute_s + law.prompt_attention_s, steps * memory_s, law.linear_s * tokens, steps * law.fixed_s
    return Pass(*(part / groups for part in parts))


def split(law: Law, compute_s, memory_s):
    """Seconds of all operators together, by compute and memory."""
    total = norm(compute_s, memory_s)
    return weighted(law.layers, share(compute_s, total)), weighted(law.layers, share(memory_s, total))


def share(part_s, total_s):
    """Part of a 2-norm that one of its two sides takes: `part^2 / total`. [s]"""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total_s > 0, part_s * part_s / total_s, 0.0 * total_s)


def cached_attention_s(law: Law, new_tokens, cached_tokens):
    """Seconds a prompt attends to each of its cached tokens; NaN without any. [s]"""
    with np.errstate(invalid="ignore", divide="ignore"):
        return law.prompt_attention_s / (cached_tokens + new_tokens / 2) + 0.0 / cached_tokens


def latencies_s(law: Law, batch, lay, cached_tokens, output_tokens, read: Prompt, charge):
    """(TTFT without the engine's first-token overhead, TPOT, decode step) with `batch` sequences in flight. [s]

    With pipeline stages each step of a stage serves `batch / stages` sequences, and a token passes all stages.
    """
    sequences = np.maximum(batch / lay.pipeline_parallel, 1.0)
    others = sequences - 1.0
    step_s = decode_time_s(law, sequences, cached_tokens)
    arrivals = others / output_tokens  # prompts a step, in steady state
    tpot_s = step_s + charge * arrivals * prompt_s(read, arrivals)
    ttft_s = read.alone_s + read.steps * np.minimum(others, 1.0) * step_s
    return ttft_s, tpot_s, step_s


def closed_loop(law: Law, clients, room, lay, cached_tokens, output_tokens, read: Prompt, engine):
    """(TTFT, TPOT, decode step, running sequences) of `clients` that each send a request when the last is answered. [s]

    At most `room` sequences run; the rest wait. A request waits for prompts that came in the same burst, `burst_wait`
    times the prefill time for each to the power 0.8: bursts thin out over the waves of a run. What a request spends
    before its first token it does not spend running, so the running batch follows from Little's law, found in a few
    passes. The first-token overhead is not in.
    """
    most = np.minimum(clients, room)
    running = most
    for _ in range(4):
        ttft_s, tpot_s, step_s = latencies_s(law, running, lay, cached_tokens, output_tokens, read, engine.prefill_charge)
        burst_s = engine.burst_wait * np.maximum(most - 1, 0) ** 0.8 * prompt_s(read, 1.0) * lay.attention_data_parallel
        answer_s = np.maximum(output_tokens - 1, 1.0) * tpot_s
        first_s = ttft_s + burst_s
        running = np.minimum(most, clients * answer_s / (first_s + answer_s))
    queue_s = engine.overflow_wait * np.maximum(clients / most - 1, 0) * (first_s + answer_s)
    return first_s + queue_s, tpot_s, step_s, running


def lateness(ttft_s, tpot_s, ttft_slo_s, tpot_slo_s):
    """The larger of the two latencies over its limit; a NaN limit is none."""
    return np.fmax(ttft_s / ttft_slo_s, tpot_s / tpot_slo_s)


def touched_bytes(model, shape, lay, cut, tokens):
    """Bytes of weights that a pass over `tokens` tokens reads on one chip, were there no pipeline. [byte]"""
    one = (shape.params[4] + shape.params[5]) * shape.layers[4]
    idle = one * (model.n_experts - transformer.experts_touched(model, tokens))
    table = shape.params[transformer.HEAD] * (1 - model.tied_embeddings)  # looked up, not read
    return ((cut[0] - table) / lay.tensor_parallel + (cut[1] - idle) / lay.ways) * lay.weight_bits / 8


def decode_bytes(model, shape, lay, cut, sequences, mean_tokens):
    """Bytes that one chip must read in a decoding step, were there no pipeline: weights once, and the live KV. [byte]"""
    kv = transformer.kv_bytes(model, mean_tokens, lay.kv_bits, lay.tensor_parallel) * sequences
    return touched_bytes(model, shape, lay, cut, sequences) + kv / lay.attention_data_parallel


def model_flop(model, shape, new_tokens, prompt_attention_flop, cached_tokens, output_tokens):
    """FLOP of one request: (prompt, answer). Causal attention, active parameters. [FLOP]"""
    active, head = transformer.active_params(shape), shape.params[transformer.HEAD]
    read = 2 * (active - head) * new_tokens + 2 * head + prompt_attention_flop
    return read, output_tokens * (2 * active + transformer.decode_attention_flop(model) * cached_tokens)


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
