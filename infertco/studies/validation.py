"""Predicted against measured: every row of a file of measurements, and the error by task, maker and engine.

    error of a row = predicted / measured - 1

Medians of its absolute value decide; bias is the median of the signed error. Rows that share a source share errors, so
anything judged by leaving rows out leaves out whole sources, chips or models.
"""

import numpy as np
import pandas as pd

from infertco import catalog, values
from infertco.scenario import evaluate, scenario
from infertco.studies import measured, training_rows

WANTED = ["ttft_s", "tpot_s", "output_tokens_per_s", "prefill_s", "prefill_batch_s", "decode_step_s", "most_sequences", "reason"]
WATTS = ["active_w_per_chip", "server_w_per_chip"]  # asked only where power was measured
SERVER_LIMITS = dict(ttft_slo_s=2.0, tpot_slo_s=0.2)  # MLPerf's server class of the 70 B models


def scenarios(rows: pd.DataFrame) -> pd.DataFrame:
    """`measured.read` completed with loads: the frame that `evaluate` predicts, one or more rows a measured row."""
    table = measured.read(rows)
    table["row"] = np.arange(len(table))
    wide = table[table["layout"] == "searched"]
    tried = [wide.assign(tensor_parallel=float(tp)) for tp in (1, 2, 4, 8)]
    tried = [part[~(part["tensor_parallel"] > part["n_devices"])] for part in tried]  # an unknown number drops nothing
    table = pd.concat([table[table["layout"] != "searched"], *tried], ignore_index=True)
    known = table["why_not"] == ""
    table["n_heads"], table["n_kv_heads"] = np.nan, np.nan
    if known.any():
        table.loc[known, ["n_heads", "n_kv_heads"]] = _padded_heads(table[known])
    protocol, load = table["protocol"], table["load"]
    table["clients"] = load.where(protocol.isin(["loop", "pools"]))
    table["batch"] = load.where(protocol.isin(["steady", "static", "step"])).mask(protocol == "single", 1.0)
    table["max_batch"] = np.where(protocol.isin(["offline", "server"]), load.fillna(2048.0), 1e6)
    roomy = ~protocol.isin(["offline", "server", "loop"])
    table["memory_reserve"], table["workspace_bytes"] = np.where(roomy, 0.0, np.nan), np.where(roomy, 0.0, np.nan)
    early = protocol.isin(["offline", "server"]) & table["engine"].str.startswith("trtllm")
    table["memory_reserve"] = table["memory_reserve"].mask(early, 0.05)  # TensorRT-LLM takes 0.95 of what is free
    # The fp16 peak counts for engines that accumulate in 16 bit: twice the bf16 one on GeForce cards.
    table["peak_flop_per_s_bf16"] = of_chip(table, "peak_flop_per_s_fp16").where(table["engine"].isin(["llama.cpp", "mlx", "compiled"]))
    undomained = (table["tensor_parallel"] > 1) & of_chip(table, "scale_up_domain").isna()
    table["scale_up_domain"] = table["tensor_parallel"].where(undomained)
    server = protocol == "server"
    for name, limit in SERVER_LIMITS.items():
        table[name] = np.where(server, limit, np.nan)
    table["max_context_tokens"] = 1e8
    return table


def of_chip(table, column):
    """Values of a column of the chips' facts, one per row of the table."""
    facts = catalog.table("chip")
    return table["chip"].map(dict(zip(facts.ids, facts.columns[column], strict=True)))


def _padded_heads(table):
    """Heads rounded up to what the tensor parallelism divides, as engines pad them; NaN where they fit."""
    facts = catalog.table("model")
    at = table["model"].map(facts.row).to_numpy()
    heads, kv, tp = facts.columns["n_heads"][at], facts.columns["n_kv_heads"][at], table["tensor_parallel"].to_numpy()
    many, few = np.maximum(kv, tp), np.minimum(kv, tp)
    padded = np.where(heads % tp == 0, np.nan, np.ceil(heads / tp) * tp)
    return np.c_[padded, np.where(many % few == 0, np.nan, np.where(tp > kv, tp, np.ceil(kv / tp) * tp))]


def predict(table: pd.DataFrame, base=None) -> pd.DataFrame:
    """Predicted value of each row of `scenarios`, in the metric's own unit; NaN with `why_not` where it cannot be."""
    known = table["why_not"] == ""
    if not known.any():
        return table.assign(predicted=np.nan).drop_duplicates("row").sort_values("row").set_index("row")
    asked = table.loc[known, [name for name in table.columns if name in values.FIELDS]]
    base = base or scenario(workload="batch")
    offline = known & (table["protocol"] == "offline")
    if offline.any():  # nothing is evicted: the batch that memory holds at full length
        queued = asked[offline[known]]
        full = queued["input_tokens"] + queued["output_tokens"]
        room = evaluate(queued.assign(batch=1.0), ["most_sequences"], base=base)["most_sequences"] * (full - queued["output_tokens"] / 2) / full
        asked.loc[queued.index, "batch"] = np.maximum(np.floor(np.minimum(room, queued["max_batch"])), 1.0)
    watts = WATTS if table["metric"].isin(measured.POWER).any() else []
    found = evaluate(asked, WANTED + watts, base=base)
    table = table.assign(predicted=np.nan, rate=np.nan)
    table.loc[known, ["predicted", "rate"]] = np.c_[_metric(table[known], asked, found)]
    unserved = known & table["predicted"].isna()
    table.loc[unserved, "why_not"] = found["reason"].astype(str)[unserved[known].to_numpy()].str.split(";").str[0].to_numpy()
    best = table.sort_values("rate", ascending=False, kind="stable").drop_duplicates("row")  # searched layouts: the fastest
    return best.sort_values("row").set_index("row")


def _metric(table, asked, found):
    """(the metric, output tokens/s of all devices) of every row."""
    replicas = np.maximum(table["n_devices"] / (table["tensor_parallel"] * table["attention_data_parallel"] * table["pipeline_parallel"]), 1.0)
    replicas = replicas.fillna(1.0).where(~table["protocol"].isin(["loop", "pools"]), 1.0)
    batch, output = found["batch"], asked["output_tokens"]
    together = table["protocol"].isin(["static"])
    e2e_s = np.where(together, found["prefill_batch_s"] + output * found["decode_step_s"], found["ttft_s"] + (output - 1) * found["tpot_s"])
    rate = np.where(together, batch * output / e2e_s, np.where(table["protocol"] == "steady", batch / found["tpot_s"], found["output_tokens_per_s"])) * replicas
    step = table["protocol"].isin(["static", "step"])
    tpot_s = np.where(step, found["decode_step_s"], found["tpot_s"])
    read = np.where(table["protocol"] == "single", found["prefill_s"], found["ttft_s"])
    first_s = np.where(table["protocol"].isin(["static", "step"]), found["prefill_batch_s"], read)
    watts = np.nan
    if "active_w_per_chip" in found:
        watts = table["powered"] * np.where(table["boundary"] == "system", found["server_w_per_chip"], found["active_w_per_chip"])
    options = dict(
        watts=watts, energy_j_per_output_token=watts / rate * table["n_devices"] / table["powered"],
        output_tokens_per_s_total=rate, total_tokens_per_s=rate * (1 + asked["input_tokens"] / output), samples_per_s=rate / output,
        input_tokens_per_s_total=asked["input_tokens"] / found["prefill_s"] * replicas, tpot_ms=tpot_s * 1e3, ttft_ms=first_s * 1e3,
        per_user_tokens_per_s=1 / tpot_s, prompt_tokens_per_s=batch * asked["input_tokens"] / found["prefill_batch_s"], e2e_latency_ms=e2e_s * 1e3,
    )  # fmt: skip
    return np.select([table["metric"] == name for name in options], list(options.values()), np.nan), rate


def validate(rows: pd.DataFrame) -> pd.DataFrame:
    """Measured rows in their order, with `predicted`, its 80 % interval, `scored`, `why_not`, `assumed`, `task` and `maker`.

    The interval of a task is that of the rows left out of fits (`data/accuracy.csv`): what a source, a chip or a model
    nobody fitted is off by.
    """
    found = training_rows.laid_over(predict(scenarios(rows)), rows)
    table = rows.reset_index(drop=True).copy()
    if not found.index.equals(table.index):
        raise ValueError("the predictions are not of the rows measured, in their order")
    spread = accuracy().query("left_out == 'any'").set_index("task")
    table["predicted"] = found["predicted"]
    for end, column in (("predicted_low", "low"), ("predicted_high", "high")):
        table[end] = found["predicted"] * found["task"].map(spread[column]).fillna(0.5 if column == "low" else 2.0)
    table["scored"] = table["predicted"].notna()
    table["why_not"], table["assumed"], table["task"] = found["why_not"], found["assumed"], found["task"]
    table["maker"], table["serving_engine"] = of_chip(found, "vendor").fillna(""), found["engine"]
    return table


def accuracy() -> pd.DataFrame:
    """Errors by task: in the fit, with a source, a chip or a model family left out, and all left-out rows together (`any`)."""
    return pd.read_csv(catalog.data_dir() / "accuracy.csv")


def errors(table: pd.DataFrame, by: str = "task") -> pd.DataFrame:
    """Count, median, mean, bias and 90th percentile of the error in per cent, by a column."""
    table = table if "value" in table else table.assign(value=np.nan)  # answers withheld: nothing to compare
    scored = table[table["predicted"].notna() & (table["value"] > 0)]
    inside = scored["value"].between(scored["predicted_low"], scored["predicted_high"]) if "predicted_low" in scored else np.nan
    signed = scored["predicted"] / scored["value"] - 1
    groups = pd.DataFrame(dict(group=scored[by], signed=signed, size=signed.abs(), inside=inside)).groupby("group")
    out = pd.DataFrame(dict(
        rows=table.groupby(by).size(), scored=groups.size(), median=100 * groups["size"].median(), mean=100 * groups["size"].mean(),
        bias=100 * groups["signed"].median(), p90=100 * groups["size"].quantile(0.9), coverage=100 * groups["inside"].mean(),
    ))  # fmt: skip
    return out.rename_axis(by).reset_index()
