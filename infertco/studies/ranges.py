"""What is not known exactly: facts with their ranges, their shapes, and how they move together.

A price or a rate is lognormal, split at its value, with `low` and `high` its 10th and 90th percentile; a share or a
number of years is triangular between them. The model's own error is one more input: `tpot_error`, `ttft_error` and
`energy_error`, factors of median one, as wide as the 80 % intervals of `_low` and `_high`.
"""

import numpy as np
import pandas as pd
from scipy import special

from infertco import catalog, plans, values
from infertco.columns import Columns, check_name
from infertco.scenario import Scenario
from infertco.scenario import scenario as default
from infertco.stages import Z80

ERRORS = dict(tpot_error="tpot_spread", ttft_error="ttft_spread", energy_error="energy_spread")
LABELS = dict(tpot_error="Model: token time", ttft_error="Model: first token", energy_error="Model: energy")


def in_force(scenario: Scenario, name: str) -> float:
    """What a field is worth in a scenario, the engine's facts looked up; NaN where there is no figure or the model chooses."""
    return 1.0 if name in ERRORS else float(getattr(Columns(scenario, 1, {}, {}), name))


def one(scenario: Scenario) -> Scenario:
    if any(np.ndim(x) for x in scenario.fields().values()):
        raise ValueError("this takes one scenario, without arrays; give a frame of scenarios instead")
    return scenario


def as_frame(what, base):
    """(Frame, scenario behind it): what is given as one or as many scenarios."""
    if isinstance(what, Scenario):
        return pd.DataFrame(index=pd.RangeIndex(1)), one(what)
    return what.reset_index(drop=True), one(base or default())


def vary_one(name):
    """Raise ValueError unless `name` is a number that can be a little larger or smaller."""
    check_name(name)
    if values.FIELDS[name].metadata["unit"] == "text" or name in values.WHOLE:
        raise ValueError(f"{name} has no values between its own; compare them with sweep({name}=[...])")


def uncertain(what=None, fields=None, ranges=None, base=None, errors=True) -> pd.DataFrame:
    """The inputs that are not known exactly, one row a fact: what the scenarios rest on, with its range and its shape.

    Parameters
    ----------
    fields : names
        Facts to take, among them the model's errors (`ERRORS`). By default every fact with a range that nobody named,
        but for the limits, which are the question, and what was fitted, which the model's own error stands for.
    ranges : dict
        `{field: (low, high)}`, in base units, in place of the fact's own.
    errors : bool or names
        The errors of the model to take where no fields are named: all, none, or some.

    Returns
    -------
    DataFrame
        field, part, id, label, unit, value, low, high, shape (lognormal, triangular), p10, p90, reason: what is missing,
        and the line of an overlay that would supply it.

    Raises
    ------
    ValueError
        For a name that does not exist, and a range that does not hold the value.
    """
    frame, base = as_frame(base or default() if what is None else what, base)
    ranges = ranges or {}
    for name in (*(fields or ()), *ranges):
        if name not in ERRORS:
            vary_one(name)
    rows = {}
    for ids in frame[[name for name in values.IDS if name in frame]].drop_duplicates().astype(str).to_dict("records") or [{}]:
        here = base.vary(**ids)
        for name in fields or [*_ranged(here), *(name for name in ranges if name not in ERRORS), *(ERRORS if errors is True else errors or ())]:
            if name not in frame and (name not in here.named or name in ranges):
                fact = _error(here, name) if name in ERRORS else _fact(here, name, ranges)
                rows[name, fact["id"]] = fact
    columns = ["field", "part", "id", "label", "unit", "value", "low", "high", "shape", "reason"]
    table = pd.DataFrame(list(rows.values()), columns=columns)
    return table.assign(p10=quantile(table, np.full((1, len(table)), -Z80))[0], p90=quantile(table, np.full((1, len(table)), Z80))[0])


def _ranged(scenario):
    facts = scenario.assumptions()
    facts = facts[(facts["low"] < facts["high"]) & ~facts["changed"] & ~facts["field"].isin(values.SLOS) & (facts["part"] != "deployment")]
    return [name for name in facts["field"] if not _of(scenario, name).file.endswith("efficiency.csv")]


def _of(scenario, name):
    key = values.OWNER[name]
    id = "default" if key == "finance" else getattr(scenario, key).__dict__.get(key)
    return None if key == "deployment" else catalog.fact(key, id, name, scenario.as_of)


def _fact(scenario, name, ranges):
    meta, key, fact = values.FIELDS[name].metadata, values.OWNER[name], _of(scenario, name)
    id = {"finance": "default", "deployment": ""}.get(key) or getattr(getattr(scenario, key), key, "")
    value = in_force(scenario, name)
    low, high = ranges.get(name, (fact.low, fact.high) if fact else (np.nan, np.nan))
    if low > value or high < value:
        raise ValueError(f"the range of {name} must hold its value {value:g}, got {low:g} to {high:g}")
    whole = meta["allowed"] == values.ONE or meta["unit"] in ("year", "1/year") or not low > 0
    reason = "" if low < high else _asks(scenario, name, id or "engine", value)
    return dict(field=name, part=key, id=id, label=meta["label"], unit=meta["unit"], value=value, low=low, high=high,
                shape="triangular" if whole else "lognormal", reason=reason)  # fmt: skip


def _asks(scenario, name, id, value):
    """Words that ask for a range, and say how to give it."""
    if values.OWNER[name] == "deployment":
        return f"{name} has no range; give one: ranges=dict({name}=(low, high))"
    line = catalog.overlay_line(id, name).replace("<value>", f"{value:.6g}", 1).replace(",,,", ",<low>,<high>,", 1)
    return f"{id} has no range for {name} ({values.FIELDS[name].metadata['label']}); give one: ranges=dict({name}=(low, high)), or overlay {line}"


def _error(scenario, name):
    spread = in_force(scenario, ERRORS[name])
    if name != "energy_error" and scenario.value("n_experts") > 0:
        spread *= in_force(scenario, "moe_spread")
    reason = "" if spread == spread else _asks(scenario, ERRORS[name], scenario.chip.chip, spread)
    ends = np.exp(-Z80 * spread), np.exp(Z80 * spread)
    return dict(field=name, part="chip", id=scenario.chip.chip, label=LABELS[name], unit="1", value=1.0, low=ends[0], high=ends[1],
                shape="lognormal", reason=reason)  # fmt: skip


def quantile(facts: pd.DataFrame, z: np.ndarray) -> np.ndarray:
    """Values of uncertain facts (columns) at standard normal deviates z; (points, facts).

    Lognormal with the value as median and a width of its own to either side; triangular with the value as mode. Both
    stay within what the field allows.
    """
    value, low, high = (facts[name].to_numpy(float) for name in ("value", "low", "high"))
    out = np.empty(np.shape(z))
    with np.errstate(invalid="ignore", divide="ignore"):
        down, up = np.log(value / low) / Z80, np.log(high / value) / Z80
        log = (facts["shape"] == "lognormal").to_numpy()
        out[:, log] = value[log] * np.exp(z[:, log] * np.where(z[:, log] < 0, down[log], up[log]))
        u, width, rise = special.ndtr(z[:, ~log]), (high - low)[~log], (value - low)[~log]
        fall = width - rise
        left, right = low[~log] + np.sqrt(u * width * rise), high[~log] - np.sqrt((1 - u) * width * fall)
        out[:, ~log] = np.where(u * width < rise, left, right)
    known = values.FIELDS | plans.FIELDS  # an error of the model is neither, and positive
    allowed = [known[name].metadata["allowed"] if name in known else (0.0, np.inf) for name in facts["field"]]
    return np.clip(out, *np.array(allowed).reshape(-1, 2).T)


def latin(draws: int, dimensions: int, rng) -> np.ndarray:
    """A Latin hypercube: in each dimension one point in each of as many equal slices of (0, 1); (draws, dimensions).

    As `scipy.stats.qmc.LatinHypercube`, which takes a second to import.
    """
    within = rng.uniform(size=(draws, dimensions))
    slices = np.column_stack([rng.permutation(draws) for _ in range(dimensions)])
    return (slices + 1 - within) / draws


def known(facts):
    """Facts that can be drawn; ValueError with what one that was asked for lacks."""
    if (lacking := facts["reason"] != "").any():
        raise ValueError(facts["reason"][lacking].iloc[0])
    return facts


def mixing(facts, correlations):
    """What turns independent deviates into correlated ones: the root of their correlations."""
    field, id, part = (facts[name].to_numpy() for name in ("field", "id", "part"))
    matrix = np.eye(len(facts))
    for (a, b), r in correlations.items():
        for name in (a, b):
            if name not in ERRORS:
                vary_one(name)
        pairs = np.outer(field == a, field == b)
        mine = (id[:, None] != id[None]) if a == b else (id[:, None] == id[None]) | (part[:, None] != part[None])
        matrix[(pairs | pairs.T) & mine] = r
    size, vectors = np.linalg.eigh(matrix)
    if len(size) and size.min() < -1e-9:
        raise ValueError("the correlations contradict one another: no inputs could have them all")
    return vectors * np.sqrt(np.maximum(size, 0)) @ vectors.T


SETTING = ["source_id", "model", "metric", "n_devices", "batch_or_concurrency", "input_tokens", "output_tokens"]


def shared_error(table: pd.DataFrame, task: str = "decode dense") -> tuple[float, int]:
    """How alike the model errs on two chips: (correlation of log errors, pairs) of rows that share all but the chip.

    `table` is what `validation.validate` gives. Pairs come from few sources: a first idea, not a fact.
    """
    rows = table[(table["task"] == task) & table["scored"] & (table["value"].astype(float) > 0)]
    error = np.log(rows["value"].astype(float) / rows["predicted"])
    each = rows.assign(error=error - error.mean()).groupby([*SETTING, "hardware"], dropna=False)["error"].mean().reset_index()
    pairs = each.merge(each, on=SETTING)
    pairs = pairs[pairs["hardware_x"] != pairs["hardware_y"]]  # both ways round
    return float(pairs["error_x"].corr(pairs["error_y"])), len(pairs) // 2
