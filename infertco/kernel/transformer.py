"""What one pass of a transformer computes and moves: FLOP, weights, KV cache, per operator.

An operator over M tokens does `2 M P` FLOP on P parameters and moves its weights once and its activations in and out;
attention depends on the context instead. One layer's figures, and the layers that have the operator. Norms, RoPE,
residuals and routers are left out: they go into the fixed time of a layer.
"""

from typing import NamedTuple

import numpy as np

from .rows import some


class Operator(NamedTuple):
    """Parameters in one layer (of one expert, for the expert operators), its layers, the widths a token enters and leaves with."""

    params: np.ndarray
    layers: np.ndarray
    width_in: np.ndarray
    width_out: np.ndarray


class Shape(NamedTuple):
    """The operators of a model; each figure a float or one entry a row."""

    qkv: Operator
    out: Operator
    up: Operator
    down: Operator
    expert_up: Operator
    expert_down: Operator
    shared: Operator
    head: Operator


def shape(model) -> Shape:
    """Operators of a model. Parameters per layer and widths. [1]

    Notes
    -----
    Attention `D h (2 n_q + 2 n_kv)`; MLA with its two low-rank paths, the up-projections of the latent cache counted
    with the output, where absorbed decoding applies them [1]_. Gated feed-forward layers have 3 matrices, plain ones 2.
    Constant-state layers count as projections of `6 D^2`. Biases, norms and routers are left out.

    References
    ----------
    .. [1] DeepSeek-AI, "DeepSeek-V2", 2024, arXiv:2405.04434, section 2.1.
    """
    D, F, Fe, h = model.d_model, model.d_ff, model.d_ff_expert, model.d_head
    nq, nkv, g = model.n_heads, model.n_kv_heads, model.n_ffn_matrices
    qkv, out, qkv_out, out_in = D * h * (nq + 2 * nkv), D * h * nq, h * (nq + 2 * nkv), nq * h
    rank = model.kv_lora_rank
    if some(mla := rank > 0):
        q_width, q_rank = nq * (model.d_nope + model.d_rope), model.q_lora_rank
        q_mla = np.where(q_rank > 0, D * q_rank + q_rank * q_width, D * q_width)
        qkv = np.where(mla, q_mla + D * (rank + model.d_rope), qkv)
        out = np.where(mla, nq * (rank * (model.d_nope + model.d_value) + model.d_value * D), out)
        qkv_out = np.where(mla, q_rank + q_width + rank + model.d_rope, qkv_out)
        out_in = np.where(mla, nq * model.d_value, out_in)
    linear = model.n_linear_layers / model.n_layers
    qkv, out = qkv * (1 - linear) + 4 * D * D * linear, out * (1 - linear) + 2 * D * D * linear
    L, moe, k = model.n_layers, model.n_moe_layers, g - 1
    return Shape(
        qkv=Operator(qkv, L, D, qkv_out), out=Operator(out, L, out_in, D),
        up=Operator(k * D * F, L - moe, D, k * F), down=Operator(D * F, L - moe, F, D),
        expert_up=Operator(k * D * Fe, moe, D, k * Fe), expert_down=Operator(D * Fe, moe, Fe, D),
        shared=Operator(g * D * model.d_ff_shared * model.n_shared_experts, moe * (model.n_shared_experts > 0), D, D),
        head=Operator(D * model.vocab_size, 1.0, D, model.vocab_size),
    )  # fmt: skip


def params(model, operators: Shape):
    """All parameters: operators, every expert, and the embedding table once more unless it is tied. [1]"""
    return sum(cut_params(model, operators))


def active_params(model, operators: Shape):
    """Parameters a token is multiplied with, the head included and the look-up table not. [1]"""
    one = expert_params(operators)
    return sum(op.params * op.layers for op in operators) + one * (model.n_active_experts - 1)


def expert_params(operators: Shape):
    """Parameters of one expert, all layers that have it. [1]"""
    return (operators.expert_up.params + operators.expert_down.params) * operators.expert_up.layers


def cut_params(model, operators: Shape):
    """Parameters cut over an attention group, and those cut over all chips of a pipeline stage. [1]

    Attention, embeddings and head belong to the group; feed-forward layers and experts to the stage.
    """
    qkv, out, up, down, _, _, shared, head = (op.params * op.layers for op in operators)
    group = qkv + out + head * (2.0 - model.tied_embeddings)
    return group, up + down + shared + model.n_experts * expert_params(operators)


def expert_miss(model):
    """log of the chance that one token leaves a given expert alone, under uniform routing."""
    with np.errstate(divide="ignore"):
        return np.log1p(-model.n_active_experts / np.maximum(model.n_experts, 1.0))


def experts_touched(model, tokens):
    """Distinct experts of a layer that a batch of tokens visits, `E [1 - (1 - k/E)^M]`. [1]"""
    return model.n_experts * (1 - np.exp(tokens * expert_miss(model)))


def cached_tokens(model, context_tokens):
    """Tokens kept in the KV cache, summed over layers: windows hold at most their width. [token]"""
    full = (model.n_layers - model.n_window_layers - model.n_linear_layers) * context_tokens
    if not some(model.n_window_layers > 0):
        return full
    return full + model.n_window_layers * np.minimum(context_tokens, model.window_tokens)


def kv_bytes_per_token_layer(model, kv_bits, tensor_parallel=1.0):
    """Bytes one chip keeps for one token in one layer. [byte]

    `2 n_kv h` elements, or `d_c + d_rope` with MLA. Below one KV head a chip, heads are replicated; the latent cache of
    MLA is replicated on every chip of the group.
    """
    heads = np.maximum(model.n_kv_heads, tensor_parallel) / tensor_parallel
    elements = np.where(model.kv_lora_rank > 0, model.kv_lora_rank + model.d_rope, 2 * heads * model.d_head)
    return elements * kv_bits / 8


def kv_bytes(model, context_tokens, kv_bits, tensor_parallel=1.0):
    """Bytes of one sequence on one chip, all layers, constant states included. [byte]"""
    state = model.n_linear_layers * model.linear_state_bytes / tensor_parallel
    return cached_tokens(model, context_tokens) * kv_bytes_per_token_layer(model, kv_bits, tensor_parallel) + state


def decode_attention_flop(model):
    """FLOP of one new token against one cached token in one layer: `4 n_q h`, absorbed MLA `2 n_q (2 d_c + d_rope)`. [FLOP]"""
    absorbed = 2 * model.n_heads * (2 * model.kv_lora_rank + model.d_rope)
    return np.where(model.kv_lora_rank > 0, absorbed, 4 * model.n_heads * model.d_head)


def pair_flop(model):
    """FLOP of one token of a prompt that attends to another, in one layer: `4 n_q h`, or as MLA expands its cache. [FLOP]"""
    expanded = 2 * model.n_heads * (model.d_nope + model.d_rope + model.d_value)
    return np.where(model.kv_lora_rank > 0, expanded, 4 * model.n_heads * model.d_head)


def prefill_pairs(model, input_tokens, cached=0.0):
    """Pairs of tokens that attend in a prompt whose first `cached` tokens are in the cache, all layers together. [1]

    `(S^2 - c^2)/2`: the causal half is counted once. Windows cap what a token sees.
    """
    full = model.n_layers - model.n_window_layers - model.n_linear_layers
    pairs = full * ((input_tokens * input_tokens - cached * cached) / 2)
    if not some(model.n_window_layers > 0):
        return pairs

    def windowed(tokens):
        seen = np.minimum(tokens, model.window_tokens)
        return seen * (tokens - seen / 2)

    return pairs + model.n_window_layers * (windowed(input_tokens) - windowed(cached))


def prefill_attention_flop(model, input_tokens, cached=0.0):
    """FLOP of causal attention over a prompt whose first `cached` tokens are in the cache, all layers. [FLOP]"""
    return pair_flop(model) * prefill_pairs(model, input_tokens, cached)
