"""Time of one engine step on one replica: coefficients once a deployment, then a few array operations for every batch tried.

    T(M) = sum over operators of sqrt((c M)^2 + (w + b M)^2)  +  attention  +  fixed  +  linear * M

with c compute, w weight-reading and b activation seconds. Under the root stands a square polynomial of M, whose three
coefficients are worked out beforehand. Fixed are kernel floors, layers, collective latency and the engine's own step;
linear is what collectives carry.
"""

from typing import NamedTuple

import numpy as np

from . import layout, network, roofline, transformer
from .rows import chosen, some

MOE_KERNELS = 5.0  # router, top-k, dispatch, combine, sum: beside the matrix products of a MoE layer
MLA_KERNELS = 4.0  # two low-rank projections and two absorbed ones more than grouped attention has


class Curve(NamedTuple):
    """Seconds of one operator in all its layers over M tokens, `sqrt(square M^2 + cross M + still)`; (rows).

    `cross` and `still` stem from reading weights; for experts they shrink with the share of experts touched.
    """

    square: np.ndarray
    cross: np.ndarray
    still: np.ndarray


class Law(NamedTuple):
    """Coefficients of a step's time for one replica. Seconds; (rows)."""

    group: tuple  # Curves of the operators that see the tokens of one attention group
    stage: tuple  # those that see all tokens
    experts: tuple
    head: Curve
    groups: np.ndarray  # attention groups that share the tokens
    log_miss: np.ndarray  # log chance that a token leaves an expert alone
    attention_compute_s: np.ndarray  # per sequence and cached token, one layer
    attention_memory_s: np.ndarray
    state_s: np.ndarray  # per sequence: reading constant states
    pair_s: np.ndarray  # per pair of prompt tokens that attend, one layer
    prompt_fixed_s: np.ndarray  # per pass that reads prompts, beside fixed_s
    fixed_s: np.ndarray  # per pass: kernel floors, layers, collective latency, engine step
    linear_s: np.ndarray  # per token: collective bandwidth
    sequence_s: np.ndarray  # per running sequence: engine
    chunk_s: np.ndarray  # operators but the head over a full chunk of prompt tokens in each attention group
    compute_s: tuple  # of each operator, in the order of `body`, then the head: per token, all its layers


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
        return np.where(four, at_4, value) if some(four) else value

    memory = by_width(chip.memory_efficiency_16, chip.memory_efficiency_8, chip.memory_efficiency_4)
    kernel_s = by_width(chip.kernel_time_s_16, chip.kernel_time_s_8, chip.kernel_time_s_4)
    wide, bandwidth = chosen(bf16, fp16), chip.hbm_bytes_per_s
    share = engine.compute_share
    if some(engine.flop_energy_j > 0):
        share = share / roofline.norm(1.0, np.where(engine.flop_energy_j > 0, engine.flop_energy_j * wide / chip.tdp_w, 0.0))
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


def law(model, shape, lay, rates: Rates, engine) -> Law:
    """Coefficients of the step time for a model, its operators, a layout, a chip's rates, an engine's fixed times and its chunk."""
    tp, dp, L = lay.tensor_parallel, lay.attention_data_parallel, model.n_layers
    per_group, per_stage, k = 1.0 / tp, 1.0 / lay.ways, model.n_active_experts
    bytes_per_param = lay.weight_bits / 8

    def curve(op, per_chip, flop_per_s, weight_bytes_per_s, times=1.0, copies=1.0, read=1.0):
        """`times` a token passes the operator in a layer, of which `copies` are held; `read` of its width comes from this chip's memory."""
        compute_s = op.params * op.layers * per_chip * times * (2 / flop_per_s)
        weight_s = op.params * op.layers * per_chip * copies * (bytes_per_param / weight_bytes_per_s)
        token_s = (op.width_in * read + op.width_out * per_chip) * op.layers * times * (2 / rates.bytes_per_s)
        return Curve(compute_s * compute_s + token_s * token_s, 2 * weight_s * token_s, weight_s * weight_s), compute_s

    dense = rates.flop_per_s, rates.bytes_per_s
    expert = rates.expert_flop_per_s, rates.expert_bytes_per_s, k, model.n_experts, 1 / dp  # groups send tokens where their experts are
    fixed_s, linear_s = communication_s(model, lay, rates, engine.allreduce_time_s)
    kernels = 4 * L + model.n_moe_layers * (MOE_KERNELS + (model.n_shared_experts > 0)) + MLA_KERNELS * L * (model.kv_lora_rank > 0)
    group = [curve(op, per_group, *dense) for op in (shape.qkv, shape.out)]
    stage = [curve(op, per_stage, *dense) for op in (shape.up, shape.down, shape.shared) if some(op.params * op.layers > 0)]
    experts = [curve(op, per_stage, *expert) for op in (shape.expert_up, shape.expert_down) if some(op.layers > 0)]
    head = curve(shape.head, per_group, rates.head_flop_per_s, rates.head_bytes_per_s)
    curves = lambda ops: tuple(of for of, _ in ops)  # noqa: E731
    found = Law(
        group=curves(group), stage=curves(stage), experts=curves(experts), head=head[0],
        compute_s=tuple(compute_s for _, compute_s in (*group, *stage, *experts, head)),
        groups=dp, log_miss=transformer.expert_miss(model),
        attention_compute_s=transformer.decode_attention_flop(model) * per_group / rates.attention_flop_per_s / dp,
        attention_memory_s=transformer.kv_bytes_per_token_layer(model, lay.kv_bits, tp) / rates.attention_bytes_per_s / dp,
        state_s=model.n_linear_layers * model.linear_state_bytes * per_group / dp / rates.attention_bytes_per_s,
        pair_s=transformer.pair_flop(model) * per_group / (rates.attention_flop_per_s * engine.attention_share),
        prompt_fixed_s=L * engine.prompt_layer_time_s,
        fixed_s=fixed_s + engine.step_time_s + L * engine.layer_time_s + kernels * rates.kernel_time_s + (L + 1) * rates.head_kernel_time_s,
        linear_s=linear_s, sequence_s=engine.sequence_time_s, chunk_s=0.0,
    )  # fmt: skip
    return found._replace(chunk_s=sum(seconds for _, seconds in body(found, dp * engine.chunk_tokens, engine.chunk_tokens)))


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
        if some(dp > 1):
            dense = network.allreduce_time_s(ways, token_bytes / dp, latency_s, replica)
            experts = 2 * network.alltoall_time_s(ways, 0.75 * token_bytes * sent, latency_s, replica)
            seconds = np.where(dp > 1, seconds / 2 + (L - moe) * dense + moe * experts, seconds)
        if some(pp > 1):
            hop = (pp - 1) * network.send_time_s(token_bytes / dp, latency_s, replica)
            seconds = np.where(pp > 1, seconds + hop, seconds)
        return seconds

    return seconds(0.0, latency_s), seconds(2.0 * model.d_model, 0.0)


def body(law: Law, tokens, group_tokens):
    """(tokens it sees, seconds) of every operator but the head of a pass over `tokens` tokens, `group_tokens` an attention group."""
    for curve in law.group:
        yield group_tokens, _root(curve.square, curve.cross, curve.still, group_tokens)
    for curve in law.stage:
        yield tokens, _root(curve.square, curve.cross, curve.still, tokens)
    if law.experts:
        touched = 1 - np.exp(tokens * law.log_miss)
        for curve in law.experts:
            yield tokens, _root(curve.square, curve.cross * touched, curve.still * touched * touched, tokens)


def head_s(law: Law, tokens):
    """Seconds of the head over `tokens` tokens. [s]"""
    return _root(law.head.square, law.head.cross, law.head.still, tokens)


def _root(square, cross, still, tokens):
    root = square * tokens  # in place: the arrays stay in the cache
    root += cross
    root *= tokens
    root += still
    root **= 0.5
    return root


def operators_s(law: Law, tokens, group_tokens, head_tokens):
    """Seconds of all operators of a pass. [s]"""
    total = head_s(law, head_tokens)
    for _, seconds in body(law, tokens, group_tokens):
        total = total + seconds
    return total


def split_s(law: Law, tokens, group_tokens, head_tokens):
    """`operators_s` by compute and memory. [s]"""
    compute_s, total_s = 0.0, 0.0
    for per_token_s, (seen, seconds) in zip(law.compute_s, (*body(law, tokens, group_tokens), (head_tokens, head_s(law, head_tokens))), strict=True):
        compute_s, total_s = compute_s + share(per_token_s * seen, seconds), total_s + seconds
    return compute_s, total_s - compute_s


def decode_time_s(law: Law, sequences, cached_tokens, checked=1.0):
    """One decoding step of `sequences` sequences with `cached_tokens` tokens in all their layers together. [s]

    Each puts `checked` tokens into the step: its last one, and the drafted ones that are verified with it.
    """
    tokens = sequences * checked
    own = tokens / law.groups
    attention_s = sequences * roofline.norm(law.attention_compute_s * cached_tokens * checked, law.attention_memory_s * cached_tokens + law.state_s)
    return operators_s(law, tokens, own, own) + attention_s + law.fixed_s + law.linear_s * tokens + law.sequence_s * sequences


def decode_pass(law: Law, sequences, cached_tokens, checked=1.0) -> Pass:
    """`decode_time_s` by what takes it."""
    tokens = sequences * checked
    own = tokens / law.groups
    compute_s, memory_s = split_s(law, tokens, own, own)
    a = tokens * law.attention_compute_s * cached_tokens
    b = sequences * (law.attention_memory_s * cached_tokens + law.state_s)
    total = roofline.norm(a, b)
    return Pass(compute_s + share(a, total), memory_s + share(b, total), law.linear_s * tokens, law.fixed_s + law.sequence_s * sequences)


def share(part_s, total_s):
    """Part of a 2-norm that one of its two sides takes: `part^2 / total`. [s]"""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total_s > 0, part_s * part_s / total_s, 0.0 * total_s)
