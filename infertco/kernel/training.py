"""Training: seconds of a step, memory, failures, scaling laws, and what all of it takes.

    t = [(t_lin + t_att + t_mem + t_tp + t_ep)(1 + (PP - 1)/(v m)) + t_shard] (1 + gamma log2 max(1, n/d))

in device-seconds a token, so that a device trains 1/t tokens a second. Attention is counted once, causal; its rate and
the traffic beside the products do not rise with a narrower precision. Left out: data loading, evaluation, host stalls,
and the slowing of steps that barely fit in memory.
"""

from typing import NamedTuple

import numpy as np

from . import transformer

PRECISIONS = ("bf16", "fp8", "int8", "fp4")
SHARDINGS = ("none", "optimizer", "gradients", "weights")  # what data-parallel copies share out; the last is full FSDP
METHODS = ("full", "lora")
GATHERS = np.array([2.0, 2.0, 2.0, 3.0])  # times a sharding moves the 16-bit weights or gradients
WEIGHT_BYTES, GRADIENT_BYTES, OPTIMIZER_BYTES = 2.0, 2.0, 12.0  # a parameter; fp32 copy and two moments of Adam
DAY_S, HOUR_S = 86_400.0, 3_600.0


class Work(NamedTuple):
    """FLOP of one token in one forward pass: products of the layers, of the experts among them, of the head, attention."""

    layers: np.ndarray
    experts: np.ndarray
    head: np.ndarray
    attention: np.ndarray


class Step(NamedTuple):
    """Device-seconds a token, by what they are spent on; they add up to the whole. [s]"""

    linear: np.ndarray
    attention: np.ndarray
    traffic: np.ndarray
    tensor: np.ndarray
    expert: np.ndarray
    shard: np.ndarray
    pipeline: np.ndarray
    scale_out: np.ndarray


def work(model, sequence_tokens) -> Work:
    """What one token costs in one forward pass, `2 N` and causal attention `2 L q S`. [FLOP]

    The embedding table is looked up, not multiplied; the head is. Windows cap what a token sees.
    """
    shape = transformer.shape(model)
    experts, head = 2 * model.n_active_experts * transformer.expert_params(shape), 2 * shape.head.params
    attention = transformer.prefill_attention_flop(model, sequence_tokens) / sequence_tokens
    return Work(2 * transformer.active_params(model, shape) - experts - head, experts, head, attention)


def model_flop_per_token(work: Work, lora=0.0):
    """Model FLOP of one trained token, forward and backward, nothing computed twice: `6 N + 6 L q S` causal. [FLOP]

    Frozen weights need no gradient of their own: `4 N` with LoRA.
    """
    return (3 - lora) * (work.layers + work.experts + work.head) + 3 * work.attention


def executed_flop_per_token(work: Work, recompute_share, lora=0.0):
    """The same with what is computed twice: HFU counts these. [FLOP]"""
    return model_flop_per_token(work, lora) + recompute_share * (work.layers + work.experts + work.attention)


def product_flop_per_s(chip, rates, precision):
    """Attainable rate of large matrix products, and that of 16 bit: `eta_p M_p`. [FLOP/s]

    M is the measured rate of a large product, or a share of the peak where none was measured; that of fp4 half its
    peak, at most 1.5 times fp8. NaN where the chip lacks the precision.
    """

    def ceiling(measured, peak, share):
        return np.where(np.isnan(measured), share * peak, measured)

    wide = ceiling(chip.measured_flop_per_s_bf16, peak_flop_per_s(chip, 0), rates.matmul_share_16)
    fp8 = ceiling(chip.measured_flop_per_s_fp8, chip.peak_flop_per_s_fp8, rates.matmul_share_8)
    int8 = rates.matmul_share_8 * chip.peak_flop_per_s_int8
    fp4 = np.minimum(0.5 * chip.peak_flop_per_s_fp4, np.where(np.isnan(fp8), np.inf, 1.5 * fp8))
    narrow = np.choose(precision, np.broadcast_arrays(wide, fp8, int8, fp4))
    share = np.where(np.asarray(precision) == 0, rates.product_share_16, rates.product_share_8)
    return share * narrow, rates.product_share_16 * wide


def peak_flop_per_s(chip, precision):
    """Dense peak of a precision, by its place in PRECISIONS; bf16 falls back on fp16. [FLOP/s]"""
    bf16 = np.where(np.isnan(chip.peak_flop_per_s_bf16), chip.peak_flop_per_s_fp16, chip.peak_flop_per_s_bf16)
    peaks = np.broadcast_arrays(bf16, chip.peak_flop_per_s_fp8, chip.peak_flop_per_s_int8, chip.peak_flop_per_s_fp4)
    return np.choose(precision, peaks)


def step(chip, model, plan, rates, work: Work) -> Step:
    """Device-seconds of one trained token. [s]

    Parameters
    ----------
    chip, model : values
    plan : value
        Layout with every number chosen: `n_chips`, `sequence_tokens`, `replica_sequences` (of a replica and step),
        `microbatch_sequences`, `train_tensor_parallel`, `train_pipeline_parallel`, `train_expert_parallel`,
        `context_parallel`, `virtual_stages`, `recompute_share`, `tensor_overlap`, `power_cap_share`, `software_factor`,
        and codes `precision`, `sharding`, `lora`.
    rates : value
        Fitted shares, `values.TrainingRates`.
    work : Work

    Notes
    -----
    Recomputing costs `recompute_cost` of the forward pass it repeats: [1]_ counts a whole one, measurements less.
    Tensor parallelism moves `16 L D (TP - 1)` bytes a token and device group: two all-reduces of 2 bytes each way [1]_.
    Experts: k copies of a token out and back, forward and backward, `8 L D k (EP - 1)/EP` bytes. Sharded weights:
    gathered forward and backward, gradients scattered, 2 bytes each, once a microbatch [2]_; once a step with a
    pipeline, or where only gradients and Adam's state are exchanged. One server's scale-out links carry its ring
    together. Frozen weights have no gradients. The bubble is that of interleaved 1F1B [3]_. That a token with k experts
    moves 1 + k/8 times the traffic beside products, and is sent to 8 places at most, is judgement: no MoE was fitted.

    References
    ----------
    .. [1] Korthikanti et al., "Reducing Activation Recomputation in Large Transformer Models", 2022, arXiv:2205.05198.
    .. [2] Zhao et al., "PyTorch FSDP", 2023, arXiv:2304.11277.
    .. [3] Narayanan et al., "Efficient Large-Scale Language Model Training on GPU Clusters", 2021, arXiv:2104.04473.
    """
    D, L, S = model.d_model, model.n_layers, plan.sequence_tokens
    tp, pp, ep, cp = plan.train_tensor_parallel, plan.train_pipeline_parallel, plan.train_expert_parallel, plan.context_parallel
    again = rates.recompute_cost * plan.recompute_share
    narrow, wide = product_flop_per_s(chip, rates, plan.precision)
    clock = plan.power_cap_share**rates.clock_exponent
    passes = 3 - plan.lora

    layers = work.layers + work.experts / rates.expert_product_share
    linear = ((passes + again) * layers / narrow + passes * work.head / wide) / clock * np.where(plan.lora, rates.lora_factor, 1.0)
    rate = rates.attention_share * rates.attention_factor * peak_flop_per_s(chip, 0)
    attention = (3 + again) * work.attention / rate / clock
    spread = 1 + model.n_active_experts / 8
    traffic = rates.traffic_bytes * L * D * (1 + again / 3) * spread / chip.hbm_bytes_per_s

    hidden = 1 - rates.tensor_hidden_share * plan.tensor_overlap
    tensor = _crossed(rates.tensor_exposure * hidden * 16 * L * D * (tp - 1) * (1 + again / 2), tp, _link(chip, tp))
    copies = 8 * model.n_moe_layers * D * np.minimum(model.n_active_experts, 8) * (ep - 1) / ep
    expert = _crossed(rates.expert_exposure * copies, ep, _link(chip, ep * tp))

    held = np.where((pp > 1) | (plan.sharding < 2), plan.replica_sequences, plan.microbatch_sequences) * S / cp
    group = plan.n_chips / (tp * pp)
    times = np.where(plan.lora, np.where(plan.sharding == 3, 2.0, 0.0), GATHERS[plan.sharding])
    moved = rates.shard_exposure * times * WEIGHT_BYTES * transformer.params(model, transformer.shape(model)) / held
    shard = _crossed(moved, group, _ring(chip, plan.n_chips))

    busy = linear + attention + traffic + tensor + expert
    microbatches = np.maximum(plan.replica_sequences / plan.microbatch_sequences, 1)
    pipeline = busy * (pp - 1) / (plan.virtual_stages * microbatches)
    far = rates.scale_out_loss * np.log2(np.maximum(plan.n_chips / np.where(np.isnan(chip.scale_up_domain), 1.0, chip.scale_up_domain), 1))
    parts = (linear, attention, traffic, tensor, expert, shard, pipeline)
    parts = (*parts, sum(parts) * far)
    return Step(*(part / plan.software_factor for part in parts))


def _crossed(moved_bytes, ways, bytes_per_s):
    """Time of a link that only several chips cross: nothing for one, or where nothing is moved."""
    return np.where((ways > 1) & (moved_bytes > 0), moved_bytes / bytes_per_s, 0.0)


def _link(chip, ways):
    return np.where(ways <= chip.scale_up_domain, chip.link_bytes_per_s, chip.scale_out_bytes_per_s)


def _ring(chip, n_chips):
    """Rate at which one chip takes part in a ring over all: the scale-up link, or a whole domain's links out. [byte/s]"""
    out = np.minimum(chip.link_bytes_per_s, chip.scale_up_domain * chip.scale_out_bytes_per_s)
    return np.where(n_chips <= chip.scale_up_domain, chip.link_bytes_per_s, out)


def activation_bytes_per_token(model, recompute_share):
    """Activations one token leaves behind in one layer for the backward pass, on one device. [byte]

    Inputs of norms, projections, attention and feed-forward layer, 2 bytes each; scores are not stored. A plain layer of
    width 4 D without grouped heads: `32 D`, the `34 D` of [1]_ less its two dropout masks. Recomputed: its input, `2 D`.

    References
    ----------
    .. [1] Korthikanti et al., 2022, arXiv:2205.05198, section 4.1.
    """
    moe = model.n_moe_layers / model.n_layers
    width = (1 - moe) * model.d_ff + moe * (model.n_active_experts * model.d_ff_expert + model.n_shared_experts * model.d_ff_shared)
    grouped = np.where(model.kv_lora_rank > 0, 1.0, model.n_kv_heads / model.n_heads)
    kept = (12 + 4 * grouped) * model.d_model + 2 * model.n_ffn_matrices * width
    return (1 - recompute_share) * kept + recompute_share * 2 * model.d_model


def memory_bytes(model, plan):
    """Weights, gradients, Adam's state and activations of the fullest device. [byte]

    Data-parallel copies share out what the sharding says; the first stage of a pipeline holds the microbatches of all
    stages. LoRA: 16-bit weights, and a tenth more for the adapters.
    """
    tp, pp, ep, cp = plan.train_tensor_parallel, plan.train_pipeline_parallel, plan.train_expert_parallel, plan.context_parallel
    shape = transformer.shape(model)
    experts = model.n_experts * transformer.expert_params(shape)
    copies = np.maximum(plan.n_chips / (tp * pp), 1)
    own = (transformer.params(model, shape) - experts) / (tp * pp)
    rest = experts / (tp * pp * ep)

    def states(params, copies):
        shared = [np.where(plan.sharding >= at, copies, 1) for at in (3, 2, 1)]
        full = WEIGHT_BYTES / shared[0] + GRADIENT_BYTES / shared[1] + OPTIMIZER_BYTES / shared[2]
        return params * np.where(plan.lora, 1.1 * WEIGHT_BYTES / shared[0], full)

    tokens = plan.microbatch_sequences * plan.sequence_tokens / cp
    layer = activation_bytes_per_token(model, plan.recompute_share)
    working = activation_bytes_per_token(model, 0.0) + 4 * model.d_model
    logits = 6 * model.vocab_size
    return states(own, copies) + states(rest, np.maximum(copies / ep, 1)) + tokens * (layer * model.n_layers + working + logits) / tp


# --- failures


def job_mttf_s(nodes, failures_per_1000_node_days):
    """Mean time between failures of a job on n nodes, `1/(n r)`. [s]

    Examples
    --------
    >>> print(round(float(job_mttf_s(2048, 6.50)) / 3600, 2))   # 16,384 GPUs of Meta's RSC-1 (arXiv:2410.21680)
    1.8
    """
    with np.errstate(divide="ignore"):
        return 1000 * DAY_S / (np.asarray(nodes, dtype=float) * failures_per_1000_node_days)


def young_s(stall_s, mttf_s):
    """Interval between checkpoints that loses least, first order: `sqrt(2 delta M)`. [s]"""
    return np.sqrt(2 * stall_s * mttf_s)


def daly_s(stall_s, mttf_s):
    """The same to higher order; M itself where a checkpoint takes longer than 2 M. [s]

    Notes
    -----
    `sqrt(2 delta M) [1 + sqrt(delta/2M)/3 + (delta/2M)/9] - delta` [1]_.

    References
    ----------
    .. [1] Daly, "A higher order estimate of the optimum checkpoint interval for restart dumps", 2006, equation 37.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        part = stall_s / (2 * mttf_s)
        found = young_s(stall_s, mttf_s) * (1 + np.sqrt(part) / 3 + part / 9) - stall_s
    return np.where(part < 1, found, mttf_s)


def checkpoint_overhead(stall_s, restart_s, interval_s, mttf_s):
    """Time lost over time that made progress, first order: `delta/T + T/2M + R/M`. [1]"""
    return stall_s / interval_s + interval_s / (2 * mttf_s) + restart_s / mttf_s


def goodput(stall_s, restart_s, interval_s, mttf_s):
    """Share of the time that makes progress (effective training time ratio), failures at random. [1]

    Notes
    -----
    `T / (M e^(R/M) (e^((T + delta)/M) - 1))`: Daly's complete wall-clock time. To first order `1 - overhead`.
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        found = interval_s / (mttf_s * np.exp(restart_s / mttf_s) * np.expm1((interval_s + stall_s) / mttf_s))
    return np.where(np.isinf(mttf_s), 1.0, found)


# --- scaling laws and budgets


class Loss(NamedTuple):
    """Constants of `L(N, D) = E + A/N^alpha + B/D^beta`."""

    irreducible: float
    a: float
    b: float
    alpha: float
    beta: float


BESIROGLU = Loss(1.8172, 482.01, 2085.43, 0.3478, 0.3658)  # refit of the Chinchilla data, arXiv:2404.10102
HOFFMANN = Loss(1.69, 406.4, 410.7, 0.34, 0.28)  # as printed, rounded, arXiv:2203.15556
SARDANA = Loss(1.69, 406.4, 410.7, 0.336, 0.283)  # as used in arXiv:2401.00448


def loss(params, tokens, law: Loss = BESIROGLU):
    """Loss of a dense model of N parameters after D tokens. [nat]"""
    return law.irreducible + law.a / np.power(params, law.alpha) + law.b / np.power(tokens, law.beta)


def optimal_tokens(params, law: Loss = BESIROGLU):
    """Tokens at which a model of N parameters is the best use of its own compute, `(beta B N^alpha/(alpha A))^(1/beta)`. [token]"""
    return (law.beta * law.b * np.power(params, law.alpha) / (law.alpha * law.a)) ** (1 / law.beta)


def train_flop(params, tokens, n_layers=0.0, d_attention=0.0, sequence_tokens=0.0):
    """Compute to train: `(6 N + 6 L q S) D`, attention causal. [FLOP]

    Examples
    --------
    >>> print(f"{train_flop(405e9, 15.6e12):.3g}")   # Llama 3.1 405B without attention
    3.79e+25
    """
    return (6 * params + 6 * n_layers * d_attention * sequence_tokens) * tokens


def break_even_tokens(training_tokens):
    """Tokens served after which inference has taken as much compute as training: `2 N T = 6 N D`. [token]"""
    return 3 * training_tokens


def overtraining(params, training_tokens, served_tokens, law: Loss = SARDANA, served_over_trained=1.0):
    """The model of the same loss that is cheapest to train and to serve: smaller, trained longer.

    Parameters
    ----------
    params, training_tokens : Number
        A model whose quality is wanted; NaN tokens: those optimal for training alone.
    served_tokens : Number
        Tokens served over its life, prompts included.
    served_over_trained : Number
        Price of a FLOP served over that of a FLOP trained: 1 counts FLOP, another number dollars.

    Returns
    -------
    (params, tokens, cost, cost of the model given), costs in FLOP trained: `6 N D + r 2 N T`.

    Notes
    -----
    `min 6 N D + 2 N T` at one loss [1]_. Below the size at which the loss is out of reach there is no model.

    References
    ----------
    .. [1] Sardana et al., "Beyond Chinchilla-Optimal: Accounting for Inference in Language Model Scaling Laws", 2024, arXiv:2401.00448.

    Examples
    --------
    >>> n, d, cost, given = overtraining(13e9, np.nan, 2e12)
    >>> print(f"{float(given - cost):.2g} FLOP less, {float(1 - cost / given):.0%}")
    1.7e+22 FLOP less, 17%
    """
    tokens = np.where(np.isnan(training_tokens), optimal_tokens(params, law), training_tokens)
    wanted = loss(params, tokens, law)
    steps = np.geomspace(1e-2, 1.0, 2001).reshape(-1, *(1,) * np.ndim(wanted + np.asarray(served_tokens, dtype=float) + served_over_trained))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        size = steps * params
        left = wanted - law.irreducible - law.a / np.power(size, law.alpha)
        needed = np.where(left > 0, np.power(law.b / np.maximum(left, 1e-300), 1 / law.beta), np.inf)
        needed = np.where(steps == 1.0, tokens, needed)
        cost = size * (6 * needed + 2 * served_over_trained * served_tokens)
    at = np.argmin(cost, axis=0)[None]
    size, needed, cost = (np.take_along_axis(np.broadcast_to(x, cost.shape), at, axis=0)[0] for x in (size, needed, cost))
    return size, needed, cost, params * (6 * tokens + 2 * served_over_trained * served_tokens)
