"""Fit of the training rates to published training figures, and what is left out of a fit to judge it.

Eleven numbers, each with a meaning and none of a row, a chip or a model: log-normal priors, soft-L1 least squares on
log(predicted/measured), each row weighted by one over the root of the rows that share its source and chip.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from infertco import catalog
from infertco.studies import calibration, training, training_rows

START = {  # item and parameter: start value, standard deviation of its logarithm
    ("gpu", "product_share_16"): (0.85, 0.3), ("gpu", "product_share_8"): (0.75, 0.3), ("tpu", "product_share_16"): (0.80, 0.3),
    ("tpu", "product_share_8"): (0.60, 0.3), ("gpu", "attention_share"): (0.30, 0.5), ("gpu", "traffic_bytes"): (400.0, 0.5),
    ("gpu", "shard_exposure"): (0.50, 0.5), ("gpu", "scale_out_loss"): (0.02, 0.5), ("gpu", "lora_factor"): (1.1, 0.3),
    ("gpu", "clock_exponent"): (0.5, 0.5), ("stack/triton", "attention_factor"): (0.7, 0.5),
}  # fmt: skip
SCALE = 0.20  # residual beyond which a row counts less and less
NOTE = "Fitted on data/measured/training.csv by infertco calibrate; effective, not a hardware fact"
SPREADS = dict(gpu=1.0, tpu=1.0, asic=1.35, cdna=1.35, edge=2.0, cpu=2.0)  # wider, by judgement, where next to nothing was measured
KINDS = dict(source=lambda rows: rows["source_id"].str.split("-").str[0], chip=lambda rows: rows["chip"], model=lambda rows: rows["model"])


def measured() -> pd.DataFrame:
    """The known rows of `data/measured/training.csv`, read into plans."""
    table = training_rows.read(pd.read_csv(catalog.data_dir() / "measured" / "training.csv"))
    return table[table["why_not"] == ""].reset_index(drop=True)


def facts_with(theta, facts=None) -> dict:
    """Facts of training with the fitted numbers exp(theta) in their places."""
    known = {item: dict(found) for item, found in (facts or training.facts()).items()}
    for (item, name), x in zip(START, np.exp(theta), strict=True):
        known.setdefault(item, {})[name] = x
    return known


def fit(table: pd.DataFrame, use=None) -> np.ndarray:
    """Logarithms of the numbers of START fitted on the rows of `table` where `use` is true."""
    from scipy.optimize import least_squares

    table = table if use is None else table[use]
    rows, start = training_rows.Rows(table), np.log([value for value, _ in START.values()])
    wide = np.array([sd for _, sd in START.values()])
    weight = table.groupby(["source_id", "chip"])["value"].transform("size").to_numpy() ** -0.5
    measured, facts = np.log(table["value"].to_numpy()), training.facts()

    def residuals(theta):
        errors = (np.log(rows.predicted(facts_with(theta, facts))) - measured) / SCALE
        return np.r_[weight * calibration.soft_l1(errors), (theta - start) / wide]

    return least_squares(residuals, start).x


def log_errors(table: pd.DataFrame, theta) -> np.ndarray:
    """log(predicted/measured) of every row."""
    return np.log(training_rows.Rows(table).predicted(facts_with(theta)) / table["value"].to_numpy())


def left_out(table: pd.DataFrame) -> pd.DataFrame:
    """log errors of rows predicted by fits that did not see them: by source, by chip, by model. Both MLPerf rounds are one source."""
    found = []
    for kind, key in KINDS.items():
        groups = key(table)
        for group in groups.unique():
            mine = (groups == group).to_numpy()
            errors = log_errors(table[mine], fit(table, ~mine))
            found.append(pd.DataFrame(dict(left_out=kind, group=group, task="training", error=errors)))
    return pd.concat(found, ignore_index=True)


def judged(table: pd.DataFrame, theta, out: pd.DataFrame) -> pd.DataFrame:
    """Rows of `data/accuracy.csv` for the task training."""
    return calibration.accuracy(pd.DataFrame(dict(task="training", error=log_errors(table, theta))), out)


def efficiencies(table: pd.DataFrame, theta, out: pd.DataFrame) -> pd.DataFrame:
    """Rows of `data/efficiency.csv`: the fitted numbers, the range in which fits without a group of rows put them, the spread.

    `count` is the rows that a number has a say in.
    """
    moved = [int((log_errors(table, theta + step) != log_errors(table, theta)).sum()) for step in 0.01 * np.eye(len(theta))]
    fits = np.array([theta, *(fit(table, ~mine) for mine in _groups(table))])
    ends = np.exp([fits.min(axis=0), theta, fits.max(axis=0)]).T
    found = [(f"training/{item}", name, *three, count) for (item, name), three, count in zip(START, ends, moved, strict=True)]
    spread = calibration.spread_of(out["error"])
    found += [(f"training/{item}", "training_spread", wide * spread / 1.3, wide * spread, wide * spread * 1.3, len(table)) for item, wide in SPREADS.items()]
    facts = catalog.table("chip").columns["efficiency_class"]
    classes = table["chip"].map(lambda id: facts[catalog.table("chip").row[id]]).value_counts()
    found += [(f"training/{item}", "training_calibrated", 0.0, 1.0, 1.0, count) for item, count in classes.items() if count > 1]
    return calibration.fitted(((item, name, x, low, high, count) for item, name, low, x, high, count in found), NOTE)


def _groups(table):
    """Rows left out, group by group, of sources and chips with ten rows or more."""
    for kind in ("source", "chip"):
        groups = KINDS[kind](table)
        yield from ((groups == group).to_numpy() for group, size in groups.value_counts().items() if size >= 10)


def calibrate(efficiency: str | Path | None = None, say=print) -> pd.DataFrame:
    """Fit on `data/measured/training.csv`, judge by leaving out, and put the rows into `efficiency.csv` and the `accuracy.csv` beside it.

    Rows of serving stay as they are: fitted rows and the task `training` alone are replaced. Takes seconds.
    """
    path = Path(efficiency) if efficiency else catalog.data_dir() / "efficiency.csv"
    table = measured()
    theta, out = fit(table), left_out(table)
    made, errors = efficiencies(table, theta, out), judged(table, theta, out)
    say(f"fitted {len(theta)} parameters of training on {len(table)} rows")
    calibration.put(path, "efficiency", made, ["item", "parameter"])
    calibration.put(path.with_name("accuracy.csv"), "accuracy", errors, ["left_out", "task"])
    return errors
