"""What moves an answer, how sure it is, and what would have to be true for it to turn: one call each, tables out.

Every point is optimized anew: the layout (`choices`) is the one a buyer would take, the cheapest within the limits, and
the batch the largest within them, unless the scenario names them. What is uncertain, and how, is told in `ranges`. The
model's own error is among it: a factor on the times (and with them on rates and cost) and one on the joules. A chip that
is slower than modeled also has to run a smaller batch to keep the limits, so this error moves a cost further than `_low`
and `_high` do.
"""

import warnings
from itertools import product

import numpy as np
import pandas as pd
from scipy import special

from infertco import values
from infertco.columns import LOADED, from_frame
from infertco.kernel import layout, transformer
from infertco.scenario import Scenario, better, evaluate
from infertco.stages import ENERGY, deploy
from infertco.studies.ranges import ERRORS, as_frame, in_force, known, mixing, one, quantile, uncertain, vary_one

CHOICES = dict(tensor_parallel=(1.0, 2.0, 4.0, 8.0, 16.0))
USD, MADE, RATE = "usd_per_mtok", "tokens_per_usd", "output_tokens_per_s_per_chip"
RATES = ("hbm_bytes_per_s", "hbm_bytes", "peak_flop_per_s_bf16", "link_bytes_per_s")
TIMES = ("layer_time_s", "allreduce_time_s", "step_time_s", "sequence_time_s", "kernel_time_s_16")
PRICES = ("chip_usd", "host_usd", "network_usd", "usd_per_kwh", "colo_usd_per_kw_month", "utilization")
OUTPUTS = (RATE, "tpot_s", USD)
ROOMY = 1e18  # bytes: memory that no batch fills
STEP = 0.01  # of a central difference
FAR = ((1.0, 1.0), (0.5, 1.0), (0.75, 1.0), (1.4, 1.0), (2.0, 1.0), (1.0, 0.25), (1.0, 4.0), (2.0, 4.0))  # errors at which layouts are compared
GRID = 97  # points between which a break-even is sought


# ------------------------------------------------------------------ points at their best


def optimum(frame: pd.DataFrame, base: Scenario, outputs, choices=None, by: str = MADE, tried=None) -> pd.DataFrame:
    """Each row of a frame of scenarios at its best choice, with `feasible`: within memory and limits.

    Parameters
    ----------
    frame : DataFrame
        Columns are fields, or the model's errors (`ERRORS`), which divide the limits and multiply the outputs.
    choices : dict
        Fields and the values they may take, all combinations tried; those that frame or scenario name are left alone.
    by : str
        The output whose best decides; throughput where it has no figure.
    tried : array of bool
        (combinations, rows) worth trying; all if None.
    """
    errors = {name: frame[name].to_numpy(float) for name in ERRORS if name in frame}
    frame = _within(frame.drop(columns=list(errors)), base, errors)
    opened, combinations = _opened(frame, base, choices)
    tried = np.ones((len(combinations), len(frame)), bool) if tried is None else tried
    which, row = np.nonzero(tried)
    columns = {name: frame[name].array.take(row) for name in frame} | {name: of[which] for name, of in zip(opened, combinations.T, strict=True)}
    wanted = list(dict.fromkeys([*outputs, by, RATE, "meets_slo"]))
    found = evaluate(pd.DataFrame(columns, index=pd.RangeIndex(len(row)), copy=False), wanted, base=base)
    value, rate, meets = (found[name].to_numpy() for name in (by, RATE, "meets_slo"))
    merit = np.where(np.isnan(value), np.log(rate), np.log(value) * (1 if better(by) == "more" else -1))
    score, number = np.full(tried.shape, -np.inf), np.zeros(tried.shape, int)
    score[tried], number[tried] = 1e3 * (meets + ~np.isnan(rate) * 1.0) + np.nan_to_num(merit), np.arange(len(row))
    at = number[score.argmax(axis=0), np.arange(len(frame))]
    chosen = CHOICES if choices is None else choices
    kept = [name for name in dict.fromkeys([*frame, *chosen, *wanted]) if name in found and name not in ("ttft_slo_s", "tpot_slo_s")]
    table = pd.DataFrame({name: found[name].array.take(at) for name in kept}, copy=False)
    table["feasible"] = meets[at]
    return _erred(table, errors)


def _opened(frame, base, choices):
    """(Fields that are open, every combination of their values; a row each)."""
    opened = {name: of for name, of in (CHOICES if choices is None else choices).items() if name not in base.named and name not in frame}
    combinations = list(product(*opened.values()))
    return list(opened), np.array(combinations, float).reshape(len(combinations), len(opened))


def _worth_trying(frame, base, choices):
    """(combinations, rows): what fits, and is not slower alone than another and dearer as well, near and far from the middle of the errors."""
    opened, combinations = _opened(frame, base, choices)
    k, n = len(combinations), len(frame)
    columns = {name: _tiled(frame[name], k) for name in frame} | {name: np.repeat(of, n) for name, of in zip(opened, combinations.T, strict=True)}
    rows = pd.DataFrame(columns, index=pd.RangeIndex(k * n))
    loaded = [name for name in values.LOADS if name in base.named or name in frame]
    alone = evaluate(rows if loaded else rows.assign(batch=1.0), ["ttft_s", "tpot_s"], base=base)
    first, token = (alone[name].to_numpy(float).reshape(k, 1, n) for name in ("ttft_s", "tpot_s"))
    beaten = (first.swapaxes(0, 1) <= first) & (token.swapaxes(0, 1) <= token) & ~np.eye(k, dtype=bool)[:, :, None]  # [i, j]: i by j
    for token_error, first_error in FAR:
        errors = dict(tpot_error=np.full(k * n, token_error), ttft_error=np.full(k * n, first_error))
        found = evaluate(_within(rows, base, errors), ["meets_slo", USD], base=base)
        cost = np.where(found["meets_slo"], found[USD], np.inf).reshape(k, 1, n)
        beaten &= (cost.swapaxes(0, 1) < cost) | np.isinf(cost) & np.isinf(cost.swapaxes(0, 1))
    fits = ~np.isnan(token[:, 0]) & ~beaten.any(axis=1)
    return fits | ~fits.any(axis=0)


def _tiled(column, times):
    return column.array.take(np.tile(np.arange(len(column)), times))


def _within(frame, base, errors):
    """Limits that a service whose times are off by a factor must meet on the model's clock."""
    if not errors:
        return frame
    columns = from_frame(frame, base)[0]
    slower = {f"{name}_slo_s": errors[f"{name}_error"] for name in ("tpot", "ttft") if f"{name}_error" in errors}
    return frame.assign(**{limit: getattr(columns, limit) / factor for limit, factor in slower.items()})


def _erred(table, errors):
    """Outputs with the model's error: times and costs longer, rates less, joules more."""
    one = np.ones(len(table))
    for name in table:
        if name.removesuffix("_low").removesuffix("_high") not in values.INTERVALS:
            continue
        kind = "energy_error" if name in ENERGY else "ttft_error" if name.startswith("ttft") else "tpot_error"
        factor = errors.get(kind, one)
        table[name] = table[name] / factor if better(name) == "more" else table[name] * factor
    return table


# ------------------------------------------------------------------ elasticities


def elasticities(what, fields=None, outputs=OUTPUTS, step: float = STEP, choices=None, base=None) -> pd.DataFrame:
    """Per cent by which outputs move for one per cent of a field: `d log(output) / d log(field)`, central differences.

    The layout is the best at the point; the batch follows, as a real number, so that a step of one sequence is not read
    as a jump. Where the scenario names a load, it stays.

    Parameters
    ----------
    what : Scenario or DataFrame
        One scenario, or a frame of them over `base`.
    fields, outputs : names
        Numeric fields and outputs.

    Returns
    -------
    DataFrame
        One row a scenario and field: the frame's own columns, `field`, its `value` in force, `batch_limit` (what bounds
        the batch), one column an output. NaN where there is no figure or the point is not feasible.

    Raises
    ------
    ValueError
        For a name that does not exist or a field that takes whole numbers only.
    """
    frame, base = as_frame(what, base)
    fields, outputs = list(fields or (*RATES, *TIMES, *PRICES)), [outputs] if isinstance(outputs, str) else list(outputs)
    for name in fields:
        vary_one(name)
    best = optimum(frame, base, ["batch_limit"], choices)
    at = frame.assign(**{name: best[name] for name in (CHOICES if choices is None else choices) if name in best})
    columns = from_frame(at, base)[0]
    n, worth = len(frame), {name: np.broadcast_to(np.asarray(getattr(columns, name), float), len(frame)) for name in fields}
    blocks = []
    for name in fields:
        blocks += [at.assign(**{name: worth[name] * factor}) for factor in (1 + step, 1 - step)]
    varied = pd.concat(blocks, ignore_index=True)
    for name in fields:  # a missing cell of a concat is "as if not named"; what the frame names stays
        varied[name] = varied[name].where(varied[name].notna(), np.tile(at[name], 2 * len(fields)) if name in at else np.nan)
    found = _smooth(varied, base, outputs)
    slopes = {}
    for name in outputs:
        logs = np.log(found[name].to_numpy(float)).reshape(len(fields), 2, n)
        slopes[name] = ((logs[:, 0] - logs[:, 1]) / np.log((1 + step) / (1 - step))).T.ravel()
    known = np.array([worth[name] == worth[name] for name in fields]).T.ravel()
    own = {name: np.repeat(frame[name].array, len(fields)) for name in frame if name not in fields}
    named = dict(field=np.tile(fields, n), value=np.array([worth[name] for name in fields]).T.ravel())
    named |= dict(batch_limit=np.repeat(best["batch_limit"].array, len(fields)))
    feasible = np.repeat(best["feasible"].to_numpy(), len(fields)) & known
    return pd.DataFrame(own | named | {name: np.where(feasible, slope, np.nan) for name, slope in slopes.items()})


def _smooth(frame, base, outputs):
    """Outputs with the batch as a real number: where memory or a limit is met exactly, or the engine's own is reached."""
    given = [name for name in values.LOADS if name in base.named or name in frame and frame[name].notna().any()]
    columns = from_frame(frame, base)[0]
    deployed = deploy(columns)
    if given or deployed.reader is not None:
        return evaluate(frame, outputs, base=base)
    whole = evaluate(frame, ["batch", "meets_slo"], base=base)["batch"].to_numpy(float)
    cached = transformer.cached_tokens(columns, columns.input_tokens + columns.output_tokens / 2)
    room = np.minimum(layout.most_sequences(deployed.lay, deployed.held, cached), columns.max_batch)

    def times(batch):
        found = evaluate(frame.assign(batch=batch, hbm_bytes=ROOMY), ["ttft_s", "tpot_s"], base=base)
        return np.array([found["ttft_s"] / columns.ttft_slo_s, found["tpot_s"] / columns.tpot_slo_s])

    low, high = whole, whole + 1.0
    late, later = times(low), times(high)
    for _ in range(2):  # each limit lies between two batches: a secant, twice
        with np.errstate(invalid="ignore", divide="ignore"):
            reach = np.nanmin(np.where(later > 1, np.clip((1 - late) / (later - late), 0, 1), 1.0), axis=0)
        found = low + reach * (high - low)
        now = times(found)
        over = (now > 1).any(axis=0)
        low, late = np.where(over, low, found), np.where(over, late, now)
        high, later = np.where(over, found, high), np.where(over, now, later)
    with np.errstate(invalid="ignore", divide="ignore"):
        reach = np.nanmin(np.where(later > 1, np.clip((1 - late) / (later - late), 0, 1), 1.0), axis=0)
    batch = np.maximum(np.minimum(low + reach * (high - low), room), 1.0)
    return evaluate(frame.assign(batch=batch, hbm_bytes=ROOMY), outputs, base=base)


# ------------------------------------------------------------------ one at a time


def tornado(scenario: Scenario, fields=None, output: str = USD, ranges=None, choices=None, errors: bool = True) -> pd.DataFrame:
    """An output at the 10th and the 90th percentile of each input, one at a time, layout and batch chosen anew.

    Returns
    -------
    DataFrame
        field, label, unit, p10, value, p90 of the input; at_p10, base, at_p90 of the output, NaN where that point is not
        feasible; swing, the larger of the two over the smaller; reason, what is missing. Widest swing first.
    """
    facts = uncertain(one(scenario), fields, ranges, errors=_errors(errors, [output]))
    ends = pd.concat([_set(facts.iloc[[i]], facts[[end]].iloc[[i]].to_numpy()) for end in ("p10", "p90") for i in range(len(facts))] or [_blank(1)])
    frame = pd.concat([_blank(1), ends], ignore_index=True)
    found = optimum(_filled(frame), scenario, [output, "reason"], choices)
    value = found[output].where(found["feasible"]).to_numpy(float)
    low, high = np.where(facts["reason"] == "", value[1:].reshape(2, -1), np.nan)
    both = np.sort(np.array([low, high]), axis=0)
    table = facts.assign(at_p10=low, base=value[0], at_p90=high, swing=both[1] / both[0]) if len(facts) else facts
    why = found["reason"].astype(str).to_numpy()[1:].reshape(2, -1)
    short = np.where(np.isnan(low), why[0], np.where(np.isnan(high), why[1], ""))
    table["reason"] = np.where(table["reason"] != "", table["reason"], short)
    names = ["field", "id", "label", "unit", "p10", "value", "p90", "at_p10", "base", "at_p90", "swing", "reason"]
    return table[names].sort_values("swing", ascending=False, kind="stable", ignore_index=True)


def _errors(wanted, outputs):
    """The model's errors that bear on the outputs: that of energy on energy only."""
    return [name for name in ERRORS if wanted and (name != "energy_error" or ENERGY & {*outputs})]


def _blank(n):
    return pd.DataFrame(index=pd.RangeIndex(n))


def _set(facts, numbers):
    """A frame that names these facts, one row a row of numbers."""
    return pd.DataFrame(dict(zip(facts["field"], numbers.T, strict=True)))


def _filled(frame):
    """Where a row does not name an error of the model, it is none."""
    return frame.fillna({name: 1.0 for name in ERRORS if name in frame})


# ------------------------------------------------------------------ all at once


def sample(
    what, draws: int = 4096, outputs=(USD, "tpot_s"), fields=None, ranges=None, correlations=None, choices=None, errors: bool = True, seed: int = 0, base=None
) -> pd.DataFrame:
    """Draws of everything uncertain at once, on scrambled Sobol points: one row a draw and scenario.

    The scenarios of a frame share a draw: the same price of electricity for all, each chip's own price and error for each.

    Parameters
    ----------
    what : Scenario or DataFrame
        One scenario, or those to compare.
    draws : int
        Powers of two are best.
    correlations : dict
        `{(field, field): r}` between two inputs of one chip, site, ...; with the same field twice, between chips.

    Returns
    -------
    DataFrame
        draw, scenario (row of `what`), its columns, the inputs drawn, the outputs, `feasible`. A draw that cannot be
        served within the limits stays, and says so.

    Raises
    ------
    ValueError
        For a fact without a range among `fields`, and correlations that contradict one another.
    """
    from scipy.stats import qmc  # a second to import

    frame, base = as_frame(what, base)
    facts = known(uncertain(frame if len(frame.columns) else base, fields, ranges, base, _errors(errors, outputs)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of numbers of draws that are no power of two
        points = qmc.Sobol(max(len(facts), 1), scramble=True, rng=seed).random(draws)[:, : len(facts)]
    z = special.ndtri(np.clip(points, 1e-9, 1 - 1e-9)) @ mixing(facts, correlations or {}).T
    drawn, n = quantile(facts, z), len(frame)
    columns = {name: _tiled(frame[name], draws) for name in frame}
    columns |= {name: drawn[:, at].ravel() for name, at in _where(facts, frame, base).items()}
    tried = np.tile(_worth_trying(frame, base, choices), draws) if _alike(facts) else None
    found = optimum(pd.DataFrame(columns, index=pd.RangeIndex(draws * n), copy=False), base, list(outputs), choices, tried=tried)
    places = dict(draw=np.repeat(np.arange(draws), n), scenario=np.tile(np.arange(n), draws))
    inputs = {name: column for name, column in columns.items() if name not in found}
    results = {name: found[name].array for name in found if name not in frame}
    return pd.DataFrame(places | {name: columns[name] for name in frame} | inputs | results, copy=False)


def _alike(facts):
    """Do all inputs leave memory and speeds of the layouts as they are, but for a common factor?"""
    return all(name in ERRORS or name in LOADED or part in ("site", "finance") for name, part in zip(facts["field"], facts["part"], strict=True))


def _where(facts, frame, base):
    """For each field drawn, the fact that each row of the frame takes."""
    found, n = {}, len(frame)
    for name, mine in facts.groupby("field", sort=False):
        key = mine["part"].iloc[0]
        ids = frame[key].astype(str) if key in frame else [mine["id"].iloc[0]] * n
        found[name] = [dict(zip(mine["id"], mine.index, strict=True)).get(id, mine.index[0]) for id in ids]
    return found


def monte_carlo(what, draws: int = 4096, outputs=(USD,), reference: int | None = None, **how) -> pd.DataFrame:
    """How wide the answer is: percentiles of each output of each scenario over the draws of `sample`.

    A draw that cannot be served counts as worse than any other, so that nothing is dropped: where more than a tenth of
    them cannot, the bad end has no figure, and `infeasible` says why.

    Parameters
    ----------
    reference : int
        The row of `what` the others are compared with; by default none.
    **how
        As `sample` takes it: fields, ranges, correlations, choices, errors, seed, base.

    Returns
    -------
    DataFrame
        The columns of `what`, `output`, p10, p50, p90, mean (of the feasible), `infeasible` (share of the draws), `best`
        (share of the draws in which it is the best of all), `beats` (in which it is better than the reference).
    """
    return summary(sample(what, draws, outputs, **how), outputs, reference)


def summary(table: pd.DataFrame, outputs=(USD,), reference: int | None = None) -> pd.DataFrame:
    """Percentiles and odds of a table of draws, as `monte_carlo` gives them."""
    n = int(table["scenario"].max()) + 1
    own = [name for name in table.columns[2 : table.columns.get_loc("feasible")] if name in values.IDS]
    parts = []
    for name in outputs:
        value = _worst_last(table, name).reshape(-1, n)
        ends = np.quantile(value, [0.1, 0.5, 0.9], axis=0, method="inverted_cdf")
        ends = np.where(np.isinf(ends), np.nan, ends if better(name) == "less" else -ends)
        ends = ends if better(name) == "less" else ends[::-1]
        served = np.where(np.isinf(value), np.nan, np.abs(value))
        odds = {} if reference is None else dict(beats=np.where(np.arange(n) == reference, np.nan, _beats(value, value[:, [reference]])))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            mean = np.nanmean(served, axis=0)
        first, none = table.iloc[:n][own].reset_index(drop=True), np.isinf(value).mean(axis=0)
        wins = (value == value.min(axis=1, keepdims=True)) & np.isfinite(value)
        parts.append(first.assign(output=name, p10=ends[0], p50=ends[1], p90=ends[2], mean=mean, infeasible=none, best=wins.mean(axis=0), **odds))
    return pd.concat(parts, ignore_index=True)


def _worst_last(table, name):
    """An output such that less is better, infinite where the draw is not feasible."""
    value = table[name].to_numpy(float) * (1 if better(name) == "less" else -1)
    return np.where(table["feasible"] & ~np.isnan(value), value, np.inf)


def _beats(a, b):
    """Share of the draws in which a is better; ties count half."""
    return (a < b).mean(axis=0) + 0.5 * ((a == b) & np.isfinite(a)).mean(axis=0)


def odds(table: pd.DataFrame, by: str = USD, names=None) -> pd.DataFrame:
    """Probability that the scenario of a row beats that of a column, over the draws of `sample`; ties count half.

    What cannot be served loses to what can; where neither can, neither wins.
    """
    n = int(table["scenario"].max()) + 1
    value = _worst_last(table, by).reshape(-1, n)
    chance = np.array([_beats(value[:, [i]], value) for i in range(n)])
    np.fill_diagonal(chance, np.nan)
    first = table.iloc[:n]
    names = list(names) if names is not None else [str(x) for x in (first["chip"] if "chip" in first else range(n))]
    return pd.DataFrame(chance, index=names, columns=names)


def indices(function, names, n: int = 1024, seed: int = 0, resamples: int = 200) -> pd.DataFrame:
    """Sobol indices of a function of uniform inputs in [0, 1): what each moves alone, and with the others.

    Parameters
    ----------
    function : callable
        Takes (inputs, points), gives (points).
    names : names
        One an input.
    n : int
        Base points, a power of two; `n (inputs + 2)` evaluations.

    Returns
    -------
    DataFrame
        field, first and total index with the ends of their 80 % confidence intervals (bootstrap). Largest total first.

    References
    ----------
    .. [1] Saltelli et al., Variance based sensitivity analysis of model output, 2010; `scipy.stats.sobol_indices`.
    """
    from scipy import stats

    seen = []

    def kept(points):
        seen.append(np.array(function(points), float))
        return seen[-1].copy()

    found = stats.sobol_indices(func=kept, n=n, dists=[stats.uniform()] * len(names), rng=seed)
    table = pd.DataFrame(dict(field=list(names), first=found.first_order, total=found.total_order))
    f_a, f_b = seen[0] - np.mean(seen[:2]), seen[1] - np.mean(seen[:2])
    f_ab = seen[2].reshape(n, len(names)) - np.mean(seen[:2])
    times = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=resamples) / n  # how often a point is drawn again
    variance = (times @ (f_a**2 + f_b**2) / 2 - (times @ (f_a + f_b) / 2) ** 2)[:, None]
    again = dict(first=times @ (f_b[:, None] * (f_ab - f_a[:, None])), total=times @ (f_ab - f_a[:, None]) ** 2 / 2)
    for name, drawn in again.items():
        table[f"{name}_low"], table[f"{name}_high"] = np.quantile(drawn / np.where(variance > 0, variance, np.inf), [0.1, 0.9], axis=0)
    return table.sort_values("total", ascending=False, kind="stable", ignore_index=True)


def sobol(
    scenario: Scenario, fields=None, output: str = USD, n: int = 1024, ranges=None, choices=None, errors: bool = True, seed: int = 0, resamples: int = 200
) -> pd.DataFrame:
    """Share of the variance of an output's logarithm that each input explains: `first` alone, `total` with the others.

    A draw that misses the limits counts with the cost it has, at a batch of one; `infeasible` is the share of them.

    Returns
    -------
    DataFrame
        field, label, first, total and the ends of their 80 % confidence intervals, infeasible. Largest total first.

    Raises
    ------
    ValueError
        For a fact without a range, and where draws have no number at all.
    """
    facts = known(uncertain(one(scenario), fields, ranges, errors=_errors(errors, [output])))
    missed = []

    def run(points):
        found = optimum(_set(facts, quantile(facts, special.ndtri(np.clip(points.T, 1e-9, 1 - 1e-9)))), scenario, [output], choices)
        value = found[output].to_numpy(float, copy=True)
        if np.isnan(value).any():
            raise ValueError(f"{np.isnan(value).mean():.0%} of the draws have no {output}: they do not fit or lack a figure; narrow the ranges")
        missed.append(1 - found["feasible"].mean())
        return np.log(value)

    table = indices(run, facts["field"], n, seed, resamples)
    return table.assign(label=table["field"].map(dict(zip(facts["field"], facts["label"], strict=True))), infeasible=np.mean(missed))


# ------------------------------------------------------------------ what would have to be true


def what_must_be_true(
    a: Scenario, b: Scenario, field: str, span=None, output: str = USD, across=None, both: bool | None = None, choices=None
) -> pd.DataFrame:
    """The value of a field at which B is as good as A; a surface of them over a second field.

    Parameters
    ----------
    a, b : Scenario
        The one to beat, and the one that would.
    field : str
        A numeric field of B.
    span : (low, high)
        Where to look; by default a tenth to ten times its value in B, within what it may be.
    across : dict
        `{field: values}`: one break-even for each value.
    both : bool
        Whether A moves as well; by default it does where the field is of site, money or workload, which they share.

    Returns
    -------
    DataFrame
        The field of `across`, the break-even under the field's name (the one nearest to today's), `today` (its value in
        B), `ratio` between the two, `wins`: above, below, always, never; `wins_today`; `chance`: that the fact, by its
        own range, lies where B wins, NaN without a range.
    """
    a, b = one(a), one(b)
    vary_one(field)
    [(second, options)] = (across or {None: [np.nan]}).items()
    today, meta = in_force(b, field), values.FIELDS[field].metadata
    low, high = span or (max(today / 10, meta["allowed"][0]), min(today * 10, meta["allowed"][1]))
    if not 0 <= low < high:
        raise ValueError(f"{field} needs a span to look in: span=(low, high)")
    grid = np.unique(np.r_[np.geomspace(max(low, high / 1e6), high, GRID), today if low <= today <= high else high])
    options, gap = np.asarray(options, float), None
    shared = ("site", "finance", "workload")
    for scenario, moves in ((a, both if both is not None else values.OWNER[field] in shared), (b, True)):
        frame = pd.DataFrame({second: np.repeat(options, len(grid))} if second else {}, index=pd.RangeIndex(len(options) * len(grid)))
        if second and scenario is a and not (both if both is not None else values.OWNER[second] in shared):
            frame = frame.drop(columns=second)
        frame = frame.assign(**{field: np.tile(grid, len(options))}) if moves else frame
        found = optimum(frame, scenario, [output], choices)
        less = better(output) == "less"
        known = found["feasible"] & found[output].notna()
        value = np.log(np.where(known, found[output], np.inf if less else 0.0)) * (1 if less else -1)
        gap = value if gap is None else np.nan_to_num(value - gap, nan=0.0, posinf=1e9, neginf=-1e9)
    rows = [_break_even(grid, row, today) for row in gap.reshape(len(options), -1)]
    table = pd.DataFrame(rows, columns=[field, "wins", "wins_today"])
    table["today"], table["ratio"] = today, table[field] / today
    table["chance"] = [_chance(b, field, row[field], row["wins"]) for row in table.to_dict("records")]
    return table if second is None else pd.concat([pd.Series(options, name=second), table], axis=1)


def _break_even(grid, gap, today):
    """(Crossing nearest to today's value, side on which B wins, whether it does today); straight between points on a log scale."""
    cross = np.flatnonzero((gap[:-1] < 0) != (gap[1:] < 0))
    now = bool(np.interp(np.log(today), np.log(grid), gap) < 0)
    if not len(cross):
        return np.nan, "always" if gap[0] < 0 else "never", now
    at = [np.exp(np.log(grid[i]) + np.clip(gap[i] / (gap[i] - gap[i + 1]), 0, 1) * np.log(grid[i + 1] / grid[i])) for i in cross]
    nearest = int(np.argmin(np.abs(np.log(np.array(at) / today))))
    return at[nearest], "below" if gap[cross[nearest]] < 0 else "above", now


def _chance(scenario, field, value, wins):
    facts = uncertain(scenario, [field], errors=False)
    if wins in ("always", "never"):
        return float(wins == "always")
    if not len(facts) or facts["reason"].iloc[0]:
        return np.nan
    z = np.linspace(-4, 4, 4001)
    known = quantile(facts, z[:, None])[:, 0]
    below = float(special.ndtr(np.interp(value, known, z)))
    return below if wins == "below" else 1 - below
