"""What a training run takes: step time, utilization, memory, failures, days, energy and dollars.

A run is a `Scenario` (chip, model, site, finance) and a `TrainingPlan` (how many chips, which layout, how often it
fails). `train` puts them together: one row a run, infeasible ones with NaN and a `reason`. Choices left open (NaN) are
those of the fastest layout that fits. The rates behind it are the items training/... of data/efficiency.csv: those of a
chip's class, else of its kind, else of GPUs.
"""

from dataclasses import dataclass, fields
from itertools import product
from types import SimpleNamespace

import numpy as np

from infertco import catalog, values
from infertco.checking import check_numbers
from infertco.columns import Columns, from_frame
from infertco.kernel import cost, layout, power, training
from infertco.reasons import lacking, texts
from infertco.scenario import Scenario, scenario
from infertco.stages import Z80
from infertco.values import NAN, ONE, Number, quantity, text

TOKENS_PER_CHIP = 8192  # of a step, where no batch is given
BUBBLE = 1 / 8  # a pipeline is interleaved until its bubble is no more, as far as it has layers
OPEN = dict(  # tried where a plan leaves them open; a batch as large as the replica's is tried as microbatch too
    train_tensor_parallel=(1, 2, 4, 8), train_pipeline_parallel=(1, 2, 4, 8, 16, 32), train_expert_parallel=(1, 8, 64),
    recompute_share=(0, 1), microbatch_sequences=(1, 4, np.inf),
)  # fmt: skip
STACKS = ("usual", "triton", "megatron")


@dataclass(frozen=True, kw_only=True, eq=False)
class TrainingPlan:
    """How a model is trained: chips, layout, precision, failures. NaN in a field of OPEN: the fastest that fits."""

    training_precision: str = text("Training precision", "Format of the matrix products", choices=training.PRECISIONS, default="bf16")
    sharding: str = text("Sharding", "What data-parallel copies share out: all (FSDP), all but weights, Adam's state, nothing", training.SHARDINGS, "weights")
    training_method: str = text("Method", "Train every weight, or low-rank adapters beside frozen ones", choices=training.METHODS, default="full")
    training_stack: str = text("Training stack", "Attention kernels of the software: usual, Triton with ALiBi, Megatron", choices=STACKS, default="usual")
    n_chips: Number = quantity("Training chips", "1", "Chips of the job", (1, 1e8), default=512.0)
    sequence_tokens: Number = quantity("Sequence", "token", "Tokens of one training sequence", (1, 1e8), default=4096.0)
    global_batch_sequences: Number = quantity("Global batch", "1", "Sequences of a step; NaN: 8,192 tokens a chip", (0, 1e9), above=True)
    microbatch_sequences: Number = quantity("Microbatch", "1", "Sequences a replica works on at once; NaN: the fastest", (0, 1e9), above=True)
    train_tensor_parallel: Number = quantity("Training tensor parallel", "1", "Chips that share each layer; NaN: the fastest", (1, 1e4))
    train_pipeline_parallel: Number = quantity("Training pipeline", "1", "Pipeline stages; NaN: the fastest", (1, 1e4))
    train_expert_parallel: Number = quantity("Training expert parallel", "1", "Ways the experts are spread; NaN: the fastest", (1, 1e5))
    context_parallel: Number = quantity("Context parallel", "1", "Chips that share a sequence", (1, 1e4), default=1.0)
    virtual_stages: Number = quantity("Virtual stages", "1", "Pieces a pipeline stage is interleaved in; NaN: as many as bring the bubble to 1/8", (1, 1000))
    recompute_share: Number = quantity("Recomputation", "1", "Share of the activations computed again; NaN: the fastest of 0 and 1", ONE)
    tensor_overlap: Number = quantity("Tensor-parallel overlap on", "1", "1: collectives overlap products as far as they can; 0: not", ONE, default=1.0)
    power_cap_share: Number = quantity("Power cap", "1", "Power limit over the power the peaks are rated at", ONE, default=1.0, above=True)
    software_factor: Number = quantity("Software factor", "1", "Speed of the software over the usual; stacks differ by 0.85 to 1.15", (0.1, 3), default=1.0)
    train_tokens: Number = quantity("Tokens to train", "token", "Tokens of the run; NaN: those the model was trained on", (0, 1e18), above=True)
    chips_per_node: Number = quantity("Chips a node", "1", "Chips that fail together", (1, 1e4), default=8.0)
    failures_per_1000_node_days: Number = quantity("Failures", "1", "Interruptions in 1,000 node-days; 3.79 with Llama 3", (0, 1e6), default=3.79)
    checkpoint_stall_s: Number = quantity("Checkpoint stall", "s", "Time training stands still for a checkpoint", (0, 1e6), default=30.0, above=True)
    checkpoint_interval_s: Number = quantity("Checkpoint interval", "s", "Training time between checkpoints; NaN: the best", (0, 1e9), above=True)
    restart_s: Number = quantity("Restart", "s", "Time from a failure to training again, lost work apart", (0, 1e7), default=300.0)


PLAN = {f.name: f for f in fields(TrainingPlan)}
CHOICES = tuple(name for name, f in PLAN.items() if f.metadata["unit"] == "text")
WHOLE = {"n_chips", "train_tensor_parallel", "train_pipeline_parallel", "train_expert_parallel", "context_parallel", "virtual_stages", "chips_per_node"}
CHOSEN = (*OPEN, "virtual_stages", "global_batch_sequences", "checkpoint_interval_s", "train_tokens")
PARTS = tuple(f"share_{name}" for name in training.Step._fields)
WITH_ENDS = ("step_time_s", "mfu_pct", "tflops_per_device", "tokens_per_s_per_device", "days", "chip_hours", "energy_j", "usd")
CAUSES = dict(
    precision="{chip} has no peak in {training_precision}",
    chips="n_chips is no multiple of the chips of a replica: tensor x pipeline x context parallel",
    heads="train_tensor_parallel does not divide the attention heads of {model}",
    experts="train_expert_parallel spreads the experts of {model} over more chips than there are experts, or copies",
    layers="more pipeline stages than {model} has layers",
    batch="the global batch has less than one sequence for each replica",
    link="{chip} has no figure for a link that the layout crosses",
    fit="{model} does not fit: weights, gradients, optimizer and activations need more memory than {chip} has",
)


def plan(**changes) -> TrainingPlan:
    """The default plan (512 chips, bf16, FSDP) with fields changed; numbers or 1-D arrays, one entry a run.

    Raises
    ------
    ValueError
        For an unknown field, an unknown choice or a number out of range.
    """
    return TrainingPlan(**{name: _given(name, x) for name, x in changes.items() if x is not None})


def _given(name, given):
    if name not in PLAN:
        raise ValueError(f"no field named '{name}' in a training plan{catalog.nearest(name, PLAN)}")
    if name in CHOICES:
        for word in dict.fromkeys([given] if isinstance(given, str) else given):
            if word not in PLAN[name].metadata["choices"]:
                raise ValueError(f"unknown {name} '{word}'{catalog.nearest(str(word), PLAN[name].metadata['choices'])}")
        return given if isinstance(given, str) else np.asarray(given, dtype=object)
    numbers = check_numbers(name, given, nan_is_none=name in CHOSEN, fields=PLAN, whole=WHOLE)
    return numbers if numbers.ndim else float(numbers)


def train(what=None, plan: TrainingPlan | None = None, base: Scenario | None = None):
    """Runs as a table: what was asked, what was chosen, and what comes out. One row a run.

    Parameters
    ----------
    what : Scenario or DataFrame
        Chip, model, site and finance; of a frame, columns are fields of the scenario or of the plan, one run a row.
    plan : TrainingPlan
        Numbers or arrays; what a frame does not name.
    base : Scenario
        The scenario behind a frame; `scenario()` if None.

    Returns
    -------
    DataFrame
        `step_time_s, mfu_pct, hfu_pct, tflops_per_device, tokens_per_s_per_device`, shares of the step and the largest
        (`bound`), `memory_bytes_per_chip`, `fits`, `extrapolated` (no such chip, precision or expert was fitted), `goodput`,
        `days`, `chip_hours`, `energy_j`, `usd`, `reason`; `_low` and `_high` are the 80 % interval of the model's error.
        MFU counts 6 N and causal attention.

    Raises
    ------
    ValueError
        For a name that does not exist or a value out of range. What cannot be trained is a row with a `reason`.
    """
    import pandas as pd

    c, given, index = _columns(what, plan or TrainingPlan(), base)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # NaN is "no figure"
        out = _run(c, given)
    codes = {key: np.broadcast_to(c.code(key), c.n) for key in ("chip", "model", "site")}
    table = {key: pd.Categorical.from_codes(codes[key], list(c.tables[key].ids)) for key in codes}
    return pd.DataFrame(table | {name: np.broadcast_to(x, c.n) for name, x in out.items()}, index=index)


def _columns(what, plan, base):
    """Fields of the scenario and of the plan, of many rows."""
    frame, index = None, None
    given = {name: _given(name, getattr(plan, name)) for name in PLAN}
    if what is None or isinstance(what, Scenario):
        base = what or scenario()
    else:
        base, index = base or scenario(), what.index
        mine = [name for name in what if name in PLAN]
        for name in mine:
            given[name] = _given(name, np.where(what[name].isna(), given[name], what[name].to_numpy()))
        frame = what.drop(columns=mine)
        for name in frame:
            if name not in values.FIELDS:
                raise ValueError(f"no field named '{name}'{catalog.nearest(str(name), (*PLAN, *values.FIELDS))}")
    sizes = {len(x) for x in (*given.values(), *base.named.values()) if isinstance(x, np.ndarray)} | ({len(frame)} if frame is not None else set())
    if len(sizes) > 1:
        raise ValueError(f"arrays must have one length, got {', '.join(map(str, sorted(sizes)))}")
    n = sizes.pop() if sizes else 1
    c = from_frame(frame, base)[0] if frame is not None else Columns(base, n, {}, {})
    return c, {name: np.broadcast_to(x, n) for name, x in given.items()}, index


def _run(c, given):
    p = coded(given)
    faults, p = complete(c, p)
    made = training.work(c, p.sequence_tokens)
    rates = rates_of(c, given["training_stack"])
    parts = training.step(c, c, p, rates, made)
    at_fault = np.any(list(faults.values()), axis=0)
    per_token_s = np.where(at_fault, NAN, sum(parts))
    flop = training.model_flop_per_token(made, p.lora)
    done = training.executed_flop_per_token(made, p.recompute_share, p.lora)
    peak = training.peak_flop_per_s(c, p.precision)
    out = {name: given[name] for name in PLAN} | {name: getattr(p, name) for name in (*OPEN, "virtual_stages")}
    out |= dict(
        global_batch_sequences=p.global_batch_sequences, step_time_s=p.global_batch_sequences * p.sequence_tokens * per_token_s / p.n_chips,
        mfu_pct=100 * flop / per_token_s / peak, hfu_pct=100 * done / per_token_s / peak, tflops_per_device=flop / per_token_s / 1e12,
        tokens_per_s_per_device=1 / per_token_s,
    )  # fmt: skip
    shares = np.array(np.broadcast_arrays(*parts)) / per_token_s
    out |= dict(zip(PARTS, shares, strict=True))
    bound = np.array([*training.Step._fields, ""], dtype=object)[np.where(np.isnan(per_token_s), -1, np.argmax(np.nan_to_num(shares), axis=0))]
    needed, usable = training.memory_bytes(c, p), layout.usable_bytes(c, c)
    strange = (rates.training_calibrated < 1) | (c.n_experts > 0) | (p.precision == training.PRECISIONS.index("fp4"))
    out |= dict(model_flop_per_token=flop, extrapolated=strange, bound=bound, memory_bytes_per_chip=needed, fits=(needed <= usable) & ~at_fault)
    budget, lacks = _budget(c, p, out)
    out |= budget
    spread = np.exp(Z80 * rates.training_spread * np.where(c.n_experts > 0, rates.training_moe_spread, 1.0))
    for name in WITH_ENDS:
        out |= {name + "_low": out[name] / spread, name + "_high": out[name] * spread}
    named = dict(chip=_ids(c, "chip"), model=_ids(c, "model"), training_precision=given["training_precision"])
    return out | dict(reason=_reasons(c, faults, lacks, named))


def coded(given) -> SimpleNamespace:
    """Plan with texts as numbers."""
    p = SimpleNamespace(**given)
    p.precision, p.sharding = (_places(name, given[name]) for name in ("training_precision", "sharding"))
    p.lora = _places("training_method", given["training_method"]).astype(float)
    return p


def _places(name, words):
    choices = PLAN[name].metadata["choices"]
    return np.array([choices.index(word) for word in words], dtype=int)


def replicas(p):
    """Copies of the model, each with its own sequences."""
    return p.n_chips / (p.train_tensor_parallel * p.train_pipeline_parallel * p.context_parallel)


def complete(c, p):
    """What stands in the way of each run (cause to bool array), and the plan with every open number chosen."""
    batch = np.where(np.isnan(p.global_batch_sequences), np.maximum(TOKENS_PER_CHIP * p.n_chips / p.sequence_tokens, 1), p.global_batch_sequences)
    is_open = {name: np.isnan(getattr(p, name)) for name in OPEN}
    experts = max(np.max(c.n_experts), 1)
    tried = [[x for x in OPEN[name] if name != "train_expert_parallel" or x <= experts] if rows.any() else [1] for name, rows in is_open.items()]
    rates, made = rates_of(c, np.array(STACKS[:1])), training.work(c, p.sequence_tokens)
    best = {}
    for candidate in product(*tried):
        numbers = {name: np.where(rows, float(x), getattr(p, name)) for (name, rows), x in zip(is_open.items(), candidate, strict=True)}
        q = fill(c, SimpleNamespace(**vars(p) | numbers | dict(global_batch_sequences=batch)))
        faults = _faults(c, q)
        time_s = np.nan_to_num(sum(training.step(c, c, q, rates, made)), nan=1e6)
        price = np.where(faults["fit"], 1e9 + training.memory_bytes(c, q), time_s)  # what does not fit: the smallest
        price = price + 1e30 * np.any([rows for name, rows in faults.items() if name != "fit"], axis=0)
        mine = faults | {name: getattr(q, name) for name in (*OPEN, "virtual_stages", "global_batch_sequences", "replica_sequences")} | dict(price=price)
        better = price < best.get("price", np.inf)
        best = {name: np.where(better, x, best.get(name, x)) for name, x in mine.items()}
    return {name: best.pop(name) for name in CAUSES}, SimpleNamespace(**vars(p) | best)


def fill(c, p):
    """Sequences of a replica, a microbatch no larger, and the pieces of a pipeline stage."""
    p.replica_sequences = p.global_batch_sequences / replicas(p)
    p.microbatch_sequences = np.minimum(p.microbatch_sequences, np.maximum(p.replica_sequences, 1))
    pp, microbatches = p.train_pipeline_parallel, np.maximum(p.replica_sequences / p.microbatch_sequences, 1)
    needed = np.minimum(np.ceil((pp - 1) / (BUBBLE * microbatches)), np.floor(c.n_layers / pp))
    p.virtual_stages = np.where(np.isnan(p.virtual_stages), np.maximum(needed, 1), p.virtual_stages)
    return p


def _faults(c, p):
    tp, pp, ep = p.train_tensor_parallel, p.train_pipeline_parallel, p.train_expert_parallel
    crossing = (p.n_chips > 1) & (np.isnan(c.link_bytes_per_s) | np.isnan(c.scale_up_domain))
    crossing = crossing | (p.n_chips > c.scale_up_domain) & np.isnan(c.scale_out_bytes_per_s)
    found = dict(
        precision=np.isnan(training.peak_flop_per_s(c, p.precision)), chips=replicas(p) != np.floor(replicas(p)), heads=~layout.divides_heads(c, tp),
        experts=(ep > 1) & (ep > np.minimum(np.maximum(c.n_experts, 1), p.n_chips / (tp * pp))), layers=pp > c.n_layers,
        batch=p.replica_sequences < 0.999, link=crossing, fit=training.memory_bytes(c, p) > layout.usable_bytes(c, c),
    )  # fmt: skip
    return {name: np.broadcast_to(x, np.shape(p.n_chips)) for name, x in found.items()}


def facts() -> dict:
    """Items training/... of data/efficiency.csv: {item: {parameter: value}}."""
    known = {}
    table = catalog.facts("efficiency")
    for item, parameter, value in table.loc[table["item"].str.startswith("training/"), ["item", "parameter", "value"]].itertuples(index=False):
        known.setdefault(item.removeprefix("training/"), {})[parameter] = value
    return known


def rates_of(c, stacks, known=None) -> SimpleNamespace:
    """Rates of each row's chip and stack: its class's, else its kind's, else those of GPUs; out of `facts()` unless given."""
    known = known or facts()
    codes = np.broadcast_to(c.code("chip"), c.n)
    used, at = np.unique(codes, return_inverse=True)
    columns = c.tables["chip"].columns
    found = [known["gpu"] | known.get(columns["kind"][i], {}) | known.get(columns["efficiency_class"][i], {}) for i in used]
    rates = SimpleNamespace(**{f.name: np.array([row.get(f.name, f.default) for row in found], float)[at] for f in fields(values.TrainingRates)})
    stack = {name: known.get(f"stack/{name}", {}).get("attention_factor", 1.0) for name in STACKS}
    rates.attention_factor = rates.attention_factor * np.array([stack[name] for name in stacks])
    return rates


def _budget(c, p, out):
    """Goodput and what the whole run takes: time, chip-hours, energy, dollars; and the bits of the facts that lack."""
    mttf_s = training.job_mttf_s(np.ceil(p.n_chips / p.chips_per_node), p.failures_per_1000_node_days)
    best_s = np.where(np.isinf(mttf_s), np.inf, training.daly_s(p.checkpoint_stall_s, mttf_s))
    interval_s = np.where(np.isnan(p.checkpoint_interval_s), best_s, p.checkpoint_interval_s)
    goodput = np.where(np.isinf(mttf_s), 1.0 / (1 + p.checkpoint_stall_s / interval_s), training.goodput(p.checkpoint_stall_s, p.restart_s, interval_s, mttf_s))
    tokens = np.where(np.isnan(p.train_tokens), c.training_tokens, p.train_tokens)
    seconds = tokens / (out["tokens_per_s_per_device"] * p.n_chips * goodput)
    chip_hours = seconds * p.n_chips / training.HOUR_S
    drawn_w = power.chip_w(c, out["share_traffic"], out["hfu_pct"] / 100, c.power_limit_w)
    mean_w = power.mean_w(c, drawn_w, c.billing_power_share, 1.0)
    owned, cloud = c.ownership == 0, c.ownership == 2
    rents = np.broadcast_arrays(c.cloud_usd_per_hour_on_demand, c.cloud_usd_per_hour_reserved, c.cloud_usd_per_hour_spot)
    hourly = sum(cost.hourly_usd(c, c, c, owned, cloud, np.choose(c.commitment, rents), mean_w, 0.0))
    rent = np.choose(c.commitment, np.broadcast_arrays(*(lacking(c, name) for name in ("on_demand", "reserved", "spot"))))
    bought = np.where(owned, lacking(c, "owned"), lacking(c, "colo")) | lacking(c, "bought")
    lacks = lacking(c, "model") | lacking(c, "memory") | np.where(cloud, rent, bought) | lacking(c, "power")
    budget = dict(
        job_mttf_s=mttf_s, checkpoint_interval_s=interval_s, goodput=goodput, train_tokens=tokens, train_flop=out["model_flop_per_token"] * tokens,
        days=seconds / training.DAY_S, chip_hours=chip_hours, mean_w_per_chip=mean_w, energy_j=mean_w * c.pue * chip_hours * training.HOUR_S,
        usd_per_chip_hour=hourly, usd=chip_hours * hourly,
    )  # fmt: skip
    return budget, lacks


def _ids(c, key):
    return np.broadcast_to(np.array(c.tables[key].ids, dtype=object)[c.code(key)], c.n)


def _reasons(c, faults, lacks, named):
    gaps = np.asarray(texts(c, dict(faults=np.broadcast_to(lacks, c.n)), ["reason"])["reason"], dtype=object)
    told = [[text.format(**{k: x[i] for k, x in named.items()}) for name, text in CAUSES.items() if faults[name][i]] for i in range(c.n)]
    return np.array(["; ".join([*words, gap] if gap else words) for words, gap in zip(told, gaps, strict=True)], dtype=object)
