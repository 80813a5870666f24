"""Published measurements as scenarios: what a row of `data/measured` ran, and what it would be compared with.

Each row names a chip, a model, a layout, a load and one metric, in the words of its source. Here the words become
fields. What a source leaves out is filled by a rule of the source, and named in `assumed`; what cannot be known is left
unscored with the reason in `why_not`. The load decides the protocol:

    single   one request at a time                    loop     clients that wait for their answers
    steady   a running batch, kept full               static   a batch of prompts read, then answered together
    offline  everything queued, memory sets the batch server   open traffic within latency limits
    pools    prefill and decode on chips of their own; rows that do not name them get a split assumed (`_assumed_pools`)

Power and energy carry the boundary they were measured at: `system` on the AC side of whole servers (MLPerf), `chips` at
the accelerators alone (ML.ENERGY, and where nothing is said: then it is `assumed`). Totals are for all devices of the
row unless the unit is per chip. A power limit is read from the notes.
"""

import re

import numpy as np
import pandas as pd

from infertco import catalog

ENGINES = (  # first match wins: engine of data/efficiency.csv
    (r"tensorrt-llm-0\.|^trtllm-v0", "trtllm-early"), (r"trtllm|tensorrt|cuda|jetpack|pytorch", "trtllm"), (r"2023|splitwise", "vllm-2023"),
    (r"rocm", "rocm"), (r"vllm-tpu|jax|maxtext|jetstream", "jax"), (r"vllm", "vllm"), (r"sglang", "sglang"), (r"llama\.?cpp|ollama|lm ?studio", "llama.cpp"),
    (r"mlx", "mlx"), (r"neuron", "neuron"), (r"habana|gaudi|synapse", "gaudi"), (r"tt-metal|tt-nn|tenstorrent", "tt-metal"),
    (r"lmdeploy|turbomind", "lmdeploy"), (r"gpt-fast|exllama|mlc|autoawq|awq|torch\.compile", "compiled"), (r"deepseek-internal", "sglang"),
)  # fmt: skip
WEIGHT_ONLY = {"compiled", "llama.cpp", "mlx", "neuron", "lmdeploy", "tt-metal"}
QUANT = {"nvfp4": 4.0, "mxfp4": 4.0, "fp8": 8.0, "fp8_block": 8.0, "int8": 8.0}
LENGTHS = (  # source, model, input, output: where a source does not print them
    (r"mlperf", r"gpt-?j", 870, 276), (r"mlperf", r"llama-2-70b", 294, 294), (r"mlperf", r"mixtral", 360, 146), (r"mlperf", r"405b", 9400, 685),
    (r"mlperf", r"deepseek", 800, 3886), (r"mlperf", r"llama-3\.1-8b", 870, 73), (r"mlperf", r"", 500, 300), (r"ml-energy", r"", 200, 500),
    (r"gpt-fast", r"", 6, 200), (r"exllama", r"", 16, 128), (r"mlc", r"", 16, 256), (r"lmdeploy", r"", 230, 240), (r"", r"", 128, 128),
)  # fmt: skip
RATES = ("output_tokens_per_s_total", "total_tokens_per_s", "samples_per_s", "input_tokens_per_s_total")
POWER = {"watts": "power", "energy_j_per_output_token": "energy"}
METRICS = (*RATES, *POWER, "tpot_ms", "ttft_ms", "per_user_tokens_per_s", "prompt_tokens_per_s", "e2e_latency_ms")
TRAINING = {"mfu_pct": "training", "tflops_per_device": "training", "tokens_per_s_per_device": "training"}
SYSTEM = r"whole.system|system power|AC power|wall (?:power|plug|meter|side)|at the wall"
ALONE, PER_CHIP = r"(?:gpu|chip|accelerator)s? (?:power|energy|alone|only)", r"/ ?(?:gpu|chip|device)"
LIMIT = r"power (?:limit|cap) (?:of )?(\d+(?:\.\d+)?) ?W"
RACK = r"gb[23]00"
WIDEST = 8  # tensor parallelism of one engine in the sweeps; wider figures count a machine of two pools
MACHINES = (36.0, 40.0)  # chips of a group with two pools, in racks and elsewhere: medians of the rows that name them
PROMPT_WORK = 0.2  # chip time of a prompt token over that of an answer token where many clients share chips (named pools)
NUMBERS = (
    "n_devices", "weight_bits", "kv_bits", "tp", "pp", "ep", "batch_or_concurrency", "input_tokens", "output_tokens", "value", "attention_dp", "moe_tp",
    "prefill_workers", "decode_workers", "prefill_tp", "prefill_attention_dp", "decode_tp", "decode_attention_dp", "decode_ep", "decode_batch",
)  # fmt: skip
TEXTS = ("source_id", "hardware", "model", "engine", "scenario", "metric", "unit", "notes", "gemm_quant", "moe_quant", "row_id")


def read(rows: pd.DataFrame) -> pd.DataFrame:
    """Scenarios of measured rows, one a row: fields of the model, `protocol`, `task`, `copies`, `assumed`, `why_not`.

    Parameters
    ----------
    rows : DataFrame
        Columns of `data/measured/inference.csv`; `hardware`, `model` and `metric` are needed, the rest optional.

    Raises
    ------
    ValueError
        If a needed column is missing or a number is none.
    """
    for name in ("hardware", "model", "metric"):
        if name not in rows.columns:
            raise ValueError(f"the file has no column '{name}'; needed: hardware, model, metric")
    rows = complete(rows.reset_index(drop=True), NUMBERS, TEXTS)
    chip, model = (rows[column].map(lambda text, kind=kind: catalog.alias(kind, text)) for kind, column in (("chip", "hardware"), ("model", "model")))
    engine = rows["engine"].map(_engine).mask(rows["source_id"].str.startswith("ml-energy"), "vllm-served")
    apple = chip.map(lambda id: id.startswith("apple"))  # Metal kernels, whoever calls them
    out = pd.DataFrame(dict(chip=chip, model=model, engine=engine.mask(apple & (engine == "llama.cpp"), "mlx")), index=rows.index)
    moe = out["model"].map(lambda id: bool(catalog.table("model").columns["n_experts"][catalog.table("model").row[id]] > 0) if id else False)
    out["protocol"] = [_protocol(row) for row in rows.itertuples()]
    assumed = pd.Series("", index=rows.index)
    for name, place in (("input_tokens", 2), ("output_tokens", 3)):
        fill = [_length(row.source_id, row.model, place) for row in rows.itertuples()]
        blank = rows[name].isna() | ((name == "output_tokens") & rows["source_id"].str.contains("mlperf") & rows["model"].str.contains("gpt-?j"))
        out[name] = np.where(blank, fill, np.maximum(rows[name], 1.0))
        assumed = assumed.where(~blank, assumed + name + ";")
    at_depth = rows["engine"].str.contains("llama", case=False) & (rows["metric"] == "per_user_tokens_per_s") & (rows["input_tokens"] == 0)
    out["input_tokens"] = np.where(at_depth, 1.0, out["input_tokens"])
    mlperf = rows["source_id"].str.contains("mlperf") & rows["weight_bits"].isna()
    four = mlperf & rows["hardware"].str.contains("b200|b300", case=False) & ~rows["model"].str.contains("gpt-?j")
    out["weight_bits"] = rows["weight_bits"].mask(mlperf, 8.0).mask(four, 4.5)
    tenstorrent = rows["source_id"].str.contains("tenstorrent") & rows["weight_bits"].isna()  # block formats of 8 and 4 bits, mixed
    out["weight_bits"] = out["weight_bits"].mask(tenstorrent, 8.0)
    assumed = assumed.where(~(mlperf | tenstorrent), assumed + "weight_bits;")
    gemm = rows["moe_quant"].where(rows["moe_quant"] != "", rows["gemm_quant"]).map(QUANT)
    wide = out["engine"].isin(WEIGHT_ONLY) | (rows["weight_bits"] > 8)
    out["activation_bits"] = np.where(gemm.notna(), gemm, np.where(four, 4.0, np.where(wide, 16.0, np.nan)))
    out["kv_bits"] = rows["kv_bits"]
    out = pd.concat([out, _layouts(rows, out)], axis=1)
    out["load"] = rows["batch_or_concurrency"]
    out, unnamed = _pools(rows, out)
    assumed = assumed.where(~unnamed, assumed + "pools;")
    out["task"] = [_task(*row) for row in zip(rows["metric"], out["protocol"], moe, unnamed, strict=True)]
    measured_w = rows["metric"].isin(POWER)
    system = rows["source_id"].str.contains("mlperf") | rows["notes"].str.contains(SYSTEM, case=False)
    stated = system | rows["source_id"].str.contains("ml-energy") | rows["notes"].str.contains(ALONE, case=False)
    assumed = assumed.where(~measured_w | stated, assumed + "boundary;")
    out["boundary"] = np.where(measured_w, np.where(system, "system", "chips"), "")
    out["power_limit_w"] = pd.to_numeric(rows["notes"].str.extract(LIMIT, flags=re.I)[0])
    out["powered"] = rows["n_devices"].where(~rows["unit"].str.contains(PER_CHIP, case=False), 1.0)
    out["assumed"] = assumed.str.rstrip(";")
    out["why_not"] = [_why_not(row, c, m, lay) for row, c, m, lay in zip(rows.itertuples(), rows["metric"], out.itertuples(), out["layout"], strict=True)]
    out[["metric", "value", "n_devices", "source_id"]] = rows[["metric", "value", "n_devices", "source_id"]]
    return out


def complete(rows, numbers, texts) -> pd.DataFrame:
    """The columns named, of `rows`: numbers as floats (absent: NaN), texts as text (absent: '').

    Raises
    ------
    ValueError
        If what should be a number is none, by line of the file.
    """
    made = {}
    for name in numbers:
        column = rows[name] if name in rows else pd.Series(np.nan, index=rows.index)
        number = pd.to_numeric(column, errors="coerce")
        bad = number.isna() & column.notna() & (column.astype(str).str.strip() != "")
        if bad.any():
            raise ValueError(f"row {bad.idxmax() + 2}: {name} must be a number, got '{column[bad.idxmax()]}'")
        made[name] = number.astype(float)
    return pd.DataFrame(made | {name: rows[name].fillna("").astype(str) if name in rows else "" for name in texts}, index=rows.index)


def _engine(text):
    return next((engine for pattern, engine in ENGINES if re.search(pattern, text, re.I)), "")


def _length(source, model, place):
    return next(rule[place] for rule in LENGTHS if re.search(rule[0], source) and re.search(rule[1], model))


def _protocol(row) -> str:
    scenario, source, load = row.scenario, row.source_id, row.batch_or_concurrency
    if "disagg" in scenario:
        return "pools"
    if scenario == "single-stream" or (load == 1 and scenario != "server" and "aic" not in source):
        return "single"
    if source.startswith("ml-energy"):
        return "steady"
    if source.startswith("tenstorrent") and row.metric == "ttft_ms":
        return "single"  # one user's prompt, whatever the batch
    if source.startswith(("splitwise", "tenstorrent")):
        return "step"
    if scenario == "server":
        return "server"
    if scenario == "offline":
        return "static" if load == load and not source.startswith(("mlperf", "rocm", "lmdeploy")) else "offline"
    static = row.metric == "e2e_latency_ms" or source.startswith(("lmdeploy", "intel-gaudi", "aws-neuron"))
    return "static" if static else "loop"


def _task(metric, protocol, moe, unnamed) -> str:
    if metric in TRAINING | POWER:
        return (TRAINING | POWER)[metric]
    if protocol == "pools" and (unnamed or metric == "ttft_ms"):
        return ("TTFT" if metric == "ttft_ms" else "decode") + (", pools assumed" if unnamed else ", pools")
    if metric == "ttft_ms":
        return "TTFT" if protocol in ("loop", "server") else "prefill"
    if metric in ("prompt_tokens_per_s", "input_tokens_per_s_total"):
        return "prefill"
    if protocol == "single":
        return "single stream"
    if metric == "tpot_ms":
        return "decode MoE" if moe else "decode dense"
    return "maximum throughput" if protocol in ("offline", "server") else "throughput, batch known"


def _layouts(rows, out):
    """Tensor, data, expert and pipeline parallelism: products undone, cores counted as chips, blanks filled."""
    tp, ep, dp, moe_tp = (rows[name] for name in ("tp", "ep", "attention_dp", "moe_tp"))
    pp, devices = rows["pp"].fillna(1.0), rows["n_devices"].where(rows["n_devices"] > 0)
    ep, dp = ep.fillna(1.0), dp.fillna(1.0).clip(lower=1)
    square = (ep == moe_tp) & (ep > 1)  # printed as products: 64 with 8 and 8 is a server of 8
    tp = tp.mask(square & (tp == ep * moe_tp), ep)
    dp = dp.mask(square & (dp == ep * moe_tp), ep)
    squared = (ep == tp * tp) & (tp > 1)
    ep, dp = ep.mask(squared, tp), dp.mask(squared, 1.0)
    wide = rows["attention_dp"].isna() & (ep > tp) & (ep == devices) & (ep % tp == 0)  # experts over all devices: attention is data-parallel
    dp = dp.mask(wide, ep / tp)
    pools = out["protocol"] == "pools"
    tp = tp.mask(pools & rows["decode_tp"].notna(), rows["decode_tp"])
    dp = dp.mask(pools, rows["decode_attention_dp"].fillna(1.0))
    ep = ep.mask(pools, rows["decode_ep"].fillna(1.0))
    squeezed = pools & (rows["decode_ep"] == rows["decode_attention_dp"]) & (tp == 1)
    ep = ep.mask(pools & ~squeezed & (ep > tp * dp), tp * dp)
    cores = out["engine"].isin(["neuron"]) | rows["hardware"].str.contains("tpu.*v7|ironwood|tpu7x|n300", case=False)
    tp = tp.mask(cores & devices.notna(), np.minimum(tp, devices))
    stages = out["engine"].isin(["llama.cpp", "mlx"]) & (devices > 1)
    pp, tp = pp.mask(stages, devices), tp.mask(stages, 1.0)
    ep = np.minimum(ep, (tp * dp).fillna(np.inf))
    blank = tp.isna()
    searched = blank & out["protocol"].isin(["offline", "server"])
    tp = tp.mask(blank & ~searched, devices.fillna(1.0) / (pp * dp)).clip(lower=1)
    return pd.DataFrame(
        dict(tensor_parallel=tp, pipeline_parallel=pp, attention_data_parallel=dp, expert_parallel=ep.where(ep > 1), layout=np.where(searched, "searched", "")),
        index=rows.index,
    )


def _pools(rows, out):
    """Fields of the two pools, as printed or assumed; and the rows whose pools are assumed."""
    named = (out["protocol"] == "pools") & (rows["decode_workers"] > 0)
    machine = (out["protocol"] == "loop") & rows["hardware"].str.contains(RACK, case=False) & (out["tensor_parallel"] > WIDEST)
    unnamed = (out["protocol"] == "pools") & ~named | machine
    printed = dict(prefill_tensor_parallel="prefill_tp", prefill_attention_data_parallel="prefill_attention_dp")
    printed |= {name: name for name in ("prefill_workers", "decode_workers")}
    fields = {field: rows[column].where(named) for field, column in printed.items()}
    out = out.assign(protocol=out["protocol"].mask(machine, "pools"), **fields)
    groups = rows["decode_batch"] * rows["decode_workers"] * rows["decode_attention_dp"].clip(lower=1)
    out["load"] = out["load"].fillna(groups.where(named))
    if unnamed.any():
        guess = _assumed_pools(rows[unnamed], out[unnamed])
        out.loc[unnamed, list(guess.columns)] = guess
    return out, unnamed


def _assumed_pools(rows, out):
    """A split for rows that name none. The printed width counts the whole machine where no engine goes that wide, else one worker.

    A worker of a rack is a tray of 4 chips for prefill and two for decode, elsewhere one server of 8; machines are as large
    as the median of those that name their pools. Many clients a chip are served with attention data-parallel over the
    pool, few with tensor parallelism in each decode worker.
    """
    rack = (rows["tp"] > WIDEST) | rows["hardware"].str.contains(RACK, case=False)
    chips = rows["tp"].where(rows["tp"] > WIDEST, np.where(rack, *MACHINES))
    reader, many = np.where(rack, 4.0, 8.0), rows["batch_or_concurrency"] > 8 * chips
    work = PROMPT_WORK * out["input_tokens"] / out["output_tokens"]
    readers = np.maximum(np.where(many, np.round(chips * work / (1 + work) / reader), 1.0), 1.0)
    left = np.maximum(chips - readers * reader, 4.0)
    tp = np.where(many, 1.0, np.minimum(8.0, left))
    return pd.DataFrame(dict(
        prefill_tensor_parallel=np.where(many, 1.0, reader), prefill_attention_data_parallel=np.where(many, reader, 1.0), prefill_workers=readers,
        tensor_parallel=tp, attention_data_parallel=np.where(many, left, 1.0), expert_parallel=np.nan, pipeline_parallel=1.0,
        decode_workers=np.maximum(np.where(many, 1.0, left // tp), 1.0),
    ), index=rows.index)  # fmt: skip


def _why_not(row, metric, out, layout) -> str:
    if metric in TRAINING:
        return "a training figure"  # `training_rows` reads those
    if metric not in METRICS:
        return f"no prediction of {metric}"
    if not out.chip:
        return f"unknown chip '{row.hardware}'"
    if not out.model:
        return f"unknown model '{row.model}'"
    if not out.engine and row.engine:
        return f"unknown engine '{row.engine}'"
    if out.protocol == "server" and metric in ("ttft_ms", "tpot_ms", "per_user_tokens_per_s"):
        return "open traffic at a rate that is not published"
    if metric in (*RATES, *POWER) and not row.n_devices > 0:
        return "number of devices is not published"
    if out.protocol in ("loop", "steady", "static", "step", "pools") and not out.load > 0:
        return "batch or clients are not published"
    return ""
