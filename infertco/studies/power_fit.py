"""Fit of the power law to published draws, and what it is off by on models, chips and sources it has not seen.

Five numbers for all rows: the idle share, what memory and compute add (`kernel.power`), and the two of a server's AC
side. Boundaries: ML.ENERGY (v3) publishes the GPUs alone, a mean over the job with its prompts; MLPerf Inference the
whole system on its AC side, in runs held to a power limit. Joules per token are watts over tokens/s, one measurement
and not two, so the fit sees the watts only, at the utilizations that the model's own speeds give: it absorbs part of
their error. Where rows are left out, the speeds are refitted without them as well: an unseen row has an unseen speed.
The start values came from earlier fits to the ML.ENERGY rows: weak priors, but no independent ones, so that the law
without that source is no test of it, while the speeds are.
"""

import numpy as np
import pandas as pd

from infertco import catalog
from infertco.studies import calibration, measured, validation

LAW = dict(  # field: start value, standard deviation of its logarithm
    idle_power_share=(0.26, 0.5), power_per_memory_use=(0.83, 0.5), power_per_root_compute_use=(3.13, 0.5),
    server_power_factor=(1.15, 0.1), server_w=(150.0, 0.5),
)  # fmt: skip
START, PRIOR = np.log([start for start, _ in LAW.values()]), np.array([deviation for _, deviation in LAW.values()])
AT_TERMINALS, AT_WALL = list(LAW)[:3], list(LAW)[3:]


def scenarios(path=None) -> pd.DataFrame:
    """Rows with power or energy per token as scenarios, under the efficiencies of the file at `path`, or those in force."""
    rows = pd.read_csv(catalog.data_dir() / "measured" / "inference.csv", low_memory=False)
    table = validation.scenarios(rows[rows["metric"].isin(measured.POWER)])
    if path is None:
        return table
    facts = pd.read_csv(path, dtype=str).pivot_table(index="item", columns="parameter", values="value", aggfunc="last")
    for items, fields in ((_class(table), calibration.CLASS_FIELDS), ("engine/" + table["engine"], calibration.ENGINE_FIELDS)):
        for field in fields:
            value = items.map(facts[field]).astype(float)
            table[field] = table[field].fillna(value) if field in table else value
    return table


def _class(table):
    return validation.of_chip(table, "efficiency_class")


def log_errors(table, theta) -> pd.DataFrame:
    """`task` and log(predicted/measured) of every row of `scenarios` under the law; NaN where nothing is predicted."""
    found = validation.predict(table.assign(**dict(zip(LAW, np.exp(theta), strict=True))))
    return found[["task", "chip", "model", "source_id"]].assign(error=np.log(found["predicted"] / found["value"]))


def fit(table, left_out=None) -> np.ndarray:
    """Logarithms of the law's numbers, fitted to the rows in watts that are not in `left_out`, a bool column or None."""
    from scipy.optimize import least_squares

    use = (table["metric"] == "watts") & (True if left_out is None else ~left_out)
    table = table[use]
    weight = (table.groupby("source_id")["value"].transform("size") / 20).clip(lower=1).to_numpy() ** -0.35

    def residuals(theta):
        errors = log_errors(table, theta)["error"].fillna(0.0).to_numpy() / calibration.SCALE  # rows that do not run say nothing
        return np.r_[calibration.soft_l1(errors) * weight, (theta - START) / PRIOR]

    return least_squares(residuals, START, diff_step=0.02).x


def speed_fields(table, problem, theta) -> dict:
    """Efficiencies of every row of `table` out of a fit of the speeds, by field."""
    columns = {name: np.broadcast_to(value, len(problem.table)) for name, value in problem.columns(theta).items()}
    columns["prefill_charge"] = np.full(len(problem.table), np.exp(theta[problem.at["charge"]]))
    of_class, of_engine = ([seen.index(name) for name in names] for seen, names in ((problem.classes, _class(table)), (problem.engines, table["engine"])))
    found = {}
    for fields, mine, rows in ((calibration.CLASS_FIELDS, of_class, problem.cls), (calibration.ENGINE_FIELDS, of_engine, problem.eng)):
        first = np.array([np.flatnonzero(rows == i)[0] for i in range(rows.max() + 1)])[mine]
        found |= {field: np.clip(columns[field][first], 0, 1.9) for field in fields}
    return found


def left_out(table, speeds) -> tuple[pd.DataFrame, np.ndarray]:
    """log errors of rows predicted by fits that did not see their source, chip or model family; and all those fits of the law.

    `speeds` maps (kind, group) to the refits of `calibration.left_out`; small groups are in its group `others`.
    """
    facts = catalog.table("model")
    family = table["model"].map(lambda id: calibration.family_of(facts.columns["family"][facts.row[id]], id))
    found, fits = [], []
    for kind, key in dict(source=table["source_id"], chip=table["chip"], model=family).items():
        for group in key.unique():
            refit = speeds.get((kind, group)) or speeds[kind, "others"]
            under = table.assign(**speed_fields(table, *refit))
            fits.append(fit(under, key == group))
            found.append(log_errors(under[key == group], fits[-1]).assign(left_out=kind, group=group))
    return pd.concat(found, ignore_index=True), np.array(fits)


def facts(table, theta, fits, out) -> pd.DataFrame:
    """Rows of `data/efficiency.csv`: what all chips share, and idle share and server of the classes that were measured."""
    old = pd.read_csv(catalog.data_dir() / "efficiency.csv", dtype=str, keep_default_na=False)
    classes = [item for item in old["item"].unique() if "/" not in item]
    alone = table["boundary"] == "chips"
    metered, walled = (set(_class(table[rows & (table["metric"] == "watts")])) for rows in (alone, ~alone))
    only = dict(idle_power_share=metered, **dict.fromkeys(AT_WALL, walled))
    spread = calibration.spread_of(out[out["task"] == "energy"]["error"])
    made = []
    for i, field in enumerate(LAW):
        x = np.exp(theta[i])
        low, high = min(np.exp(fits[:, i].min()), x), max(np.exp(fits[:, i].max()), x)
        if field in AT_WALL:  # four distinct points of one server
            low, high = (max(x / 1.25, 1.0) if field == "server_power_factor" else x / 1.25), x * 1.25
        count = int((alone if field in AT_TERMINALS else ~alone)[table["metric"] == "watts"].sum())
        made += [(name, field, x, low, high, count) for name in classes if name in only.get(field, classes)]
    for name in classes:
        wide = spread * (1.0 if name in metered else 1.5)
        made.append((name, "energy_spread", wide, wide / 1.3, wide * 1.3, int((out["task"] == "energy").sum())))
    return calibration.fitted(made, calibration.NOTE)


def calibrate(path=None, say=print, speeds=None) -> pd.DataFrame:
    """Fit the law and judge it; replaces its rows in the efficiency file at `path` and in `accuracy.csv` beside it.

    `path` is `data/efficiency.csv` of a clone if None. `speeds` are the refits of `calibration.left_out` by kind and
    group: a minute with them; if None they are made anew, which takes some ten. Returns the errors.
    """
    from pathlib import Path

    path = Path(path) if path else catalog.data_dir() / "efficiency.csv"
    table = scenarios(path)
    theta = np.log([float(f"{x:.4g}") for x in np.exp(fit(table))])  # as written, so that the errors are those of the file
    if speeds is None:
        whole = validation.scenarios(pd.read_csv(catalog.data_dir() / "measured" / "inference.csv", low_memory=False))
        speeds = {(kind, group): refit for kind, group, _, refit in calibration.left_out(whole, calibration.Problem(whole))}
    out, fits = left_out(table, speeds)
    judged = calibration.accuracy(log_errors(table, theta)[["task", "error"]], out)
    for kind, task, median in judged[["left_out", "task", "median"]].itertuples(index=False):
        say(f"{task}, left out {kind}: median error {median:.1f} %")
    calibration.put(path, "efficiency", facts(table, theta, fits, out), ["item", "parameter"])
    calibration.put(path.with_name("accuracy.csv"), "accuracy", judged, ["left_out", "task"])
    return judged
