"""The programme of a tiered fleet: variables, the rows of its limits, and what each column means.

    minimize   sum of discounted  purchases - sales + keeping + rent + electricity of the work + penalties
    demand     sum of shares + shed = 1                              each class and period
    staffing   replicas >= a z + b load, one line z of several       tangents of a concave curve: never too few
    chips      replicas x chips <= stock of the tier                 bought pools; rented ones pay by the chip
    stock      stock' = step(stock, bought, moved, retired)          the rows are `kernel.stock.step` of unit blocks
"""

from copy import copy
from typing import NamedTuple

import numpy as np
import pandas as pd

from infertco import catalog
from infertco.checking import nearest
from infertco.columns import from_frame
from infertco.kernel import cost, reliability, stock
from infertco.studies.programme import Programme
from infertco.studies.tiering_demand import TIERS
from infertco.studies.tiering_staffing import Staffing, staffing

EXISTING = ("chip", "count", "age_years", "tier", "site")
SCALE = 1e-3  # thousands of dollars: numbers near 1 for the solver
WAYS = dict(owned="owned", colo="colo", reserved="cloud", on_demand="cloud")


class Case(NamedTuple):
    """A programme built, and the tables that its columns belong to."""

    programme: Programme
    demand: pd.DataFrame
    routes: pd.DataFrame  # candidate x way: a row of x
    pools: pd.DataFrame
    places: pd.DataFrame  # chip and site where chips are bought
    vintages: np.ndarray  # years of purchase, 0 at the start
    at: dict  # block name -> column numbers
    rate: np.ndarray  # demand (class, period)
    plan: object
    discount: tuple  # (of a purchase, of a year's running times its years) by period
    rejected: pd.DataFrame
    finance: object
    finance_target: float  # probability that enough replicas work
    staff: Staffing


def target_of(plan, scenario) -> float:
    """Probability that enough replicas of a pool work."""
    return float(scenario.deployment.availability_target if np.isnan(plan.tier_nines) else min(1 - 10.0**-plan.tier_nines, 0.999999))


def by_period(given, periods, name):
    """One entry a period."""
    given = np.asarray(given, dtype=float)
    if given.size not in (1, periods):
        raise ValueError(f"{name} needs one value or one for each of the {periods} periods, got {given.size}")
    return np.broadcast_to(given, periods) if given.size == 1 else given


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


def money(frame, scenario, way):
    """Of each chip and site: installed price, keeping a chip idle for a year, electricity, watts, carbon."""
    c = copy(from_frame(frame, scenario)[0])
    c.availability = 1.0  # spares stand for it
    bought = way in ("owned", "colo")
    n = len(frame)
    full = lambda x: np.broadcast_to(np.asarray(x, dtype=float), n)  # noqa: E731
    beside_w = c.billing_power_share * (c.host_w + c.network_w)
    idle_w = c.idle_power_share * c.tdp_w + beside_w
    per_j = c.pue * c.usd_per_kwh / 3.6e6
    hourly = cost.hourly_usd(c, c, c, np.full(n, way == "owned"), np.zeros(n, bool), 0.0, idle_w, 1.0)._asdict()
    year = sum(term for name, term in hourly.items() if name == "building" or name not in cost.CAPITAL) * cost.HOURS
    installed = (c.chip_usd + c.host_usd + c.scale_up_usd + c.network_usd) * (1 + c.spares_share) + c.other_usd_per_chip
    rent = {"reserved": c.cloud_usd_per_hour_reserved, "on_demand": c.cloud_usd_per_hour_on_demand}.get(way, np.nan)
    return dict(
        installed_usd=full(installed), keep_usd=full(year if bought else rent * cost.HOURS), work_usd_per_j=full(per_j if bought else 0.0),
        rated_w=full((c.tdp_w + c.host_w + c.network_w) * c.pue), idle_g=full(idle_w * c.pue * cost.HOURS / 1e3 * c.grid_g_per_kwh),
        work_g_per_j=full(c.pue * c.grid_g_per_kwh / 3.6e6), works=full(reliability.replica(c, 1.0).availability),
        train_usd=full((c.billing_power_share * c.tdp_w - c.idle_power_share * c.tdp_w) * per_j * cost.HOURS * 3600),
    )  # fmt: skip


def build(demand, found, rejected, scenario, plan, existing=None, supply=None) -> Case:
    """The programme of the classes, their candidates and the limits of the plan."""
    T = int(plan.periods)
    years = np.arange(T) * plan.period_years
    rate_of_capital, life = scenario.finance.cost_of_capital, scenario.finance.chip_life_years
    now, year = (1 + rate_of_capital) ** -years, plan.period_years * (1 + rate_of_capital) ** -(years + plan.period_years / 2)
    rate = demand["demand_requests_per_s"].to_numpy()[:, None] * (1 + demand["growth_per_year"].to_numpy()[:, None]) ** years
    ways = [plan.buys] if plan.buys != "nothing" else []
    ways += {"both": ["reserved", "on_demand"], "nothing": []}.get(plan.rents, [plan.rents])
    routes = pd.concat([found.assign(ownership=way) for way in ways] or [found.iloc[:0].assign(ownership="")], ignore_index=True)
    sheet = {way: money(routes[["chip", "site"]], scenario, way) for way in ways}
    for name in next(iter(sheet.values()), {}):
        routes[name] = np.select([routes["ownership"] == way for way in ways], [sheet[way][name] for way in ways])
    bought = routes["ownership"].isin(["owned", "colo"])
    priced = np.isfinite(routes["keep_usd"]) & (np.isfinite(routes["installed_usd"]) | ~bought)
    routes = routes[priced].reset_index(drop=True)
    bought = routes["ownership"].isin(["owned", "colo"]).to_numpy()
    routes["tier"] = demand["tier"].to_numpy()[routes["d"]]
    key = ["model", "chip", "tensor_parallel", "weight_bits", "site", "tier", "ownership"]
    routes["p"] = routes.groupby(key, sort=False).ngroup()
    pools = routes.drop_duplicates("p").set_index("p")[[*key, "chips_per_replica", "keep_usd", "rated_w", "idle_g", "works"]].copy()
    pools["places"] = routes.groupby("p")["batch"].min()
    pools["waiting"] = pools["tier"] == "batch"
    pools["q"] = pools.groupby(key[:-1], sort=False).ngroup()  # bought and rented replicas of one kind are staffed as one pool
    R, P = len(routes), len(pools)
    d = routes["d"].to_numpy()
    peak = rate * demand["peak_over_mean"].to_numpy()[:, None]
    load = peak[d] / routes["capacity_requests_per_s"].to_numpy()[:, None]  # full replicas, were all served here

    prog, at = Programme(), {}
    seconds = cost.HOURS * 3600
    busy_j = (routes["active_w_per_chip"] - routes["idle_w_per_chip"]) * routes["chips_per_replica"] / routes["capacity_requests_per_s"]
    served = rate[d] * seconds * year  # requests, discounted
    at["x"] = prog.variables("share", (R, T), SCALE * served * (busy_j * routes["work_usd_per_j"]).to_numpy()[:, None], upper=1.0)
    may = np.isfinite(demand["shed_usd_per_request"].to_numpy())
    penalty = np.where(may, demand["shed_usd_per_request"], 0.0)
    at["shed"] = prog.variables("shed", (len(demand), T), SCALE * rate * seconds * year * penalty[:, None], upper=np.where(may, 1.0, 0.0)[:, None])
    rented = ~pools["ownership"].isin(["owned", "colo"]).to_numpy()
    chips = pools["chips_per_replica"].to_numpy()
    at["n"] = prog.variables("replicas", (P, T), SCALE * np.where(rented, pools["keep_usd"] * chips, 0.0)[:, None] * year, whole=True)
    for t in range(T):
        names = np.array([f"demand of {name}" for name in demand["demand"]], dtype=object)
        prog.rows(len(demand), [(d, at["x"][:, t], 1.0), (np.arange(len(demand)), at["shed"][:, t], 1.0)], 1.0, 1.0, names, t)
    target = target_of(plan, scenario)
    staff = staffing(prog, at, plan, target, pools, routes, load)
    places = routes[bought].drop_duplicates(["chip", "site"])[["chip", "site"]].reset_index(drop=True) if ways else pd.DataFrame(columns=["chip", "site"])
    old = pd.DataFrame(existing) if existing is not None and len(existing) else pd.DataFrame(columns=list(EXISTING))
    places, old = _owned_places(places, old, plan, scenario)
    vintages = np.r_[np.unique(-old["age_years"]) if len(old) else np.empty(0), years]
    if len(places):
        sheet = money(places[["chip", "site"]], scenario, plan.buys if plan.buys != "nothing" else scenario.finance.ownership)
        places = places.assign(**sheet)
        _stock(prog, at, plan, scenario, places, pools, rented, chips, vintages, old, years, now, year, life)
    _limits(prog, at, plan, places, supply, routes, pools, busy_j, rate[d] * seconds * plan.period_years, chips, rented, T)
    return Case(prog, demand, routes, pools, places, vintages, at, rate, plan, (now, year), rejected, scenario.finance, target, staff)


def _owned_places(places, old, plan, scenario):
    """(Places with those of what is owned and of training, what is owned with every column)."""
    old = old.copy()
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
    more = [old[["chip", "site"]]] if len(old) else []
    if plan.training_tier_chip:
        catalog.check_id("chip", plan.training_tier_chip, scenario.as_of)
        more.append(pd.DataFrame(dict(chip=[plan.training_tier_chip], site=[scenario.site.site])))
    return pd.concat([places, *more], ignore_index=True).drop_duplicates().reset_index(drop=True), old


def _stock(prog, at, plan, scenario, places, pools, rented, chips, vintages, old, years, now, year, life):
    """Chips by place, vintage, tier and period: bought, kept, moved down, sold."""
    C, V, K, T = len(places), len(vintages), len(TIERS), len(years)
    first = V - T
    g = scenario.finance.price_performance_per_year
    usd = places["installed_usd"].to_numpy()
    worth = lambda age: plan.resale_fraction * cost.market_share(np.maximum(age, 0.0), g)  # noqa: E731
    keep = np.repeat(places["keep_usd"].to_numpy()[:, None], K, axis=1)
    keep[:, 0] += places["train_usd"].to_numpy()
    age = years[None] - vintages[:, None]  # (V, T)
    exists = (age >= -1e-9) & (age < life - 1e-9)
    value = keep[:, None, :, None] * year * np.ones((C, V, K, T))
    value[..., -1] -= (usd[:, None, None] * worth(years[-1] + plan.period_years - vintages)[None, :, None]) * (1 + scenario.finance.cost_of_capital) ** -(
        years[-1] + plan.period_years
    )  # what is left at the end
    at["S"] = prog.variables("stock", (C, V, K, T), SCALE * value, upper=np.where(exists, np.inf, 0.0)[None, :, None, :])
    trains = (places["chip"] == plan.training_tier_chip).to_numpy() if plan.training_tier_chip else np.zeros(C, bool)
    may_buy = np.ones((C, K)) * np.inf
    may_buy[~trains, 0] = 0.0
    may_buy[np.isnan(usd)] = 0.0
    if plan.buys == "nothing":
        may_buy[:] = 0.0
    at["buy"] = prog.variables("buy", (C, K, T), SCALE * np.nan_to_num(usd)[:, None, None] * now, upper=may_buy[..., None], whole=True)
    down = np.zeros((K, K), bool)
    down[[0, 0, 0, 1, 1, 2], [1, 2, 3, 2, 3, 3]] = True
    usable = (age > 1e-9) & (age < life - 1e-9)
    at["move"] = prog.variables(
        "move", (C, V, K, K, T), SCALE * plan.move_usd_per_chip * now, upper=np.where(usable[None, :, None, None] & down[None, None, :, :, None], np.inf, 0.0)
    )
    back = np.nan_to_num(usd)[:, None, None, None] * (worth(age) * now)[None, :, None, :]
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
            bought[first + t] = at["buy"][c, :, t]
            before = nothing if t == 0 else at["S"][c, :, :, t - 1]
            columns = [x.ravel() for x in (before, bought, at["move"][c, ..., t], at["retire"][c, ..., t], at["S"][c, ..., t])]
            terms = [(i, column[j], part[i, j]) for part, column in zip(coefficients, columns, strict=True) for i, j in [np.nonzero(part)]]
            held = -start[c].ravel() if t == 0 else 0.0
            prog.rows(V * K, terms, held, held, "stock", t)
    where = {key: i for i, key in enumerate(zip(places["chip"], places["site"], strict=True))}
    own = np.flatnonzero(~rented)
    cell = np.array([where[x.chip, x.site] * K + TIERS.index(x.tier) for x in pools.iloc[own].itertuples()], dtype=int)
    i, v, k = np.indices((C, V, K))
    need = by_period(plan.training_need_chips, T, "training_need_chips")
    need = np.where(need > 0, np.maximum(need, by_period(plan.training_cluster_chips, T, "training_cluster_chips")), 0.0)
    for t in range(T):
        prog.rows(C * K, [(i * K + k, at["S"][..., t], 1.0), (cell, at["n"][own, t], -chips[own])], 0.0, group="chips", period=t)
        if need[t] > 0:
            of = np.flatnonzero(trains)
            prog.rows(1, [(0, at["S"][of, :, 0, t], 1.0)], need[t], group="training", period=t)


def _limits(prog, at, plan, places, supply, routes, pools, busy_j, requests, chips, rented, T):
    """The rows of what is capped; a NaN cap makes a row without an end, so that it can be set later."""
    caps = {name: by_period(getattr(plan, name), T, name) for name in ("power_cap_w", "budget_usd", "carbon_cap_g")}
    C = len(places)
    for t in range(T):
        high = {name: np.where(np.isnan(x), np.inf, x)[t] for name, x in caps.items()}
        if C:
            rated = places["rated_w"].to_numpy()[:, None, None]
            prog.rows(1, [(0, at["S"][..., t], rated / 1e6)], high=high["power_cap_w"] / 1e6, group="power", period=t)
            usd = np.nan_to_num(places["installed_usd"].to_numpy())
            prog.rows(1, [(0, at["buy"][..., t], SCALE * usd[:, None])], high=SCALE * high["budget_usd"], group="budget", period=t)
        work = (routes["work_g_per_j"] * busy_j).to_numpy() * requests[:, t] / 1e6
        held = np.where(rented, pools["idle_g"] * chips, 0.0) * plan.period_years / 1e6
        terms = [(0, at["x"][:, t], work), (0, at["n"][:, t], held)]
        terms += [(0, at["S"][..., t], places["idle_g"].to_numpy()[:, None, None] * plan.period_years / 1e6)] if C else []
        prog.rows(1, terms, high=high["carbon_cap_g"] / 1e6, group="carbon", period=t)
        for chip in dict.fromkeys(places["chip"]) if C else ():
            of = np.flatnonzero(places["chip"] == chip)
            most = np.inf if supply is None or chip not in supply else by_period(supply[chip], T, f"supply of {chip}")[t]
            prog.rows(1, [(0, at["buy"][of, :, t], 1.0)], high=most, group=f"supply of {chip}", period=t)
