"""How a model lies on chips: who holds what, which links are crossed, what memory is left for sequences.

A pipeline stage has `tensor_parallel x attention_data_parallel` chips. Attention and embeddings are cut over the
tensor-parallel group and repeated in every attention group; feed-forward layers and experts are cut over the whole
stage. KV heads are cut over the group, never below one a chip; the latent cache of MLA is repeated.
"""

from typing import NamedTuple

import numpy as np

from . import transformer
from .rows import chosen, some

WIDEST = 1024  # tensor parallelism tried when none is given


class Layout(NamedTuple):
    """One replica. `ways` are the chips of a stage, `chips` those of the replica."""

    tensor_parallel: np.ndarray
    attention_data_parallel: np.ndarray
    pipeline_parallel: np.ndarray
    expert_parallel: np.ndarray
    ways: np.ndarray
    chips: np.ndarray
    weight_bits: np.ndarray
    kv_bits: np.ndarray


def usable_bytes(chip, deployment):
    """Memory of one chip for weights and KV: capacity less reserve and workspace. [byte]"""
    workspace = chosen(deployment.workspace_bytes, np.minimum(2e9, 0.04 * chip.hbm_bytes))
    return chip.hbm_bytes * (1 - deployment.memory_reserve) - workspace


def needed_bytes(model, cut, context_tokens, weight_bits, kv_bits, tensor_parallel, ways):
    """Weights and one sequence of `context_tokens`, on one chip, if there were no pipeline. [byte]"""
    weights = (cut[0] / tensor_parallel + cut[1] / ways) * weight_bits / 8
    return weights + transformer.kv_bytes(model, context_tokens, kv_bits, tensor_parallel)


def divides_heads(model, tensor_parallel):
    """True where the group cuts the query heads evenly, and the KV heads evenly or repeats them evenly."""
    few, many = np.minimum(model.n_kv_heads, tensor_parallel), np.maximum(model.n_kv_heads, tensor_parallel)
    return _whole(model.n_heads / tensor_parallel) & (_whole(many / few) | (model.kv_lora_rank > 0))


def _whole(x):
    return x == np.floor(x)


def divides_experts(model, lay):
    """True where the experts lie evenly: each is split a whole number of ways, and dense models have none to spread."""
    return _whole(lay.ways / lay.expert_parallel) & ((model.n_experts >= lay.expert_parallel) | (model.n_experts == 0))


def layout(model, chip, deployment, cut, context_tokens, weight_bits, kv_bits) -> Layout:
    """The layout asked for, completed: fewest chips that hold the weights and one sequence of full length.

    Tensor parallelism that is NaN becomes the smallest power of two that fits and divides the heads; the pipeline is 1,
    unless both are open and one scale-up domain cannot hold the model. Where nothing fits, the widest stage is shown.
    """
    tp, pp, dp = deployment.tensor_parallel, deployment.pipeline_parallel, deployment.attention_data_parallel
    usable = usable_bytes(chip, deployment)
    open_pp = np.isnan(pp)
    stages = chosen(pp, 1.0)
    if some(np.isnan(tp)):
        domain = np.where(open_pp, chosen(chip.scale_up_domain, 1.0), np.inf)
        found, widest = np.full(np.shape(usable), np.nan), np.ones(np.shape(usable))
        width = WIDEST
        while width >= 1:
            allowed = divides_heads(model, width) & (width * dp <= np.maximum(domain, dp))
            fits = needed_bytes(model, cut, context_tokens, weight_bits, kv_bits, width, width * dp) <= usable * stages
            found = np.where(allowed & fits, width, found)
            widest = np.where(allowed & (widest < width), width, widest)
            width //= 2
        deep = needed_bytes(model, cut, context_tokens, weight_bits, kv_bits, widest, widest * dp) / usable
        deep = np.where((usable > 0) & (deep <= model.n_layers), np.ceil(np.maximum(deep, 1)), 1.0)
        stages = np.where(np.isnan(tp) & np.isnan(found) & open_pp, deep, stages)
        tp = chosen(tp, chosen(found, widest))
    ways = tp * dp
    ep = chosen(deployment.expert_parallel, np.where(dp > 1, ways, 1.0))
    return Layout(tp, dp, stages, ep, ways, ways * stages, weight_bits, kv_bits)


class Memory(NamedTuple):
    """What one chip holds and reads. [byte]"""

    free_bytes: np.ndarray  # left beside the weights
    weight_bytes: np.ndarray
    read_bytes: np.ndarray  # weights of a pass that touches every expert, were there no pipeline
    expert_bytes: np.ndarray  # of which experts
    token_bytes: np.ndarray  # KV of one token in one layer
    state_bytes: np.ndarray  # constant states of one sequence, were there no pipeline


def memory(model, chip, deployment, shape, cut, lay: Layout) -> Memory:
    """What a chip of the layout holds. [byte]"""
    bytes_per_param, tp = lay.weight_bits / 8, lay.tensor_parallel
    weights = (cut[0] / tp + cut[1] / lay.ways) * bytes_per_param
    table = shape.head.params * (1 - model.tied_embeddings) / tp * bytes_per_param  # looked up, not read
    held = weights / lay.pipeline_parallel
    return Memory(
        free_bytes=usable_bytes(chip, deployment) - held, weight_bytes=held, read_bytes=weights - table,
        expert_bytes=transformer.expert_params(shape) * model.n_experts / lay.ways * bytes_per_param,
        token_bytes=transformer.kv_bytes_per_token_layer(model, lay.kv_bits, tp),
        state_bytes=model.n_linear_layers * model.linear_state_bytes / tp,
    )  # fmt: skip


def most_sequences(lay: Layout, held: Memory, cached_tokens):
    """Sequences with `cached_tokens` tokens in all their layers whose KV fits beside the weights on one replica; not whole yet. [1]"""
    one = (held.token_bytes * cached_tokens + held.state_bytes) / lay.pipeline_parallel
    return lay.attention_data_parallel * held.free_bytes / one


def link_bytes_per_s(chip, chips):
    """Link a collective over `chips` chips uses: scale-up inside the domain, scale-out beyond it. [byte/s]"""
    with np.errstate(invalid="ignore"):
        return np.where(chips <= chip.scale_up_domain, chip.link_bytes_per_s, chip.scale_out_bytes_per_s)
