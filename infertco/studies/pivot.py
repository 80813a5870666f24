"""The pivot: serving and training month by month in compute, power and money, and when the one overtakes the other.

A story (data/stories.csv) says who asks, what is trained and how fast both grow; a `PivotPlan` changes it. `pivot` turns
it into months with the kernel that serves within the limits and the kernel that trains, and draws what is not known.

    served(t)  = users(t) requests(t) chip-seconds a request(t) / utilization / efficiency(t)
    trained(t) = [runs x tokens x (1 + experiments) + tunes x tokens] growth(t) chip-seconds a token / use

both in chips of the first month. Compute is their peak; power what later chips of the same work are rated at; spend
what that work costs: capital falls with price-performance, power and the building with energy efficiency. Left out: that
a fleet is older than its newest chip (`studies.vintages`), and prices that answer to demand.
"""

from dataclasses import fields, replace
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from infertco import catalog, values
from infertco.kernel import cost, demand
from infertco.kernel.training import peak_flop_per_s
from infertco.plans import PivotPlan, made
from infertco.scenario import Scenario, evaluate, scenario
from infertco.stages import Z80
from infertco.studies.training import plan as training_plan
from infertco.studies.training import train

MEASURES = ("compute", "power", "spend")
QUANTILES = (2.5, 10, 25, 50, 75, 90, 97.5)
KNOTS = 3  # months at which the kernel is asked; between them a request's chip-seconds move on a logarithmic line
LAYOUTS = (1, 2, 4, 8, 16)
KEPT = ("chip", "model", "workload", "site", "tensor_parallel", "requests_per_user_day", "utilization")  # scenario fields of a story
HOURS = cost.HOURS / 12
OWN_SERIES = ("users", "requests", "serving_chips", "training_chips")
PRICE = ("usd_per_chip_hour", "usd_per_mtok", "usd_per_mtok_electricity", "usd_per_mtok_facility")
NOT_DRAWN = (  # choices of the one who plans, and what only the fleet asks
    "window_months", "training_chips", "refresh_years", "buy_ahead_years", "resale_share", "lead_time_years", "shortage_multiple",
    "training_fabric_bytes_per_s",
)  # fmt: skip
ADOPTED_BY = dict(bass=("innovation_rate", "imitation_rate"), logistic=("user_growth_per_year",), exponential=("user_growth_per_year",), steady=())


class Pivot(NamedTuple):
    """What `pivot` found."""

    paths: object  # DataFrame, a month a row: the middle path
    crossings: object  # DataFrame, a measure a row: date and its 80 % range
    dates: dict  # measure: crossing of each draw, decimal year; NaN never
    bands: dict  # share of inference by measure, tokens, usd (to serve, over a year), usd_per_chip_hour (to serve): quantiles a month
    inputs: object  # DataFrame: every input in force with range and source
    scenario: object
    plan: object


def pivot(what: Scenario | None = None, plan: PivotPlan | None = None, draws: int = 2048, seed: int = 0, series=None, **named) -> Pivot:
    """Inference against training over the months of a story, the middle path and the spread around it.

    Parameters
    ----------
    what : Scenario
        What is served, where, by whom; by default the story's. Its named fields stand over the story's.
    plan : PivotPlan
        Or its fields by name, and any of the scenario: `pivot(story="lab", efficiency_gain_per_year=1.0)`.
    draws : int
        Paths drawn; 0 for the middle one alone. What the caller named is not drawn.
    series : DataFrame or path of a CSV
        The user's own months: `month` and any of OWN_SERIES in place of the modeled ones; past its end they go on growing as the model's do.

    Returns
    -------
    Pivot

    Raises
    ------
    ValueError
        For a name that does not exist, a value out of range, an end before the beginning, a series with a gap, and a
        story that nothing can serve or train.
    """
    scn, plan, facts = told(what, plan, named)
    months = calendar(facts.first_month, facts.last_month)
    own = _own(series, months)
    middle = path(scn, facts, months, own)
    paths = _table(middle, months)
    found = path(scn, _drawn(scn, facts, draws, seed), months, own) if draws else middle
    dates = {name: years(months, crossing(found, name, facts.window_months)) for name in MEASURES}
    bands = {name: _bands(months, share(found, name, facts.window_months)) for name in MEASURES}
    bands["tokens"] = _bands(months, found.tokens)
    bands["usd"] = _bands(months, demand.window_sum(found.inference_spend, 12))
    bands["usd_per_chip_hour"] = _bands(months, found.inference_spend / found.inference_chip_hours)
    return Pivot(paths, _crossings(middle, months, dates, facts, bool(draws)), dates, bands, facts.table, scn, plan)


def stories() -> dict:
    """Stories by their ids: {id: title}."""
    table = catalog.facts("stories")
    titles = table[table["parameter"] == "title"]
    return {item: title for item, title in zip(titles["item"], titles["value"], strict=True) if item != "default"}


def told(what=None, plan=None, named=None):
    """(Scenario, plan, facts): the story's fields under those that the caller named; `facts.table` says where each is from."""
    import pandas as pd

    plan, more = made(PivotPlan, plan, named or {}, "a pivot plan")
    known = stories()
    if plan.story not in known:
        raise ValueError(f"unknown story '{plan.story}'{catalog.nearest(plan.story, known)} Known: {', '.join(known)}")
    table = catalog.facts("stories")
    lines = {row.parameter: row for item in ("default", plan.story) for row in table[table["item"] == item].itertuples()}
    base = what or scenario()
    theirs = {name: lines[name].value for name in KEPT if name in lines and name not in base.named and name not in more}
    if what is not None:
        theirs = {name: x for name, x in theirs.items() if name not in values.IDS}
    scn = (scenario(**theirs) if what is None else base.vary(**theirs)).vary(**more)
    rows, found = [], {}
    for field in fields(PivotPlan):
        name, meta = field.name, field.metadata
        if name == "story":
            continue
        mine, line = getattr(plan, name), lines.get(name)
        given = mine if meta["unit"] == "text" else None if np.ndim(mine) == 0 and mine != mine else mine
        is_told = line is not None and not (given is None or isinstance(given, str) and not given)
        value = given if line is None or is_told else line.value
        low, high = (np.nan, np.nan) if is_told or line is None else (line.low, line.high)
        found[name] = value
        rows.append(dict(field=name, part="plan", id=plan.story, label=meta["label"], unit=meta["unit"], value=value, low=low, high=high,
                         source="" if is_told else line.source, date="" if is_told else line.date, confidence="" if is_told else line.confidence,
                         changed=is_told))  # fmt: skip
    facts = SimpleNamespace(**found, table=pd.DataFrame(rows), named=frozenset(r["field"] for r in rows if r["changed"]))
    for name, kind in (("small_model", "model"), ("trained_model", "model"), ("training_chip", "chip")):
        if getattr(facts, name):
            catalog.check_id(kind, getattr(facts, name), scn.as_of)
    return scn, replace(plan, **{name: x for name, x in found.items() if x is not None}), facts


def calendar(first: str, last: str):
    """The first days of the months from first to last."""
    import pandas as pd

    months = pd.date_range(first, last, freq="MS")
    if len(months) < 2:
        raise ValueError(f"last_month must be later than first_month {first}, got {last}")
    return months


def read_series(given):
    """The user's own months as a DataFrame, checked; ValueError naming the first month that lacks."""
    import pandas as pd

    if given is None or isinstance(given, str) and not given:
        return None
    table = given.reset_index() if isinstance(given, pd.DataFrame) and "month" not in given else given
    if not isinstance(table, pd.DataFrame):
        table = pd.read_csv(given)
    if "month" not in table:
        raise ValueError(f"a series needs a column month, got {', '.join(map(str, table.columns))}")
    try:
        month = pd.to_datetime(table["month"].astype(str)).dt.to_period("M").dt.to_timestamp()
    except ValueError:
        raise ValueError(f"month of a series must be as 2026-01, got '{table['month'].iloc[0]}'") from None
    columns = [name for name in table.columns if name not in ("month", "index")]
    for name in columns:
        if name not in OWN_SERIES:
            raise ValueError(f"unknown column '{name}' of a series{catalog.nearest(str(name), OWN_SERIES)} Known: month, {', '.join(OWN_SERIES)}")
    table = table[columns].set_axis(pd.DatetimeIndex(month), axis=0)
    if table.index.duplicated().any():
        raise ValueError(f"a series has {table.index[table.index.duplicated()][0]:%Y-%m} twice")
    table = table.sort_index()
    whole = pd.date_range(table.index[0], table.index[-1], freq="MS")
    if len(gap := whole.difference(table.index)):
        raise ValueError(f"a series must have every month from {whole[0]:%Y-%m} to {whole[-1]:%Y-%m}; {gap[0]:%Y-%m} is missing")
    for name in columns:
        numbers = pd.to_numeric(table[name], errors="coerce")
        if (bad := ~(numbers > 0)).any():
            raise ValueError(f"{name} of a series must be above 0 in every month, got {table[name][bad].iloc[0]} in {table.index[bad][0]:%Y-%m}")
        table[name] = numbers
    return table


def _own(series, months):
    table = read_series(series)
    if table is None:
        return {}
    if table.index[0] > months[0]:
        raise ValueError(f"a series must begin by {months[0]:%Y-%m}, the first month; it begins in {table.index[0]:%Y-%m}")
    return {name: table[name].reindex(months).to_numpy() for name in table}


def _laid(own, name, path):
    """The user's own months in place of the modeled ones; past their end, the last of them with the model's growth."""
    if name not in own:
        return path
    mine = own[name]
    end = int(np.isfinite(mine).sum()) - 1
    mine = mine.reshape(-1, *(1,) * (path.ndim - 1))
    return np.where(np.isfinite(mine), mine, mine[end] * path / path[end])


def path(scn, f, months, own):
    """Every month of one path, or of as many as the numbers of `f` have entries; arrays (months,) or (months, draws)."""
    shape = (-1, *(1,) * max(np.ndim(x) for x in vars(f).values() if isinstance(x, (float, np.ndarray))))
    t = (np.arange(len(months)) / 12).reshape(shape)
    p, knots = SimpleNamespace(), np.unique(np.linspace(0, len(months) - 1, KNOTS).astype(int))
    p.users = _laid(own, "users", _users(t, f))
    per_day = getattr(f, "requests_per_user_day", scn.value("requests_per_user_day"))
    p.requests = _laid(own, "requests", p.users * per_day * (1 + f.request_growth_per_year) ** t * 365 / 12)
    p.prompt = scn.value("input_tokens") * (1 + f.prompt_growth_per_year) ** t
    p.prefix = demand.toward(t, scn.value("prefix_hit_rate"), f.prefix_share_end, f.half_years)
    p.reasoning = demand.toward(t, f.reasoning_share_start, f.reasoning_share_end, f.half_years)
    p.small = demand.toward(t, f.small_share_start, f.small_share_end, f.half_years) if f.small_model else 0.0 * t
    p.answer = scn.value("output_tokens") * (1 + p.reasoning * (f.reasoning_multiplier - 1))
    p.tokens = p.requests * (p.prompt + p.answer)
    gain = (1 + f.model_growth_per_year) ** t / (1 + f.efficiency_gain_per_year) ** t
    offline = np.asarray(f.offline_share) + 0.0 * t
    seconds = _chip_seconds(scn, f, p, knots, t)
    error = getattr(f, "serving_error", 1.0)
    work = p.requests * gain * error / (HOURS * 3600) / getattr(f, "utilization", scn.value("utilization"))
    size, kind = dict(large=1 - p.small, small=p.small), (1 - p.reasoning, p.reasoning)
    within, waiting = (sum(size[m] * kind[r] * s for (m, r, slow), s in seconds.items() if slow == late) for late in (False, True))
    p.premium_chips, p.batch_chips = work * within * (1 - offline), work * waiting * offline
    modeled = p.premium_chips + p.batch_chips
    p.serving_chips = _laid(own, "serving_chips", modeled)
    p.premium_chips, p.batch_chips = (x * p.serving_chips / modeled for x in (p.premium_chips, p.batch_chips))
    trained = _trained(scn, f)
    yearly = f.runs_per_year * f.run_tokens * (1 + f.experiment_multiple) + f.tunes_per_year * f.tune_tokens * (1 + f.experiment_multiple)
    p.training_tokens = yearly / 12 * demand.rising(t, f.training_growth_per_year, f.training_growth_fade)
    busy = p.training_tokens * trained.chip_hours_per_token * getattr(f, "training_error", 1.0) / HOURS
    p.training_chips = _laid(own, "training_chips", busy / f.training_utilization)
    p.inference_flop, p.training_flop = p.requests * _flop(scn, f, p) * gain, p.training_tokens * trained.flop_per_token
    bought = (1 + getattr(f, "price_performance_per_year", scn.value("price_performance_per_year"))) ** -t
    joules = (1 + f.energy_gain_per_year) ** -t
    for name, chips, of in (("inference", p.serving_chips, _price(scn, _priced(scn, f))), ("training", p.training_chips, trained)):
        setattr(p, f"{name}_compute", chips * of.peak)
        setattr(p, f"{name}_power", chips * of.w * joules)
        setattr(p, f"{name}_spend", chips * HOURS * of.usd_per_chip_hour * ((1 - of.powered) * bought + of.powered * joules))
        setattr(p, f"{name}_chip_hours", chips * HOURS)
    return p


def _users(t, f):
    at, market = np.asarray(f.users_at_start, dtype=float), np.asarray(f.market_users, dtype=float)
    share_now = np.minimum(at / market, 0.999)
    if f.adoption == "bass":
        return market * demand.bass(t + demand.bass_age(share_now, f.innovation_rate, f.imitation_rate), f.innovation_rate, f.imitation_rate)
    if f.adoption == "logistic":
        return market * demand.logistic(t, share_now, f.user_growth_per_year)
    return at * (1 + f.user_growth_per_year * (f.adoption == "exponential")) ** t


def _classes(f):
    models = [("large", "")] + ([("small", f.small_model)] if f.small_model else [])
    slow = [False] * bool(np.any(np.asarray(f.offline_share) < 1)) + [True] * bool(np.any(np.asarray(f.offline_share) > 0))
    return [(name, id, r, s) for name, id in models for r in (0, 1) for s in slow]


def _chip_seconds(scn, f, p, knots, t):
    """{(model, reasoning, offline): chip-seconds of one request} along the months, from the kernel at the knots."""
    import pandas as pd

    classes, wide = _classes(f), (len(t), *np.broadcast_shapes(p.prompt.shape[1:], p.prefix.shape[1:], np.shape(f.reasoning_multiplier)))
    prompt, prefix = (np.broadcast_to(x, wide)[knots] for x in (p.prompt, p.prefix))
    times = np.broadcast_to(np.asarray(f.reasoning_multiplier, dtype=float), wide[1:])
    frames = []
    for _name, id, r, slow in classes:
        answer = np.broadcast_to(scn.value("output_tokens") * np.where(r, times, 1.0), prompt.shape)
        limits = dict(ttft_slo_s=np.nan, tpot_slo_s=np.nan) if slow else {}
        row = dict(model=id or scn.model.model, input_tokens=prompt.ravel(), output_tokens=answer.ravel(), prefix_hit_rate=prefix.ravel())
        frames.append(pd.DataFrame(row | {k: np.full(prompt.size, x) for k, x in limits.items()}))
    own_limits = {name: scn.value(name) for name in values.SLOS[:2]}
    frame = pd.concat(frames, keys=range(len(classes)), names=["class", "row"])
    for name in own_limits:
        if name in frame:
            fast = ~frame.index.get_level_values("class").isin([i for i, c in enumerate(classes) if c[3]])
            frame.loc[fast, name] = own_limits[name]
    frame["tensor_parallel"] = _layouts(scn, classes, frame)[frame.index.get_level_values("class")]
    found = evaluate(frame.reset_index(drop=True), ["chips_per_replica", "capacity_requests_per_s", "reason"], base=scn.vary(batch=None))
    each = (found["chips_per_replica"] / found["capacity_requests_per_s"]).to_numpy(float)
    out = {}
    for i, (name, _, r, slow) in enumerate(classes):
        rows = each[i * prompt.size : (i + 1) * prompt.size].reshape(prompt.shape)
        if np.isnan(rows).all():
            why = found["reason"].astype(str).iloc[i * prompt.size]
            raise ValueError(f"the {name} model of the story cannot be served: {why}")
        at = np.searchsorted(knots, np.arange(len(t)), side="right") - 1
        at = np.minimum(at, len(knots) - 2)
        part = ((np.arange(len(t)) - knots[at]) / (knots[at + 1] - knots[at])).reshape(-1, *(1,) * (rows.ndim - 1))
        log = np.log(np.where(np.isnan(rows), np.nanmedian(rows), rows))
        out[name, r, slow] = np.exp(log[at] * (1 - part) + log[at + 1] * part)
    return out


def _layouts(scn, classes, frame):
    """The layout that serves most per chip within the limits, for each class, at its first row."""
    if "tensor_parallel" in scn.named:
        return np.full(len(classes), float(scn.value("tensor_parallel")))
    import pandas as pd

    first = frame.groupby(level="class").head(1).reset_index(drop=True)
    tried = pd.concat([first.assign(tensor_parallel=float(x)) for x in LAYOUTS], ignore_index=True)
    found = evaluate(tried, ["capacity_requests_per_s", "chips_per_replica", "meets_slo"], base=scn.vary(batch=None))
    score = (found["capacity_requests_per_s"] / found["chips_per_replica"]).to_numpy(float) * np.where(found["meets_slo"], 1.0, 1e-6)
    return np.array(LAYOUTS, float)[np.argmax(np.nan_to_num(score).reshape(len(LAYOUTS), -1), axis=0)]


def _flop(scn, f, p):
    """Model FLOP of a request, `2 N` a token that is not found in the cache."""
    size = catalog.models(scn.as_of)["active_params"]
    large, small = size[scn.model.model], size[f.small_model] if f.small_model else 0.0
    return 2 * (large * (1 - p.small) + small * p.small) * (p.prompt * (1 - p.prefix) + p.answer)


def _priced(scn, f, of=None):
    """Those numbers of `f` that price a chip-hour; what is drawn of a chip moves any other's (`of`) by the same factor."""
    found = {name: x for name, x in vars(f).items() if name in values.FIELDS}
    for name in [name for name in found if of is not None and values.OWNER[name] == "chip"]:
        found[name] = found[name] * (of.value(name) / scn.value(name) if scn.value(name) else 1.0)
    return found


def _price(scn, priced=None):
    """Dollars, rated watts and peak of one chip of a scenario, or many with other prices; the dollars at its own prices.

    And the share of the dollars that power and building take.
    """
    import pandas as pd

    scn = scn.vary(batch=None)
    row = evaluate(scn, ["batch", *PRICE, "reason"])
    if not row["usd_per_chip_hour"][0] > 0:
        raise ValueError(f"a pivot needs the cost of a chip-hour: {row['reason'][0]}")
    alone = float(row["usd_per_chip_hour"][0])
    if priced:
        row = evaluate(pd.DataFrame(priced), list(PRICE), base=scn.vary(batch=float(row["batch"][0])))
    usd, total, electricity, facility = (row[name].to_numpy(float) if priced else float(row[name][0]) for name in PRICE)
    chip = scn.chip
    peak = float(peak_flop_per_s(chip, 0))
    host, network, pue = ((priced or {}).get(name, scn.value(name)) for name in ("host_w", "network_w", "pue"))
    powered = np.nan_to_num((electricity + facility) / total)
    return SimpleNamespace(usd_per_chip_hour=usd, alone_usd_per_chip_hour=alone, powered=powered, peak=peak, w=(chip.tdp_w + host + network) * pue)


def _trained(scn, f):
    """The same of a chip that trains, and what one token takes of it."""
    own = scn.vary(**{"chip": f.training_chip} if f.training_chip else {})
    mine = own.vary(**{"model": f.trained_model} if f.trained_model else {})
    row = train(mine, training_plan(n_chips=float(np.median(f.training_chips)), train_tokens=1e12)).iloc[0]
    if not row["chip_hours"] > 0 or not row["fits"]:
        raise ValueError(f"the story's model cannot be trained: {row['reason']}")
    own = own.vary(tensor_parallel=None)
    price = _price(own, _priced(scn, f, own))
    price.chip_hours_per_token, price.flop_per_token = row["chip_hours"] / 1e12, row["model_flop_per_token"]
    price.spread = np.log(row["days_high"] / row["days"]) / Z80
    if row["usd_per_chip_hour"] > 0:
        price.usd_per_chip_hour = price.usd_per_chip_hour * row["usd_per_chip_hour"] / price.alone_usd_per_chip_hour
    return price


# ------------------------------------------------------------------ draws


def uncertain(scn, facts):
    """Inputs that are drawn, a row each, as `ranges.quantile` takes them: those of the story with a range, the prices and watts
    of the scenario, and the model's errors."""
    import pandas as pd

    from infertco.studies import ranges

    table = facts.table
    unused = {name for names in ADOPTED_BY.values() for name in names} - set(ADOPTED_BY[facts.adoption]) | set(NOT_DRAWN)
    table = table[(table["unit"] != "text") & ~table["changed"] & ~table["field"].isin(unused)]
    table = table[[low < high for low, high in zip(table["low"], table["high"], strict=True)]]
    rows = [dict(field=r.field, label=r.label, unit=r.unit, value=float(r.value), low=float(r.low), high=float(r.high)) for r in table.itertuples()]
    priced = ranges.uncertain(scn, errors=False)
    priced = priced[priced["part"].isin(["finance", "site"]) | priced["unit"].str.match("USD|W$") | (priced["field"] == "requests_per_user_day")]
    spread = scn.chip.tpot_spread * (scn.chip.moe_spread if scn.model.n_experts > 0 else 1.0)
    for name, label, sd in (("serving_error", "Model: serving", spread), ("training_error", "Model: training", _trained(scn, facts).spread)):
        if sd == sd:
            rows.append(dict(field=name, label=label, unit="1", value=1.0, low=np.exp(-Z80 * sd), high=np.exp(Z80 * sd)))
    told = pd.DataFrame(rows)
    told["shape"] = np.where(told["field"].isin(_ONES) | (told["low"] <= 0), "triangular", "lognormal")
    return pd.concat([told, priced[list(told)]], ignore_index=True)


_ONES = {f.name for f in fields(PivotPlan) if f.metadata["allowed" if f.metadata["unit"] != "text" else "unit"] == values.ONE}


def _drawn(scn, facts, draws, seed):
    """The facts with `draws` entries each, and beside them what else of the scenario is drawn."""
    from scipy.special import ndtri

    from infertco.studies import ranges

    known = uncertain(scn, facts)
    z = ndtri(np.clip(ranges.latin(draws, len(known), np.random.default_rng(seed)), 1e-6, 1 - 1e-6))
    columns = zip(known["field"], ranges.quantile(known, z).T, strict=True)
    return SimpleNamespace(**vars(facts) | dict(columns))


# ------------------------------------------------------------------ what crosses when


def share(p, measure, window):
    """Inference, share of both, added up over the window; shape of the paths."""
    mine, theirs = (demand.window_sum(getattr(p, f"{name}_{measure}"), window) for name in ("inference", "training"))
    return mine / (mine + theirs)


def crossing(p, measure, window):
    """Month from which inference is above training, over the window; NaN never."""
    return demand.crossing(*(demand.window_sum(getattr(p, f"{name}_{measure}"), window) for name in ("inference", "training")))


def years(months, at):
    """Decimal years of months counted from the first."""
    return np.atleast_1d(months[0].year + (months[0].month - 1 + np.asarray(at, dtype=float)) / 12)


def _bands(months, paths):
    import pandas as pd

    paths = paths if paths.ndim > 1 else paths[:, None]
    found = np.percentile(paths, QUANTILES, axis=1)
    return pd.DataFrame({"month": months} | {f"p{q:g}".replace(".", "_"): row for q, row in zip(QUANTILES, found, strict=True)})


def _crossings(middle, months, dates, facts, drawn):
    """A row a measure: middle and range of the date, chance never to cross and to have crossed at the start, the closed form."""
    import pandas as pd

    rows, first = [], float(years(months, 0)[0])
    for name in MEASURES:
        each = dates[name]
        order = np.sort(np.where(np.isnan(each), np.inf, each))
        low, mid, high = (order[min(int(q * len(order)), len(order) - 1)] for q in (0.1, 0.5, 0.9))
        inference, trained = (np.log(getattr(middle, f"{part}_{name}")) for part in ("inference", "training"))
        year = min(12, len(months) - 1)
        pace = [np.expm1((path[year] - path[0]) * 12 / year) for path in (inference, trained)]
        closed = demand.crossing_years(np.exp(trained[0] - inference[0]), *pace)
        rows.append(dict(measure=name, path=float(years(months, crossing(middle, name, facts.window_months))[0]), date=mid, date_low=low, date_high=high,
                         never=np.isnan(each).mean(), before=(each <= first).mean(), closed_form=first + closed))  # fmt: skip
    return pd.DataFrame(rows).replace(np.inf, np.nan) if not drawn else pd.DataFrame(rows)


def _table(p, months):
    """The middle path as a table, shares of spend included."""
    import pandas as pd

    names = ("users", "requests", "tokens", "prompt", "answer", "reasoning", "prefix", "small", "premium_chips", "batch_chips", "serving_chips",
             "training_chips", "inference_flop", "training_flop")  # fmt: skip
    table = {"month": months} | {name: np.broadcast_to(getattr(p, name), len(months)) for name in names}
    for name in ("inference", "training"):
        table |= {f"{name}_chip_hours": getattr(p, f"{name}_chip_hours"), f"{name}_compute": getattr(p, f"{name}_compute"),
                  f"{name}_mw": getattr(p, f"{name}_power") / 1e6, f"{name}_usd": getattr(p, f"{name}_spend")}  # fmt: skip
    return pd.DataFrame(table)


def need(found: Pivot):
    """Chips that must stand in each tier, a month a row, in chips of the first month: what `studies.vintages` takes."""
    return found.paths[["month", "training_chips", "premium_chips", "batch_chips"]]
