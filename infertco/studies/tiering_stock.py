"""Chips of a tiered fleet from period to period: bought, kept, moved down the tiers, sold; and those that train.

    stock      stock' = step(stock, bought, moved, retired)          the rows are `kernel.stock.step` of unit blocks
    training   sum of chips that train >= need,  sum of rate x chips that train >= need in FLOP/s
    cluster    least y <= chips that train <= most y,  y 0 or 1      each kind of chip at each site

A chip's rate is the model FLOP/s that `studies.training.train` gives it in a cluster of the smallest size (CLUSTER chips
where none is given), times the goodput. What stands in the training tier and is not needed there trains nothing.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from infertco import catalog
from infertco.checking import nearest
from infertco.kernel import cost, stock
from infertco.studies import training
from infertco.studies.tiering_demand import TIERS

EXISTING = ("chip", "count", "age_years", "tier", "site")
SCALE = 1e-3  # thousands of dollars: numbers near 1 for the solver
PFLOP = 1e15
BOUGHT = ("owned", "colo")  # ways of having chips that stand on the books
CLUSTER = training.TrainingPlan().n_chips


def by_period(given, periods, name):
    """One entry a period."""
    given = np.asarray(given, dtype=float)
    if given.size not in (1, periods):
        raise ValueError(f"{name} needs one value or one for each of the {periods} periods, got {given.size}")
    return np.broadcast_to(given, periods) if given.size == 1 else given


def checked_caps(given, kind, what) -> dict:
    """A mapping of ids to numbers of at least 0, or to lists of them, one a period."""
    if not isinstance(given, Mapping | None):
        raise ValueError(f"{what} must hold lines of `{kind}: number`, got {given!r}")
    for name, most in (given or {}).items():
        catalog.check_id(kind, name)
        try:
            bad = (np.asarray(most, dtype=float) < 0).any()
        except (TypeError, ValueError):
            bad = True
        if bad:
            raise ValueError(f"{what} of '{name}' must be a number of at least 0, got {most!r}")
    return dict(given or {})


def caps(given, kind, known, what, periods) -> dict:
    """Most of each id, an array by period; NaN: no limit. An id that is not among `known` is a ValueError."""
    given, known = checked_caps(given, kind, what), tuple(dict.fromkeys(known))
    for name in given:
        if name not in known:
            raise ValueError(f"{what} names '{name}', which is not among the {kind}s: {', '.join(known)}")
    return {name: by_period(most, periods, f"{what} of {name}") for name, most in given.items()}


def stock_rows(vintages, tiers):
    """Coefficients of `step(stock, bought, moved, retired) - stock'` on (stock, bought, moved, retired, stock') of one chip.

    Each part is an array (rows, vintages, tiers) or, moved, (rows, vintages, from, to): `kernel.stock.step` applied to unit
    blocks on its trailing axis, so that the programme's rows are the arithmetic of the stock and no second version of it.
    """
    cells = vintages * tiers
    unit, moves = np.eye(cells).reshape(vintages, tiers, cells), np.eye(cells * tiers).reshape(vintages, tiers, tiers, cells * tiers)
    nothing = np.zeros((vintages, tiers, cells))
    parts = (
        stock.step(unit), stock.step(nothing, bought=unit), stock.step(np.zeros((vintages, tiers, cells * tiers)), moved=moves),
        stock.step(nothing, retired=unit), -unit,
    )  # fmt: skip
    return [part.reshape(cells, -1) for part in parts]


def owned(existing, scenario) -> pd.DataFrame:
    """What is owned, with every column of EXISTING."""
    old = pd.DataFrame(existing) if existing is not None and len(existing) else pd.DataFrame(columns=list(EXISTING))
    for name in old:
        if name not in EXISTING:
            raise ValueError(f"existing has no field '{name}'{nearest(str(name), EXISTING)}")
    for name, default in dict(site=scenario.site.site, tier="training", age_years=0.0).items():
        old[name] = old[name].fillna(default) if name in old else default
    for r in old.to_dict("records"):
        catalog.check_id("chip", r.get("chip"), scenario.as_of)
        catalog.check_id("site", r["site"], scenario.as_of)
        if r["tier"] not in TIERS:
            raise ValueError(f"existing: unknown tier '{r['tier']}'{nearest(str(r['tier']), TIERS)} It is one of {', '.join(TIERS)}")
        for name in ("count", "age_years"):
            if not r.get(name, -1) >= 0:
                raise ValueError(f"existing: {name} of {r['chip']} must be at least 0, got {r.get(name)}")
    return old


def all_places(places, old, plan, scenario):
    """Places where chips serve, with those of what is owned and of training; `trains` where the training tier may be."""
    ids = [id.strip() for id in plan.training_tier_chip.split(",")] if plan.training_tier_chip else []
    for id in ids:
        catalog.check_id("chip", id, scenario.as_of)
    for name in ("training_need_chips", "training_need_flop_per_s"):
        if np.max(getattr(plan, name)) > 0 and not ids:
            raise ValueError(f"{name} needs training_tier_chip, the chips that may train")
    more = pd.DataFrame(dict(chip=ids, site=scenario.site.site), dtype=object)
    out = pd.concat([places, old[["chip", "site"]], more], ignore_index=True).drop_duplicates().reset_index(drop=True)
    return out.assign(trains=out["chip"].isin(ids))


def rows_of_stock(prog, at, plan, scenario, places, old, now, year):
    """Columns of stock, purchases, moves and sales, and the rows that join them; the vintages, 0 at the start."""
    C, K, T = len(places), len(TIERS), int(plan.periods)
    years = np.arange(T) * plan.period_years
    vintages = np.r_[np.unique(-old["age_years"]) if len(old) else np.empty(0), years]
    V = len(vintages)
    if not C:
        return vintages
    finance, usd = scenario.finance, np.nan_to_num(places["installed_usd"].to_numpy())
    worth = lambda age: plan.resale_fraction * cost.market_share(np.maximum(age, 0.0), finance.price_performance_per_year)  # noqa: E731
    keep = np.repeat(places["keep_usd"].to_numpy()[:, None], K, axis=1)
    keep[:, 0] += places["train_usd"].to_numpy()
    age, end = years[None] - vintages[:, None], T * plan.period_years  # (V, T)
    young = age < finance.chip_life_years - 1e-9
    value = keep[:, None, :, None] * year * np.ones((C, V, K, T))
    value[..., -1] -= usd[:, None, None] * worth(end - vintages)[None, :, None] * (1 + finance.cost_of_capital) ** -end  # what is left at the end
    at["S"] = prog.variables("stock", (C, V, K, T), SCALE * value, upper=np.where((age >= -1e-9) & young, np.inf, 0.0)[None, :, None, :])
    may_buy = np.full((C, K), 0.0 if plan.buys == "nothing" else np.inf)
    may_buy[~places["trains"], 0] = 0.0
    may_buy[places["installed_usd"].isna()] = 0.0
    at["buy"] = prog.variables("buy", (C, K, T), SCALE * usd[:, None, None] * now, upper=may_buy[..., None], whole=True)
    down = np.zeros((K, K), bool)
    down[[0, 0, 0, 1, 1, 2], [1, 2, 3, 2, 3, 3]] = True
    moves = ((age > 1e-9) & young)[None, :, None, None] & down[None, None, :, :, None]
    at["move"] = prog.variables("move", (C, V, K, K, T), SCALE * plan.move_usd_per_chip * now, upper=np.where(moves, np.inf, 0.0))
    back = usd[:, None, None, None] * (worth(age) * now)[None, :, None, :]
    at["retire"] = prog.variables("retire", (C, V, K, T), -SCALE * back, upper=np.where(age > 1e-9, np.inf, 0.0)[None, :, None, :])
    start = np.zeros((C, V, K))
    for r in old.to_dict("records"):
        c = int(np.flatnonzero((places["chip"] == r["chip"]) & (places["site"] == r["site"]))[0])
        start[c, int(np.flatnonzero(np.isclose(vintages, -r["age_years"]))[0]), TIERS.index(r["tier"])] += r["count"]
    coefficients = stock_rows(V, K)
    nothing = np.full((V, K), -1)
    for t in range(T):
        for c in range(C):
            bought = nothing.copy()
            bought[V - T + t] = at["buy"][c, :, t]
            before = nothing if t == 0 else at["S"][c, :, :, t - 1]
            columns = [x.ravel() for x in (before, bought, at["move"][c, ..., t], at["retire"][c, ..., t], at["S"][c, ..., t])]
            terms = [(i, column[j], part[i, j]) for part, column in zip(coefficients, columns, strict=True) for i, j in [np.nonzero(part)]]
            held = -start[c].ravel() if t == 0 else 0.0
            prog.rows(V * K, terms, held, held, "stock", t)
    return vintages


def rows_of_vendors(prog, at, plan, scenario, places, T):
    """No vendor sells more than a share of the chips bought in a period."""
    share = by_period(plan.vendor_share, T, "vendor_share")
    chips = catalog.table("chip", scenario.as_of)
    vendor = np.array([chips.columns["vendor"][chips.row[id]] for id in places["chip"]], dtype=object)
    for t in np.flatnonzero(np.isfinite(share)):
        for name in dict.fromkeys(vendor):
            prog.rows(1, [(0, at["buy"][..., t], (vendor == name)[:, None] - share[t])], high=0.0, group=f"vendor {name}", period=t)


def rows_of_pools(prog, at, places, pools, T):
    """The chips of the replicas of bought pools are those that stand in the tier."""
    C, K = len(places), len(TIERS)
    own = np.flatnonzero(pools["place"] >= 0)
    cell = np.array([x.place * K + TIERS.index(x.tier) for x in pools.iloc[own].itertuples()], dtype=int)
    chips = pools["chips_per_replica"].to_numpy()[own]
    c, v, k = np.indices(at["S"].shape[:3]) if C else (0, 0, 0)
    for t in range(T if C else 0):
        prog.rows(C * K, [(c * K + k, at["S"][..., t], 1.0), (cell, at["n"][own, t], -chips)], 0.0, group="chips", period=t)


def trained_flop_per_s(chips, sizes, model, scenario):
    """(Sustained model FLOP/s of one chip in a cluster of `sizes` chips, failures counted; why it is none), arrays (chips, sizes).

    Examples
    --------
    >>> from infertco.scenario import scenario
    >>> rate, why = trained_flop_per_s(["h100-sxm", "rtx-4090"], [64], "", scenario(model="llama-3.1-70b"))
    >>> print((rate > 1e14).ravel(), why.ravel() != "")
    [ True False] [False  True]
    """
    chip, size = (x.ravel() for x in np.meshgrid(np.asarray(chips, dtype=object), np.ceil(sizes), indexing="ij"))
    frame = pd.DataFrame(dict(chip=chip, n_chips=size)).assign(**(dict(model=model) if model else {}))
    runs = training.train(frame, base=scenario)
    rate = np.where(runs["fits"], np.nan_to_num(runs["tflops_per_device"] * 1e12 * runs["goodput"]), 0.0)
    why = np.where(rate > 0, "", runs["reason"].astype(str))
    return rate.reshape(len(chips), -1), why.reshape(len(chips), -1)


def rows_of_training(prog, at, plan, scenario, places, T) -> pd.DataFrame:
    """Columns and rows of what trains; the chips of the training tier that cannot train the model, as rows of `rejected`."""
    names = "training_need_chips", "training_need_flop_per_s", "training_cluster_chips"
    chips, flop, least = (by_period(getattr(plan, name), T, name) for name in names)
    of, none = np.flatnonzero(places["trains"]) if len(places) else [], pd.DataFrame()
    if not ((chips > 0) | (flop > 0)).any():
        return none
    ids, rate = places["chip"].to_numpy()[of], np.zeros((len(of), T))
    if (flop > 0).any():
        catalog.check_id("model", plan.training_tier_model or scenario.model.model, scenario.as_of)
        kinds = list(dict.fromkeys(ids))
        found, why = trained_flop_per_s(kinds, np.where(least > 0, least, CLUSTER), plan.training_tier_model, scenario)
        rate = found[[kinds.index(id) for id in ids]]
        lost = [(chip, why[i][found[i] == 0][0]) for i, chip in enumerate(kinds) if (found[i] == 0).any()]
        none = pd.DataFrame([dict(demand="training", chip=chip, why=word, nearest=f"{chip}: {word}", over=np.inf) for chip, word in lost])
    most = 2 * np.maximum(np.maximum(chips, least), np.where(rate > 0, flop / np.where(rate > 0, rate, 1.0), 0.0))  # twice what a plan needs
    at["trains"] = prog.variables("trains", most.shape)
    at["cluster"] = prog.variables("cluster", most.shape, lower=np.where(least > 0, 0.0, 1.0), upper=1.0, whole=least > 0)
    c = np.arange(len(of))
    for t in range(T):
        here, y = at["trains"][:, t], at["cluster"][:, t]
        prog.rows(len(of), [(c, here, 1.0), (c, y, -most[:, t])], high=0.0, group="trains", period=t)
        prog.rows(len(of), [(c, here, 1.0), (c[:, None], at["S"][of, :, 0, t], -1.0)], high=0.0, group="trains", period=t)
        prog.rows(len(of), [(c, here, 1.0), (c, y, -least[t])], 0.0, group="smallest cluster", period=t)
        if chips[t] > 0:
            prog.rows(1, [(0, here, 1.0)], chips[t], group="training", period=t)
        if flop[t] > 0:
            prog.rows(1, [(0, here, rate[:, t] / PFLOP)], flop[t] / PFLOP, group="compute of training", period=t)
    return none


def used(built, x, ends):
    """(Left sides of the rows, their ends), to be told.

    Of a need for training all counts that stands where a cluster trains, not just what the need takes of it; of a vendor's
    share both sides are chips.
    """
    x, (low, high) = x.copy(), ends
    share = by_period(built.plan.vendor_share, int(built.plan.periods), "vendor_share")
    bought = x[built.at["buy"]].sum(axis=(0, 1)) * share if "buy" in built.at else share
    group, period = built.programme.arrays()[6:]
    more = np.where([str(g).startswith("vendor ") for g in group], bought[period.astype(int)], 0.0)
    if "trains" in built.at:
        stands = x[built.at["S"]][built.places["trains"].to_numpy(), :, 0].sum(axis=1)
        x[built.at["trains"]] = np.where(x[built.at["cluster"]] > 0.999, stands, x[built.at["trains"]])
    return built.programme.matrix() @ x + more, low + more, high + more
