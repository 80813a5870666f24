"""Fit of the efficiencies to published measurements, and what is left out of a fit to judge it.

Each parameter has a meaning and belongs to a class of chips (share of bandwidth and of peak arithmetic, time of a
kernel), to an engine (fixed time of a layer, a step, a sequence, an all-reduce, a first token) or to all (what 8 and 4
bits change, attention, links, how much of a prefill hides under decoding). They are fitted in the logarithm, with
robust least squares on log(predicted/measured), each held by a wide prior at its start value. No parameter belongs to a
row, a chip or a model. Rows of one source and task weigh together less than their number, so that no sweep decides.
"""

import numpy as np
import pandas as pd

from infertco import catalog
from infertco.stages import Z80
from infertco.studies import measured, validation

PRIOR = 0.4  # standard deviation of a parameter's logarithm around its start
STEP = 0.02  # of a parameter's logarithm, for slopes
SCALE = 0.15  # residual beyond which a row counts less and less
CLASS = dict(memory=0.8, compute=0.6, kernel=3e-6)  # start values
ENGINE = dict(layer=2e-5, step=3e-4, sequence=3e-6, allreduce=8e-6, first=4e-2, burst=0.2, engine_compute=1.0, attention=1.0, prompt_layer=1e-4)
SHARED = dict(
    memory_8=0.95, memory_4=0.95, compute_8=0.9, compute_4=0.6, attention_memory=1.0, attention_compute=0.8, expert_compute=0.8, expert_memory=1.0,
    link=0.5, charge=0.8, overflow=0.43, flop_energy=1.5e-12,
)  # fmt: skip
SERVING = ("trtllm", "vllm", "sglang")
OWN = dict(  # classes and engines with a value of their own; the others share one
    kernel=("hopper", "blackwell", "ampere", "neuron"),
    layer=(*SERVING, "vllm-served", "trtllm-early", "vllm-2023", "neuron", "tt-metal", "llama.cpp", "compiled"),
    step=(*SERVING, "vllm-served"), sequence=(*SERVING, "vllm-served", "rocm"), allreduce=(*SERVING, "compiled"), first=SERVING, burst=SERVING,
    engine_compute=("llama.cpp", "compiled", "vllm-2023", "tt-metal"), attention=("llama.cpp", "vllm-2023"), prompt_layer=("compiled",),
)  # fmt: skip
START = {
    ("layer", "vllm-2023"): 1.5e-4, ("layer", "trtllm-early"): 5e-5, ("layer", "neuron"): 8e-5, ("layer", "tt-metal"): 1e-4, ("layer", "llama.cpp"): 5e-5,
    ("attention", "llama.cpp"): 0.4, ("attention", "vllm-2023"): 0.4, ("prompt_layer", "compiled"): 1e-3, ("engine_compute", "compiled"): 0.5,
}  # fmt: skip
MOST = dict(  # no class beats its own peak; large matrix products were measured at 0.6 to 0.87 of it
    memory=0.95, compute=0.85, compute_8=1.0, compute_4=0.9, memory_8=1.0, memory_4=1.05, expert_memory=1.05, attention_memory=1.05, expert_compute=1.05,
    engine_compute=1.15,
)  # fmt: skip
NOTE = "Fitted on data/measured by infertco calibrate; effective, not a hardware fact"
FIXED = -1  # engines without a share of their own reach what their chip's class reaches
WHOLE = ("engine_compute", "attention")  # kinds in which the others do so


class Problem:
    """Rows to fit on, and the parameters they depend on."""

    def __init__(self, table: pd.DataFrame):
        timed = (table["why_not"] == "") & ~table["metric"].isin(measured.POWER)  # power has a fit of its own
        self.table = table[timed].reset_index(drop=True)
        self.names, self.start = [], []
        classes, engines = catalog.table("chip").columns["efficiency_class"], catalog.table("engine").ids
        rows = np.array([catalog.table("chip").row[chip] for chip in self.table["chip"]])
        usual = catalog.table("chip").columns["usual_engine"][rows]
        self.cls, cls_ids = pd.factorize(classes[rows])
        self.eng, eng_ids = pd.factorize(np.where(self.table["engine"] == "", usual, self.table["engine"]))
        self.classes, self.engines = list(cls_ids), list(eng_ids)
        assert set(self.engines) <= set(engines)
        self.at = {}
        for kind, value in CLASS.items():
            self.at[kind] = self._of_items(kind, value, self.classes)
        for kind, value in ENGINE.items():
            self.at[kind] = self._of_items(kind, value, self.engines)
        for kind, value in SHARED.items():
            self.at[kind] = self._add(kind, value)
        self.start = np.log(self.start)
        self.most = np.log([next((most for kind, most in MOST.items() if name.startswith(kind + "/") or name == kind), np.inf) for name in self.names])
        size = self.table.groupby(["source_id", "task"])["value"].transform("size")
        self.weight = (size / 20).clip(lower=1) ** -0.35

    def _of_items(self, kind, value, items):
        """Places of a kind of parameter for classes or engines: their own, or the one that the others share."""
        own = OWN.get(kind, items)
        places, shared = [], FIXED
        for name in items:
            if name not in own and shared == FIXED and kind not in WHOLE:
                shared = self._add(f"{kind}/other", value)
            places.append(self._add(f"{kind}/{name}", START.get((kind, name), value)) if name in own else shared)
        return np.array(places)

    def _add(self, name, value):
        self.names.append(name)
        self.start.append(value)
        return len(self.names) - 1

    def places(self):
        """Place of the parameter of each kind that a row of the table depends on; (kinds, rows)."""
        of_class, of_engine = ([self.at[kind][item] for kind in kinds] for kinds, item in ((CLASS, self.cls), (ENGINE, self.eng)))
        return np.array([*of_class, *of_engine, *(np.full(len(self.table), self.at[kind]) for kind in SHARED)])

    def columns(self, theta) -> dict:
        """Fields of every row under the parameters."""
        value = np.r_[np.exp(theta), 1.0]  # FIXED is the last
        of_class = {kind: value[self.at[kind]][self.cls] for kind in CLASS}
        of_engine = {kind: value[self.at[kind]][self.eng] for kind in ENGINE}
        shared = {kind: value[self.at[kind]] for kind in SHARED}
        memory, compute, kernel = of_class["memory"], of_class["compute"], of_class["kernel"]
        return dict(
            memory_efficiency_16=memory, memory_efficiency_8=memory * shared["memory_8"], memory_efficiency_4=memory * shared["memory_4"],
            compute_efficiency_16=compute, compute_efficiency_8=compute * shared["compute_8"], compute_efficiency_4=compute * shared["compute_4"],
            kernel_time_s_16=kernel, kernel_time_s_8=kernel, kernel_time_s_4=kernel,
            attention_memory_efficiency=memory * shared["attention_memory"], attention_compute_efficiency=compute * shared["attention_compute"],
            expert_compute_efficiency=shared["expert_compute"], expert_memory_efficiency=shared["expert_memory"], compute_share=of_engine["engine_compute"],
            layer_time_s=of_engine["layer"], step_time_s=of_engine["step"], sequence_time_s=of_engine["sequence"],
            allreduce_time_s=of_engine["allreduce"], first_token_time_s=of_engine["first"], burst_wait=of_engine["burst"],
            link_efficiency=shared["link"], overflow_wait=shared["overflow"], prefill_charge=shared["charge"],
            attention_share=of_engine["attention"], prompt_layer_time_s=of_engine["prompt_layer"],
            flop_energy_j=np.where(self.table["engine"] == "llama.cpp", shared["flop_energy"], 0.0),
        )  # fmt: skip

    def log_errors(self, theta) -> np.ndarray:
        """log(predicted/measured) of every row of the table; NaN where nothing is predicted."""
        columns = {name: np.minimum(x, 1.9) for name, x in self.columns(theta).items()}
        found = validation.predict(self.table.assign(**columns))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(found["predicted"].to_numpy() / found["value"].to_numpy())


def soft_l1(errors):
    """Residuals whose squares count as errors do: squared near zero, by their size beyond one."""
    return np.sign(errors) * np.sqrt(2 * (np.sqrt(1 + errors**2) - 1))


def spread_of(errors) -> float:
    """Standard deviation of log errors that 80 % of them stay within."""
    return errors.abs().quantile(0.8) / Z80


def fitted(found, note) -> pd.DataFrame:
    """Rows of `data/efficiency.csv` from (item, field, value, low, high, count); a NaN end stays blank."""
    units = {"_j": "J", "_w": "W", "_bytes": "byte"} | dict.fromkeys(("_s", "_s_16", "_s_8", "_s_4"), "s")
    return pd.DataFrame(dict(
        item=item, parameter=field, value=f"{x:.4g}", unit=next((unit for end, unit in units.items() if field.endswith(end)), "1"),
        low="" if low != low else f"{low:.4g}", high="" if high != high else f"{high:.4g}",
        source="infertco-calibration", date="2026", confidence="measured", note=note, count=str(count),
    ) for item, field, x, low, high, count in found)  # fmt: skip


def fit(table, left_out=None, steps=12, verbose=0):
    """Parameters fitted on the rows of `table` that are not `left_out`: (Problem, theta)."""
    from scipy.optimize import least_squares

    problem = Problem(table)
    rows = problem.table.drop_duplicates("row").sort_values("row")
    use = ~rows["task"].str.endswith("assumed").to_numpy()  # a guessed split teaches nothing
    use &= True if left_out is None else ~left_out(rows).to_numpy()
    theta = problem.start
    valid = np.flatnonzero(np.isfinite(problem.log_errors(theta)) & use)
    weight, places = problem.weight[rows.index].to_numpy()[valid], problem.places()[:, rows.index[valid]]

    def residuals(theta):
        errors = problem.log_errors(theta)
        errors = np.where(np.isfinite(errors), errors, 1.5)[valid]
        return np.r_[soft_l1(errors / SCALE) * weight, (theta - problem.start) / PRIOR]

    def jacobian(theta):
        """A row depends on one parameter of each kind: one step moves all parameters of a kind at once."""
        here, size = residuals(theta), len(theta)
        slopes = np.vstack([np.zeros((len(valid), size)), np.eye(size) / PRIOR])
        for place in places:
            moved = theta.copy()
            moved[place[place != FIXED]] += STEP
            slopes[np.arange(len(valid)), place] += np.where(place != FIXED, (residuals(moved) - here)[: len(valid)] / STEP, 0.0)
        return slopes

    bounds = (-np.inf, problem.most + 1e-9)
    result = least_squares(residuals, np.minimum(theta, problem.most - 1e-3), jac=jacobian, bounds=bounds, max_nfev=steps, verbose=verbose)
    return problem, result.x


def left_out(table, problem, kinds=("source", "chip", "model"), steps=7):
    """log errors of rows predicted by fits that did not see them, by source, by chip, by model family: a DataFrame; and the refit.

    Groups with fewer than 30 rows are left out together. Each refit begins at the start values, not at the full fit: one
    that began there would remember the rows it must not have seen.
    """
    rows = problem.table.drop_duplicates("row").sort_values("row")
    facts = catalog.table("model")
    family = rows["model"].map(lambda id: family_of(facts.columns["family"][facts.row[id]], id))
    version = np.where(rows["source_id"] == "aic-silicon", rows["source_id"] + "/" + rows["engine"], rows["source_id"])
    keys = dict(source=pd.Series(version, index=rows.index), chip=rows["chip"], model=family)
    found = []
    for kind in kinds:
        key = keys[kind]
        size = key.map(key.value_counts())
        key = key.where(size >= 30, "others")
        for group in key.unique():
            out = set(rows.loc[key == group, "row"])
            refit, inside = fit(table, left_out=lambda rows, out=out: rows["row"].isin(out), steps=steps)
            errors = refit.log_errors(inside)
            mine = rows["row"].isin(out).to_numpy()
            found.append(pd.DataFrame(dict(left_out=kind, group=group, task=rows["task"][mine], error=errors[mine])))
            yield kind, group, pd.concat(found, ignore_index=True), (refit, inside)


def family_of(family, id):
    """Models of one design go together: DeepSeek V3 and R1, the Llamas of one size."""
    if "deepseek" in id:
        return "deepseek"
    size = next((word for word in id.split("-") if word.endswith("b") and word[:-1].replace(".", "").isdigit()), "")
    return f"llama-{size}" if id.startswith("llama") else family or id


def accuracy(in_fit: pd.DataFrame, out: pd.DataFrame) -> pd.DataFrame:
    """The table of `data/accuracy.csv`: errors in per cent and the 80 % interval as factors on the prediction."""
    tables = [in_fit.assign(left_out="none"), out, out.assign(left_out="any", group=out["left_out"] + "/" + out["group"].astype(str))]
    every = pd.concat(tables, ignore_index=True).dropna(subset=["error"])
    made = []
    for (kind, task), rows in every.groupby(["left_out", "task"], sort=False):
        size = rows["error"].map(np.expm1)
        low, high = np.exp(-rows["error"].quantile([0.9, 0.1]))
        made.append(dict(
            left_out=kind, task=task, rows=len(rows), median=100 * size.abs().median(), mean=100 * size.abs().mean(), bias=100 * size.median(),
            p90=100 * size.abs().quantile(0.9), low=min(low, 1.0), high=max(high, 1.0), coverage=100 * _coverage(rows),
        ))  # fmt: skip
    return pd.DataFrame(made).round(4)


def _coverage(rows) -> float:
    """Share of left-out rows inside the 80 % interval that the other groups would have given them; NaN inside the fit."""
    if "group" not in rows or rows["group"].isna().any():
        return np.nan
    inside = []
    for _, mine in rows.groupby(["left_out", "group"] if rows["left_out"].nunique() > 1 else "group"):
        others = rows.drop(mine.index)["error"]
        if len(others):
            inside.append(mine["error"].between(*others.quantile([0.1, 0.9])))
    return float(pd.concat(inside).mean()) if inside else np.nan


def efficiencies(problem, theta, out) -> pd.DataFrame:
    """Rows of `data/efficiency.csv`: fitted values with spread, count and source."""
    value, count = np.r_[np.exp(theta), 1.0], problem.table.drop_duplicates("row")
    per_class = {name: int((problem.cls == i).sum()) for i, name in enumerate(problem.classes)}
    per_engine = {name: int((problem.eng == i).sum()) for i, name in enumerate(problem.engines)}
    old = dict.fromkeys(pd.read_csv(catalog.data_dir() / "efficiency.csv", usecols=["item"])["item"])
    fields = {}
    columns = problem.columns(theta)
    for i, name in enumerate(problem.classes):
        row = int(np.flatnonzero(problem.cls == i)[0])
        for field in CLASS_FIELDS:
            fields[name, field] = (columns[field][row] if np.ndim(columns[field]) else columns[field], per_class[name])
        fields[name, "calibrated"] = (float(per_class[name] >= 20), per_class[name])
    for i, name in enumerate(problem.engines):
        row = int(np.flatnonzero(problem.eng == i)[0])
        for field in ENGINE_FIELDS:
            x = value[problem.at["charge"]] if field == "prefill_charge" else columns[field]
            fields["engine/" + name, field] = (x[row] if np.ndim(x) else x, per_engine[name])
    spread, moe, first = (spread_of(out[out["task"].isin(tasks)]["error"]) for tasks in (["decode dense", "single stream"], ["decode MoE"], ["TTFT"]))
    for name in old:
        if "/" not in name:
            wide = 1.0 if per_class.get(name, 0) >= 20 else 1.5
            fields[name, "tpot_spread"], fields[name, "ttft_spread"] = (spread * wide, len(out)), (first * wide, len(out))
            fields[name, "moe_spread"] = (max(moe / spread, 1.0), len(out))
            for field in ("expert_compute_efficiency", "expert_memory_efficiency"):
                fields.setdefault((name, field), (np.exp(theta[problem.at[field.removesuffix("_efficiency")]]), len(count)))
    found = []
    for (item, field), (x, n) in fields.items():
        share = not field.endswith(("_j", "_s", "_s_16", "_s_8", "_s_4", "_spread", "burst_wait", "prefill_charge"))
        low, high = max(x / 1.3, 1.0 if field == "moe_spread" else 0.0), max(x, min(x * 1.3, 1.0 if share else np.inf))
        found.append((item, field, x, *((np.nan, np.nan) if field == "calibrated" else (low, high)), n))
    return fitted(found, NOTE)


CLASS_FIELDS = (
    "memory_efficiency_16", "memory_efficiency_8", "memory_efficiency_4", "compute_efficiency_16", "compute_efficiency_8", "compute_efficiency_4",
    "kernel_time_s_16", "kernel_time_s_8", "kernel_time_s_4", "attention_memory_efficiency", "attention_compute_efficiency",
    "expert_compute_efficiency", "expert_memory_efficiency",
)  # fmt: skip
ENGINE_FIELDS = (
    "layer_time_s", "step_time_s", "sequence_time_s", "allreduce_time_s", "first_token_time_s", "burst_wait", "link_efficiency", "overflow_wait",
    "prefill_charge", "compute_share", "attention_share", "flop_energy_j", "prompt_layer_time_s",
)  # fmt: skip


def calibrate(out=None, say=print) -> pd.DataFrame:
    """Fit on `data/measured`, judge by leaving out, and write `efficiency.csv` and `accuracy.csv` beside each other.

    `out` is the path of the efficiency file; `data/efficiency.csv` of a clone if None. Serving takes some ten minutes;
    power and training may be fitted alone by the `calibrate` of their modules. Returns all errors.
    """
    from pathlib import Path

    from infertco.studies import power_fit, training_fit  # which judge themselves with `accuracy`

    path = Path(out) if out else catalog.data_dir() / "efficiency.csv"
    table = validation.scenarios(pd.read_csv(catalog.data_dir() / "measured" / "inference.csv", low_memory=False))
    problem, theta = fit(table)
    rows = problem.table.drop_duplicates("row").sort_values("row")
    in_fit = pd.DataFrame(dict(task=rows["task"].to_numpy(), error=problem.log_errors(theta)))
    fitted = in_fit["error"].notna() & ~in_fit["task"].str.endswith("assumed")
    say(f"fitted {len(theta)} parameters on {fitted.sum()} rows; now leaving out")
    speeds = {}
    for kind, group, out_rows, speeds[kind, group] in left_out(table, problem):
        last = out_rows[out_rows["group"].eq(group) & out_rows["left_out"].eq(kind)]["error"].dropna()
        say(f"without {kind} {group}: {len(last)} rows, median error {100 * np.expm1(last).abs().median():.1f} %")
    put(path, "efficiency", efficiencies(problem, theta, out_rows), ["item", "parameter"])
    put(path.with_name("accuracy.csv"), "accuracy", accuracy(in_fit, out_rows), ["left_out", "task"])
    power_fit.calibrate(path, say, speeds)
    training_fit.calibrate(path, say)
    return pd.read_csv(path.with_name("accuracy.csv"))


def put(file, kind, new, key):
    """The rows of `file` with the key of new ones replaced by these; begun as `data/<kind>.csv`, written aside and moved into place."""
    import os

    old = pd.read_csv(file if file.exists() else catalog.data_dir() / f"{kind}.csv", dtype=str, keep_default_na=False)
    order = pd.concat([old, new])[key].drop_duplicates()  # a row keeps its place
    rows = order.merge(pd.concat([new, old]).drop_duplicates(key), on=key)[list(old.columns)]
    aside = file.with_name(f".{file.name}.{os.getpid()}")
    rows.to_csv(aside, index=False, lineterminator="\n")
    aside.replace(file)
