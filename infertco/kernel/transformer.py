"""What one pass of a transformer computes and moves: FLOP, weights, KV cache, per operator.

Operators are stacked on a leading axis (OPERATORS), so one expression serves all of them. An operator over M tokens
does `2 M P` FLOP on P parameters and moves its weights once and its activations in and out; attention depends on the
context instead. One layer's figures, times the layers that have the operator. Norms, RoPE, residuals and routers are
left out: they go into the fixed time of a layer.
"""

from typing import NamedTuple

import numpy as np

OPERATORS = ("qkv", "out", "up", "down", "expert_up", "expert_down", "shared", "head")
EXPERTS = slice(4, 6)
HEAD = 7


class Shape(NamedTuple):
    """Parameters of one layer's operators, their layers, and the widths a token enters and leaves with; (8, rows)."""

    params: np.ndarray  # one expert's, for the expert operators
    layers: np.ndarray
    width_in: np.ndarray
    width_out: np.ndarray
    active: np.ndarray  # times a token passes the operator in a layer: 1, or the active experts


def stack(*rows):
    """Floats or arrays of one length on a new leading axis: (n, 1) for floats alone, else (n, rows)."""
    sizes = {getattr(row, "size", 1) for row in rows}
    out = np.empty((len(rows), 0 if 0 in sizes else max(sizes)))
    for i, row in enumerate(rows):
        out[i] = row
    return out


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
    mla, rank = model.kv_lora_rank > 0, model.kv_lora_rank
    q_width = nq * (model.d_nope + model.d_rope)
    q_rank = model.q_lora_rank
    q_mla = np.where(q_rank > 0, D * q_rank + q_rank * q_width, D * q_width)
    qkv = np.where(mla, q_mla + D * (rank + model.d_rope), D * h * (nq + 2 * nkv))
    out = np.where(mla, nq * (rank * (model.d_nope + model.d_value) + model.d_value * D), D * h * nq)
    qkv_out = np.where(mla, q_rank + q_width + rank + model.d_rope, h * (nq + 2 * nkv))
    out_in = np.where(mla, nq * model.d_value, nq * h)
    linear = model.n_linear_layers / model.n_layers
    qkv, out = qkv * (1 - linear) + 4 * D * D * linear, out * (1 - linear) + 2 * D * D * linear
    L, moe = model.n_layers, model.n_moe_layers
    shared = g * D * model.d_ff_shared * model.n_shared_experts
    k = model.n_active_experts
    return Shape(
        params=stack(qkv, out, (g - 1) * D * F, D * F, (g - 1) * D * Fe, D * Fe, shared, D * model.vocab_size),
        layers=stack(L, L, L - moe, L - moe, moe, moe, moe, 1.0),
        width_in=stack(D, out_in, D, F, D, Fe, D, D),
        width_out=stack(qkv_out, D, (g - 1) * F, D, (g - 1) * Fe, D, D, model.vocab_size),
        active=stack(1.0, 1.0, 1.0, 1.0, k, k, 1.0, 1.0),
    )


def params(model, operators: Shape):
    """All parameters: operators, every expert, and the embedding table once more unless it is tied. [1]"""
    return sum(cut_params(model, operators))


def active_params(operators: Shape):
    """Parameters a token is multiplied with, the head included and the look-up table not. [1]"""
    return np.sum(operators.params * operators.layers * operators.active, axis=0)


def cut_params(model, operators: Shape):
    """Parameters cut over an attention group, and those cut over all chips of a pipeline stage. [1]

    Attention, embeddings and head belong to the group; feed-forward layers and experts to the stage.
    """
    everything = operators.params * operators.layers
    group = everything[0] + everything[1] + everything[HEAD] * (2.0 - model.tied_embeddings)
    stage = everything[2] + everything[3] + everything[6] + model.n_experts * (everything[4] + everything[5])
    return group, stage


def expert_miss(model):
    """log of the chance that one token leaves a given expert alone, under uniform routing."""
    with np.errstate(divide="ignore"):
        return np.log1p(-model.n_active_experts / np.maximum(model.n_experts, 1.0))


def experts_touched(model, tokens):
    """Distinct experts of a layer that a batch of tokens visits, `E [1 - (1 - k/E)^M]`. [1]"""
    return model.n_experts * -np.expm1(tokens * expert_miss(model))


def cached_tokens(model, context_tokens):
    """Tokens kept in the KV cache, summed over layers: windows hold at most their width. [token]"""
    full = model.n_layers - model.n_window_layers - model.n_linear_layers
    return full * context_tokens + model.n_window_layers * np.minimum(context_tokens, model.window_tokens)


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


def prefill_attention_flop(model, input_tokens, cached=0.0):
    """FLOP of causal attention over a prompt whose first `cached` tokens are in the cache, all layers. [FLOP]

    Pairs of tokens `(S^2 - c^2)/2`: the causal half is counted once. Windows cap what a token sees.
    """

    def pairs(tokens, window):
        seen = np.minimum(tokens, window)
        return seen * (tokens - seen / 2)

    full = model.n_layers - model.n_window_layers - model.n_linear_layers
    total = full * (input_tokens**2 - cached**2) / 2
    total = total + model.n_window_layers * (pairs(input_tokens, model.window_tokens) - pairs(cached, model.window_tokens))
    expanded = 2 * model.n_heads * (model.d_nope + model.d_rope + model.d_value)
    return total * np.where(model.kv_lora_rank > 0, expanded, 4 * model.n_heads * model.d_head)
