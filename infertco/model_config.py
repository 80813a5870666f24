"""A published `config.json` (the Hugging Face keys) to a row of models.csv.

Only what the file says is used; parameters are counted from the shape: attention, feed-forward layers, experts,
routers and embeddings. Norms, biases, vision towers and draft heads are left out. A key that is missing, or one that
changes the shape in a way the model has no field for, is an error that names it.
"""

import csv
import datetime
import json
from collections.abc import Mapping
from pathlib import Path

from infertco.vocabulary import SOURCES, WIDE_COLUMNS

PLAIN_FFN = (
    "gpt2",
    "gptj",
    "gpt_neox",
    "gpt_bigcode",
    "opt",
    "bloom",
    "falcon",
    "mpt",
    "phi",
    "starcoder2",
    "nemotron",
)
TIED = ("gemma", "cohere", "gpt2", "opt", "bloom", "falcon")  # tied unless the file says otherwise
UNKNOWN = (  # keys of shapes that the fields of Model cannot hold
    "is_encoder_decoder", "block_configs", "ssm_cfg", "mamba_d_state", "mamba_num_heads", "state_size",
    "attn_type_list", "linear_attn_config", "hybrid_override_pattern", "num_kv_shared_layers", "global_head_dim",
    "zero_expert_num",
)  # fmt: skip
QUANTIZED = {"fp8": 8.0, "fbgemm_fp8": 8.0, "mxfp4": 4.25}  # scales included: mxfp4 has one of 8 bits for 32 weights


def model_from_config(config: str | Path | Mapping, id: str) -> dict[str, str | float]:
    """The cells of models.csv, `id` first, that a published config.json (its path, or the dict) determines.

    Parameters
    ----------
    config
        Dense, MoE, MLA, windowed or linear-attention decoder; of a multimodal one, `text_config` is read.
    id
        Id the model shall have.

    Raises
    ------
    ValueError
        Naming the key that is missing, or that describes an architecture this package does not know.
    """
    if not isinstance(config, Mapping):
        try:
            config = json.loads(Path(config).read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            raise ValueError(f"cannot read config.json of '{id}': {error}") from None
    config = {**config, **config.get("text_config", {})}
    kind = str(config.get("model_type", ""))
    if odd := [key for key in UNKNOWN if config.get(key)]:
        raise ValueError(f"unknown architecture '{kind}' of '{id}': no field for '{odd[0]}' of its config.json")

    def need(*keys, default=None):
        found = next((config[key] for key in keys if config.get(key) is not None), default)
        if found is None:
            raise ValueError(f"config.json of '{id}' lacks '{keys[0]}'; add it (its library knows the default)")
        return found

    cells = dict(id=id, family=kind)
    cells["n_layers"] = need("num_hidden_layers", "n_layer", "n_layers")
    cells["d_model"] = need("hidden_size", "n_embd", "d_model")
    cells["n_heads"] = need("num_attention_heads", "n_head", "n_heads")
    cells["n_kv_heads"] = need("num_key_value_heads", "num_kv_heads", default=cells["n_heads"])
    if config.get("multi_query") and not config.get("new_decoder_architecture"):
        cells["n_kv_heads"] = 1
    cells["d_head"] = need("head_dim", default=cells["d_model"] // cells["n_heads"])
    cells["n_ffn_matrices"] = 2 if kind in PLAIN_FFN else 3
    cells["vocab_size"] = need("vocab_size")
    cells["tied_embeddings"] = int(need("tie_word_embeddings", default=kind.startswith(TIED)))
    if config.get("kv_lora_rank"):
        cells["q_lora_rank"] = config.get("q_lora_rank") or 0
        cells["kv_lora_rank"] = config["kv_lora_rank"]
        cells["d_rope"], cells["d_nope"] = need("qk_rope_head_dim"), need("qk_nope_head_dim")
        cells["d_value"] = need("v_head_dim")
        cells["d_head"], cells["n_kv_heads"] = cells["d_rope"] + cells["d_nope"], cells["n_heads"]
    cells |= _experts(config, cells["n_layers"], need)
    cells |= _windows(config, kind, cells["n_layers"], need)
    linear = _linear_layer(config, cells["d_model"], need) if cells["n_linear_layers"] else (0, 0)
    cells["linear_state_bytes"] = linear[1]
    cells["total_params"], cells["active_params"] = _parameters(
        cells, linear[0], config.get("attn_output_gate", kind.startswith("qwen3_next"))
    )
    cells["published_weight_bits"] = _weight_bits(config, id)
    cells["max_context_tokens"] = config.get("max_position_embeddings", "")
    cells["mtp_layers"] = config.get("num_nextn_predict_layers") or 0
    return cells


def add_model(config: str | Path | Mapping, id: str, folder: str | Path, url: str = "", date: str = "") -> Path:
    """Add a model to the models.csv of a folder of your own, with its line in sources.csv; returns that models.csv.

    Then `catalog.overlay(folder)`. A model of the same id is replaced. `url` says where the config.json is
    published (default: its path), `date` from when the model may be used (default: today).
    """
    cells, folder, today = model_from_config(config, id), Path(folder), datetime.date.today().isoformat()
    url = url or ("given as a dict" if isinstance(config, Mapping) else str(config))
    folder.mkdir(parents=True, exist_ok=True)
    cells |= dict(source=f"config-{id}", date=date or today, confidence="config", note="")
    source = (f"config-{id}", "repository", f"config.json of {id}", url, today, "facts only")
    _write(folder / "sources.csv", "key", dict(zip(SOURCES, source, strict=True)))
    return _write(folder / "models.csv", "id", cells)


def _write(path, key, row):
    """Put a row into a CSV under its key, all other rows kept; the file appears whole or not at all."""
    rows = []
    if path.exists():
        with open(path, newline="", encoding="utf-8-sig") as handle:
            rows = [old for old in csv.DictReader(handle) if old[key] != row[key]]
    columns = list(dict.fromkeys([*(rows[0] if rows else ()), *row]))
    columns.sort(key=lambda column: column in WIDE_COLUMNS)  # stable: what describes the row comes last
    part = path.with_name(path.name + ".part")
    with open(part, "w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, row])
    part.replace(path)
    return path


def _experts(config, n_layers, need):
    """Dense and MoE layers: how many, how wide."""
    n_experts = next((config[k] for k in ("num_experts", "num_local_experts", "n_routed_experts") if config.get(k)), 0)
    if n_experts <= 1:
        usual = 4 * need("hidden_size", "n_embd", "d_model") if config.get("model_type") in PLAIN_FFN else None
        return dict(d_ff=need("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", default=usual))
    first, listed = config.get("first_k_dense_replace") or 0, config.get("moe_layer_freq")
    step = config.get("decoder_sparse_step") or config.get("interleave_moe_layer_step") or 1
    dense = set(config.get("mlp_only_layers") or ())
    if isinstance(listed, list):
        moe = sum(bool(flag) for flag in listed)
    else:
        moe = sum(
            i >= first and (i + 1) % step == 0 and i % (listed or 1) == 0 and i not in dense for i in range(n_layers)
        )
    width = need("moe_intermediate_size", "intermediate_size")
    llama4 = "interleave_moe_layer_step" in config  # every token also visits one expert of the routed width
    shared = config.get("n_shared_experts") or config.get("num_shared_experts") or int(llama4)
    shared_width = width if shared else 0
    if config.get("shared_expert_intermediate_size"):
        shared, shared_width = 1, config["shared_expert_intermediate_size"]
    d_ff = need("intermediate_size_mlp", "intermediate_size") if moe < n_layers else 0
    visits = need("num_experts_per_tok", "num_experts_per_token", "moe_topk")
    return dict(
        d_ff=d_ff, n_experts=n_experts, n_active_experts=visits, n_shared_experts=shared, d_ff_expert=width
    ) | dict(d_ff_shared=shared_width, n_moe_layers=moe)


def _windows(config, kind, n_layers, need):
    """Layers that see a window (chunks count as windows) and layers with a constant state."""
    types = config.get("layer_types") or []
    every = config.get("full_attention_interval")
    linear = types.count("linear_attention") or (n_layers - n_layers // every if every else 0)
    window, pattern = config.get("sliding_window") or 0, config.get("sliding_window_pattern")
    if config.get("attention_chunk_size"):
        window = config["attention_chunk_size"]
        rotary = config.get("no_rope_layers")
        windowed = sum(rotary) if rotary else n_layers - n_layers // 4
    elif not window or config.get("use_sliding_window") is False:
        window = windowed = 0
    elif config.get("use_sliding_window") and not types:
        windowed = n_layers - need("max_window_layers")
    else:
        windowed = n_layers - n_layers // (pattern or 2) if pattern or kind.startswith("gemma2") else n_layers
    if types and window:
        windowed = types.count("sliding_attention") + types.count("chunked_attention")
    return dict(window_tokens=window if windowed else 0, n_window_layers=windowed, n_linear_layers=linear)


def _linear_layer(config, d_model, need):
    """(parameters, bytes of state a sequence keeps) of one gated-delta layer; convolutions left out of the first."""
    keys = need("linear_num_key_heads") * need("linear_key_head_dim")
    heads, d_value = need("linear_num_value_heads"), need("linear_value_head_dim")
    state = heads * need("linear_key_head_dim") * d_value
    convolution = (2 * keys + heads * d_value) * (need("linear_conv_kernel_dim") - 1)
    width = 4 if config.get("mamba_ssm_dtype") == "float32" else 2
    return d_model * (2 * keys + 3 * heads * d_value + 2 * heads), width * state + 2 * convolution


def _parameters(c, linear_params, gated_output):
    """(total, active): per layer attention + feed-forward or experts + router, then embeddings."""
    D, n_q, h = c["d_model"], c["n_heads"], c["d_head"]
    if c.get("kv_lora_rank"):
        r_q, r_kv, rope, nope, v = (c[k] for k in ("q_lora_rank", "kv_lora_rank", "d_rope", "d_nope", "d_value"))
        queries = D * r_q + r_q * n_q * h if r_q else D * n_q * h
        attention = queries + D * (r_kv + rope) + r_kv * n_q * (nope + v) + n_q * v * D
    else:
        attention = D * h * ((3 if gated_output else 2) * n_q + 2 * c["n_kv_heads"])
    attention = attention * (c["n_layers"] - c["n_linear_layers"]) + linear_params * c["n_linear_layers"]
    n_moe, g = c.get("n_moe_layers", 0), c["n_ffn_matrices"]
    dense = g * D * c["d_ff"] * (c["n_layers"] - n_moe)
    embeddings = c["vocab_size"] * D * (1 if c["tied_embeddings"] else 2)
    fixed = attention + dense + embeddings
    if not n_moe:
        return fixed, fixed
    fixed += n_moe * (g * D * c["n_shared_experts"] * c["d_ff_shared"] + D * c["n_experts"])
    expert = n_moe * g * D * c["d_ff_expert"]
    return fixed + expert * c["n_experts"], fixed + expert * c["n_active_experts"]


def _weight_bits(config, id):
    """Stored bits a weight, scales and zero points included."""
    given = config.get("quantization_config") or {}
    if not given:
        dtype = str(config.get("dtype") or config.get("torch_dtype") or "")
        return 32.0 if dtype.endswith("float32") else 16.0
    method, algorithm = str(given.get("quant_method", "")).lower(), str(given.get("quant_algo", "")).upper()
    groups = list((given.get("config_groups") or {}).values())
    if method in QUANTIZED:
        return QUANTIZED[method]
    if algorithm in ("FP8", "NVFP4"):
        return dict(FP8=8.0, NVFP4=4.5)[algorithm]
    if method == "bitsandbytes":
        return 4.5 if given.get("load_in_4bit") else 8.0
    weights = given if "bits" in given else (groups[0].get("weights") or {}) if groups else {}
    bits, group = weights.get("bits", weights.get("num_bits")), weights.get("group_size")
    if bits is None:
        raise ValueError(f"unknown quant_method '{method}' of '{id}' in quantization_config of its config.json")
    zeros = bits if weights.get("zero_point") or weights.get("sym") is False else 0
    return bits + (16 + zeros) / group if group and group > 0 else float(bits)
