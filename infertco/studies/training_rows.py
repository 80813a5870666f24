"""Published training figures as plans: what a row of `data/measured/training.csv` ran, and the figure predicted for it.

The layout stands in the words of each source: TP8, PP35, FSDP128, `microbatch 3`, `full recompute`. What a source
leaves out is filled by a rule, named in `assumed`; what cannot be known stays unscored with its reason in `why_not`.
"""

import re

import numpy as np
import pandas as pd

from infertco import catalog
from infertco.columns import from_frame
from infertco.kernel import training, transformer
from infertco.scenario import scenario
from infertco.studies import measured
from infertco.studies import training as study

METRICS = ("mfu_pct", "tflops_per_device", "tokens_per_s_per_device")
NUMBERS = ("n_devices", "params_b", "seq_len", "global_batch", "value")
TEXTS = ("source_id", "hardware", "model", "precision", "metric", "parallelism", "notes")
PRECISIONS = ((r"fp8/fp4", "fp8"), (r"int8", "int8"), (r"fp4|nvfp4|mxfp4", "fp4"), (r"fp8|float8|mxfp8", "fp8"), (r"bf16|fp16|bfloat16|half|^$", "bf16"))
ON_TPU = {"tpu-v5p": "int8"}  # "bf16/int8": 0.79 of the bf16 peak can only be int8; the others look like bf16
STACKS = ((r"mosaic|llm-foundry|mpt", "triton"), (r"mlperf|megatron|nemo|korthikanti|narayanan", "megatron"))
COUNTED = (  # source: parameters its model FLOP count, squares of attention (1: the causal half). MaxText: its train.py
    (r"mosaic", "printed", 2.0), (r"maxtext", "all", 1.0), (r"", "multiplied", 2.0),
)  # fmt: skip
RECOMPUTED = (  # words of the layout with the source: share of the forward pass run again
    (r"full (recompute|AC)|act-ckpt True|PP8.* torchtitan", 1.0), (r"selective AC|torchtitan", 0.5),  # its selective: every second product
)  # fmt: skip
SHARDINGS = ((r"SHARD_GRAD_OP|zero[- ]?2", "gradients"), (r"zero[- ]?1|distributed optimizer", "optimizer"), (r"fsdp|zero|shard", "weights"))
MEMORY_SHARE, BYTES_PER_PARAM = 0.6, dict(full=5.0, lora=2.2)  # of stages that audited runs leave unsaid
PIECES = ((r"korthikanti.*(175b|530b)", 3.0), (r"korthikanti", 1.0))  # of a pipeline stage, as the paper says


def is_training(rows: pd.DataFrame) -> pd.Series:
    """Rows whose metric is one of training."""
    return rows["metric"].astype(str).isin(METRICS)


def read(rows: pd.DataFrame) -> pd.DataFrame:
    """Plans of measured rows, one a row: fields of `TrainingPlan`, chip and model, `assumed`, `why_not`.

    Parameters
    ----------
    rows : DataFrame
        Columns of `data/measured/training.csv`; `hardware`, `model` and `metric` are needed, the rest optional.

    Raises
    ------
    ValueError
        If a number is none.
    """
    rows = measured.complete(rows, NUMBERS, TEXTS)
    made = [_plan(row) for row in rows.itertuples()]
    table = pd.DataFrame(made, index=rows.index)
    table[["metric", "value", "source_id", "params_b"]] = rows[["metric", "value", "source_id", "params_b"]]
    return table


def _plan(row) -> dict:
    chip, model = catalog.alias("chip", row.hardware), catalog.alias("model", row.model)
    lora = re.search(r"lora", row.model + row.notes, re.I) is not None
    if not model and lora:
        model = catalog.alias("model", re.sub(r"[-_ ]?lora", "", row.model, flags=re.I))
    words, said, assumed = row.parallelism, f"{row.parallelism} {row.source_id}", []
    out = dict(chip=chip, model=model, assumed="", why_not=_why_not(row, chip, model))
    if out["why_not"]:
        return out
    facts, shape = catalog.table("chip"), catalog.table("model")
    of_chip = {name: facts.columns[name][facts.row[chip]] for name in ("kind", "hbm_bytes", "scale_up_domain", "tdp_w", "efficiency_class")}
    of_model = {name: shape.columns[name][shape.row[model]] for name in ("total_params", "max_context_tokens")}
    tpu, n = of_chip["kind"] == "tpu", row.n_devices

    def given(pattern, default, name):
        found = re.search(pattern, words, re.I)
        if not found and name:
            assumed.append(name)
        return float(found[1]) if found else default

    out["training_method"] = "lora" if lora else "full"
    out["training_precision"] = _precision(row.precision, chip, facts)
    sequence = row.seq_len if row.seq_len > 0 else min(2048.0 if tpu else 4096.0, of_model["max_context_tokens"])
    tokens = row.global_batch * sequence if row.global_batch > 0 else study.TOKENS_PER_CHIP * n
    assumed += [name for name, x in (("seq_len", row.seq_len), ("global_batch", row.global_batch)) if not x > 0]
    batch = max(tokens / sequence, 1.0)

    sharded = re.search(r"fsdp|zero|shard|dp ?only", words, re.I) is not None
    laid_out = re.search(r"\b(?:TP|PP|FSDP|DP)\s*=?\s*\d", words) is not None
    audited = re.search(r"mlperf|megatron|nemo", row.source_id + row.notes, re.I) is not None
    unsaid = audited and not sharded and not tpu and not laid_out
    tp = pp = 1.0
    if laid_out:
        tp, pp = given(r"\bTP\s*=?\s*(\d+)", 1.0, ""), given(r"\bPP\s*=?\s*(\d+)", 1.0, "")
    elif unsaid:
        tp = 8.0 if of_model["total_params"] > 300e9 else 4.0
        need = BYTES_PER_PARAM[out["training_method"]] * of_model["total_params"] / (MEMORY_SHARE * of_chip["hbm_bytes"])
        pp = 2.0 ** np.ceil(np.log2(max(need / tp, 1)))
        assumed.append("parallelism")
    elif not sharded and not tpu:
        assumed.append("parallelism")
    usual = "weights" if tpu or not (laid_out or audited) else "optimizer"
    tp = min(tp, n)
    pp = min(pp, max(n / tp, 1))
    cp = given(r"\bCP\s*=?\s*(\d+)", 1.0, "")
    if n / (tp * pp * cp) > batch:  # fewer sequences than replicas: a sequence lies on several
        cp = n / (tp * pp * batch)
        assumed.append("context_parallel")
    own = batch / max(n / (tp * pp * cp), 1e-9)
    per_microbatch = given(r"micro-?batch(?:\s*size)?\s*=?\s*(\d+)", 1.0 if pp > 1 or unsaid else own, "microbatch" if pp > 1 or unsaid else "")
    microbatch = min(per_microbatch, max(own, 1e-9))
    pieces = _pieces(row, pp)
    assumed += ["virtual_stages"] if np.isnan(pieces) else []
    out |= dict(
        n_chips=n, sequence_tokens=sequence, global_batch_sequences=batch, microbatch_sequences=microbatch,
        train_tensor_parallel=tp, train_pipeline_parallel=pp, context_parallel=cp, train_expert_parallel=given(r"\bEP\s*=?\s*(\d+)", 1.0, ""),
        sharding=next((name for pattern, name in SHARDINGS if re.search(pattern, words, re.I)), usual),
        virtual_stages=pieces, recompute_share=next((share for pattern, share in RECOMPUTED if re.search(pattern, said, re.I)), 0.0),
        tensor_overlap=float(not re.search(r"korthikanti|torchtitan", row.source_id) or "AsyncTP" in words),
        training_stack=_stack(row, of_chip), power_cap_share=_cap(row, chip, of_chip), software_factor=1.0,
    )  # fmt: skip
    return out | dict(assumed=";".join(assumed))


def _why_not(row, chip, model) -> str:
    if not chip:
        return f"unknown chip '{row.hardware}'"
    if not model:
        return f"unknown model '{row.model}'"
    if not row.n_devices > 0:
        return "number of devices is not published"
    return "" if _precision(row.precision, chip, catalog.table("chip")) else f"unknown precision '{row.precision}'"


def _precision(words, chip, facts):
    """Format of the products; a mix is the narrowest the chip is known to train in."""
    found = next((precision for pattern, precision in PRECISIONS if re.search(pattern, words, re.I)), "")
    if "/" in words and found == "int8":
        return ON_TPU.get(chip, "bf16")
    column = facts.columns.get(f"peak_flop_per_s_{found}")
    lacks = column is not None and np.isnan(column[facts.row[chip]]) and found != "bf16"
    return "bf16" if lacks and "/" in words else found


def _pieces(row, pp):
    """Virtual stages of a pipeline stage; NaN, which is as many as keep the bubble small, unless the source says."""
    told = next((pieces for pattern, pieces in PIECES if re.search(pattern, f"{row.source_id} {row.model}", re.I)), np.nan)
    plain = pp == 1 or ("1f1b" in row.parallelism.lower() and "interleaved" not in row.parallelism.lower())
    return 1.0 if plain else told


def _stack(row, of_chip):
    stack = next((name for pattern, name in STACKS if re.search(pattern, row.source_id + row.notes, re.I)), "usual")
    if of_chip["kind"] == "tpu":
        return "usual"
    return "usual" if stack == "triton" and of_chip["efficiency_class"] != "hopper" else stack  # its kernels were made on Ampere


def _cap(row, chip, of_chip):
    """Power limit over the power of the siblings with the same peaks; the catalog's TDP of such a chip is its limit."""
    return of_chip["tdp_w"] / 700.0 if chip == "h100-96gb-hbm2e" else 1.0


def predict(table: pd.DataFrame) -> np.ndarray:
    """Predicted value of each row of `read`, in the metric's own unit; NaN where `why_not` says so.

    Whether it fits in memory is not asked: it ran.
    """
    known = (table["why_not"] == "").to_numpy()
    predicted = np.full(len(table), np.nan)
    if known.any():
        predicted[known] = Rows(table[known]).predicted()
    return predicted


class Rows:
    """Columns of the known rows of `read`, made once: a fit asks for their values many times."""

    def __init__(self, table):
        self.table = table
        self.c, _ = from_frame(table[["chip", "model"]], scenario())
        given = {name: table[name].to_numpy() if name in table else np.full(len(table), f.default) for name, f in study.PLAN.items()}
        self.p = study.fill(self.c, study.coded(given))
        self.work = training.work(self.c, self.p.sequence_tokens)
        self.stacks = given["training_stack"]
        kinds = self.c.tables["chip"].columns["kind"][self.c.code("chip")]
        precision = np.where(kinds == "tpu", 0, self.p.precision)  # over the bf16 peak, even where int8 is used
        self.peak = training.peak_flop_per_s(self.c, precision)
        self.counted = self._counted()
        self.metric = table["metric"].to_numpy()

    def _counted(self):
        """FLOP of a token as each row's source counts them."""
        rule = [next(rule for rule in COUNTED if re.search(rule[0], source)) for source in self.table["source_id"]]
        params, squares = np.array([name for _, name, _ in rule]), np.array([x for _, _, x in rule])
        multiplied = (self.work.layers + self.work.experts + self.work.head) / 2
        every, printed = transformer.params(self.c, transformer.shape(self.c)), 1e9 * self.table["params_b"].to_numpy()
        counted = np.where(params == "all", every, np.where((params == "printed") & (printed > 0), printed, multiplied))
        return 2 * (3 - self.p.lora) * counted + 3 * squares * self.work.attention

    def parts(self, known=None) -> training.Step:
        """Device-seconds of a token; `known` takes the place of the facts, for a fit."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return training.step(self.c, self.c, self.p, study.rates_of(self.c, self.stacks, known), self.work)

    def predicted(self, known=None) -> np.ndarray:
        """Predicted value of each row in its own metric."""
        per_token_s = sum(self.parts(known))
        flop_per_s = self.counted / per_token_s
        options = dict(mfu_pct=100 * flop_per_s / self.peak, tflops_per_device=flop_per_s / 1e12, tokens_per_s_per_device=1 / per_token_s)
        return np.select([self.metric == name for name in options], list(options.values()), np.nan)


def laid_over(found: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """`found` of a validation with the training rows among `rows` predicted in their place."""
    mine = is_training(rows.reset_index(drop=True))
    if not mine.any():
        return found
    table = read(rows.reset_index(drop=True)[mine])
    table["predicted"] = predict(table)
    lost = table["predicted"].isna() & (table["why_not"] == "")
    table.loc[lost, "why_not"] = "the chip lacks a figure for the precision or the links of the layout"
    found = found.copy()
    for name in ("predicted", "why_not", "assumed", "chip", "model"):
        found.loc[table.index, name] = table[name]
    return found.assign(task=found["task"].mask(mine, "training"))
