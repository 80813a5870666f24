"""Time of one engine step on one replica: coefficients once a row, then a few array operations for every batch tried.

    T(M) = sum over operators of layers * sqrt((c M)^2 + (a hit + b M)^2)  +  attention  +  fixed  +  linear * M

with c compute, a weight-reading and b activation seconds. Fixed are kernel floors, layers, collective latency and the
engine's own step; linear is what collectives carry.
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
    prompt_fixed_s: np.ndarray  # per pass that reads prompts, beside fixed_s
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

    Attention and the head run in 16 bit whatever the weights are. Where the engine's kernels take `flop_energy_j` a
    FLOP, rated power limits all arithmetic: the 2-norm of that limit and the peak.
    """
    bf16, fp16 = chip.peak_flop_per_s_bf16, chip.peak_flop_per_s_fp16
    others = chip.peak_flop_per_s_fp8, chip.peak_flop_per_s_int8, chip.peak_flop_per_s_fp4
    peak, eight, four, form = roofline.arithmetic(activation_bits, bf16, fp16, *others)

    def by_width(at_16, at_8, at_4):
        value = np.where(eight, at_8, at_16)
        return np.where(four, at_4, value) if np.any(four) else value

    memory = by_width(chip.memory_efficiency_16, chip.memory_efficiency_8, chip.memory_efficiency_4)
    kernel_s = by_width(chip.kernel_time_s_16, chip.kernel_time_s_8, chip.kernel_time_s_4)
    wide, bandwidth = layout.chosen(bf16, fp16), chip.hbm_bytes_per_s
    share = engine.compute_share / np.sqrt(1 + np.where(engine.flop_energy_j > 0, engine.flop_energy_j * wide / chip.tdp_w, 0.0) ** 2)
    compute = by_width(chip.compute_efficiency_16, chip.compute_efficiency_8, chip.compute_efficiency_4) * share
    rates = Rates(
        flop_per_s=compute * peak, expert_flop_per_s=compute * peak * chip.expert_compute_efficiency,
        head_flop_per_s=chip.compute_efficiency_16 * wide * share,
        attention_flop_per_s=chip.attention_compute_efficiency * wide * share,
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
    token_s[transformer.EXPERTS] -= shape.width_in[transformer.EXPERTS] * (1 - 1 / dp) * (2 / rates.bytes_per_s)  # groups send tokens where their experts are
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
        prompt_attention_s=prompt_attention_flop * per_group / (rates.attention_flop_per_s * engine.attention_share),
        prompt_fixed_s=L * engine.prompt_layer_time_s,
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
    compute_s, memory_s = split(law, *operators_pass(law, sequences, law.spread))
    a = sequences * law.attention_compute_s * cached_tokens
    b = sequences * (law.attention_memory_s * cached_tokens + law.state_s)
    total = norm(a, b)
    return Pass(
        compute_s + share(a, total), memory_s + share(b, total), law.linear_s * sequences,
        law.fixed_s + law.sequence_s * sequences,
    )  # fmt: skip


def split(law: Law, compute_s, memory_s):
    """Seconds of all operators together, by compute and memory."""
    total = norm(compute_s, memory_s)
    return weighted(law.layers, share(compute_s, total)), weighted(law.layers, share(memory_s, total))


def share(part_s, total_s):
    """Part of a 2-norm that one of its two sides takes: `part^2 / total`. [s]"""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total_s > 0, part_s * part_s / total_s, 0.0 * total_s)
