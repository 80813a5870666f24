"""The programme of a tiered fleet: variables, the rows of its limits, and what each column means.

    minimize   sum of discounted  purchases - sales + keeping + rent + electricity of the work + penalties
    demand     sum of shares + shed = 1                              each class and period
    staffing   replicas >= a z + b load, one line z of several       tangents of a concave curve: never too few
    chips      replicas x chips <= stock of the tier                 bought pools; rented ones pay by the chip
    slices     slices x share = a whole number                       only where classes are cut into slices

Staffing: `tiering_staffing`. Stock and training: `tiering_stock`.
"""

from copy import copy
from typing import NamedTuple

import numpy as np
import pandas as pd

from infertco.columns import from_frame
from infertco.kernel import cost, reliability
from infertco.studies.programme import Programme
from infertco.studies.tiering_staffing import Staffing, staffing
from infertco.studies.tiering_stock import BOUGHT, SCALE, all_places, by_period, caps, owned, rows_of_pools, rows_of_stock, rows_of_training, rows_of_vendors


class Case(NamedTuple):
    """A programme built, and the tables that its columns belong to."""

    programme: Programme
    demand: pd.DataFrame
    routes: pd.DataFrame  # candidate x way: a row of x
    pools: pd.DataFrame
    places: pd.DataFrame  # chip and site where chips are bought, owned or train
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


def money(frame, scenario, way):
    """Of each chip and site: installed price, keeping a chip idle for a year, electricity, watts, carbon."""
    c = copy(from_frame(frame, scenario)[0])
    c.availability = 1.0  # spares stand for it
    bought = way in BOUGHT
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


def ways_of(plan, scenario, old) -> tuple:
    """(How chips are held that are bought or owned, "" where none are; how chips are rented)."""
    held = plan.buys if plan.buys != "nothing" else scenario.finance.ownership if scenario.finance.ownership == "owned" else "colo"
    rents = {"both": ("reserved", "on_demand"), "nothing": ()}.get(plan.rents, (plan.rents,))
    return (held if plan.buys != "nothing" or len(old) else ""), rents


def _priced(found, demand, plan, scenario, old):
    """(Candidate x way of holding its chips, where that way has a price; the classes and chips that lack one, in words)."""
    held, rents = ways_of(plan, scenario, old)
    ways = [way for way in (held, *rents) if way]
    routes = pd.concat([found.assign(ownership=way, **money(found[["chip", "site"]], scenario, way)) for way in ways or ["colo"]], ignore_index=True)
    here = set(zip(old["chip"], old["site"], strict=True))
    mine = np.array([key in here for key in zip(routes["chip"], routes["site"], strict=True)], dtype=bool)
    can_buy = (plan.buys != "nothing") & np.isfinite(routes["installed_usd"])
    routes = routes[np.isfinite(routes["keep_usd"]) & (can_buy | mine | routes["ownership"].isin(rents))]
    bought = [plan.buys] if plan.buys != "nothing" else []
    if bought or rents:
        why, near = "no price", "{} serves it within its limits and has no price: " + ", ".join([*bought, *rents])
    else:
        why, near = "not owned", "{} serves it within its limits and is not owned; nothing may be bought or rented"
    with_price = set(zip(routes["d"], routes["chip"], strict=True))
    lost = [
        dict(demand=name, chip=chip, why=why, nearest=near.format(chip), over=0.0)
        for d, chip in dict.fromkeys(zip(found["d"], found["chip"], strict=True)) if (d, chip) not in with_price for name in demand["members"].iloc[d]
    ]  # fmt: skip
    return routes.reset_index(drop=True), pd.DataFrame(lost)


def build(demand, found, rejected, scenario, plan, existing=None, supply=None, site_power_w=None, chip_ids=(), sites=()) -> Case:
    """The programme of the classes, their candidates and the limits of the plan."""
    T = int(plan.periods)
    years = np.arange(T) * plan.period_years
    rate_of_capital = scenario.finance.cost_of_capital
    now, year = (1 + rate_of_capital) ** -years, plan.period_years * (1 + rate_of_capital) ** -(years + plan.period_years / 2)
    rate = demand["demand_requests_per_s"].to_numpy()[:, None] * (1 + demand["growth_per_year"].to_numpy()[:, None]) ** years
    old = owned(existing, scenario)
    routes, unpriced = _priced(found, demand, plan, scenario, old)
    held, rents = ways_of(plan, scenario, old)
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
    routes["work_j"] = (routes["active_w_per_chip"] - routes["idle_w_per_chip"]) * routes["chips_per_replica"] / routes["capacity_requests_per_s"]
    served = rate[d] * seconds * year  # requests, discounted
    at["x"] = prog.variables("share", (R, T), SCALE * served * (routes["work_j"] * routes["work_usd_per_j"]).to_numpy()[:, None], upper=1.0)
    may = np.isfinite(demand["shed_usd_per_request"].to_numpy())
    penalty = np.where(may, demand["shed_usd_per_request"], 0.0)
    at["shed"] = prog.variables("shed", (len(demand), T), SCALE * rate * seconds * year * penalty[:, None], upper=np.where(may, 1.0, 0.0)[:, None])
    rented = pools["ownership"].isin(rents).to_numpy()
    chips = pools["chips_per_replica"].to_numpy()
    at["n"] = prog.variables("replicas", (P, T), SCALE * np.where(rented, pools["keep_usd"] * chips, 0.0)[:, None] * year, whole=True)
    for t in range(T):
        names = np.array([f"demand of {name}" for name in demand["demand"]], dtype=object)
        prog.rows(len(demand), [(d, at["x"][:, t], 1.0), (np.arange(len(demand)), at["shed"][:, t], 1.0)], 1.0, 1.0, names, t)
    _slices(prog, at, plan, np.array([len(names) for names in demand["members"]])[d], T)
    target = target_of(plan, scenario)
    staff = staffing(prog, at, plan, target, pools, routes, load)
    places = all_places(routes.loc[~routes["ownership"].isin(rents), ["chip", "site"]], old, plan, scenario)
    places = places.assign(ownership=held or "colo", **money(places[["chip", "site"]], scenario, held or "colo"))
    for r in places[np.isnan(places["keep_usd"])].itertuples():
        raise ValueError(f"{r.chip} has no price (chip_usd), which its upkeep follows; it can be neither owned nor train")
    where = {key: i for i, key in enumerate(zip(places["chip"], places["site"], strict=True))}
    for table in (routes, pools):  # where their chips stand; -1: rented
        here = zip(table["chip"], table["site"], table["ownership"].isin(BOUGHT), strict=True)
        table["place"] = np.array([where[chip, site] if bought else -1 for chip, site, bought in here], dtype=int)
    vintages = rows_of_stock(prog, at, plan, scenario, places, old, now, year)
    rows_of_pools(prog, at, places, pools, T)
    rows_of_vendors(prog, at, plan, scenario, places, T)
    untrained = rows_of_training(prog, at, plan, scenario, places, T)
    power = caps(site_power_w, "site", [*sites, *places["site"]], "site_power_w", T)
    supply = caps(supply, "chip", [*chip_ids, *places["chip"]], "supply", T)
    _limits(prog, at, plan, places, supply, power, routes, pools, rate[d] * seconds * plan.period_years, chips, rented, T)
    rejected = pd.concat([t for t in (rejected, unpriced, untrained) if len(t)] or [rejected], ignore_index=True)
    return Case(prog, demand, routes, pools, places, vintages, at, rate, plan, (now, year), rejected, scenario.finance, target, staff)


def _slices(prog, at, plan, alike, T):
    """Shares in whole slices, each of which one pool serves; `alike` classes in one have as many each."""
    slices = by_period(plan.slices, T, "slices")
    if not np.isfinite(slices).any():
        return
    whole, row = np.where(np.isfinite(slices), slices, 0.0) * alike[:, None], np.arange(len(alike))
    at["slices"] = prog.variables("slices", whole.shape, upper=whole, whole=True)
    for t in np.flatnonzero(np.isfinite(slices)):
        prog.rows(len(alike), [(row, at["x"][:, t], whole[:, t]), (row, at["slices"][:, t], -1.0)], 0.0, 0.0, "slices", t)


def _limits(prog, at, plan, places, supply, power, routes, pools, requests, chips, rented, T):
    """The rows of what is capped; a NaN cap makes a row without an end, so that it can be set later."""
    given = {name: by_period(getattr(plan, name), T, name) for name in ("power_cap_w", "budget_usd", "carbon_cap_g")}
    C = len(places)
    for t in range(T):
        high = {name: np.where(np.isnan(x), np.inf, x)[t] for name, x in given.items()}
        if C:
            rated = places["rated_w"].to_numpy()[:, None, None]
            prog.rows(1, [(0, at["S"][..., t], rated / 1e6)], high=high["power_cap_w"] / 1e6, group="power", period=t)
            usd = np.nan_to_num(places["installed_usd"].to_numpy())
            prog.rows(1, [(0, at["buy"][..., t], SCALE * usd[:, None])], high=SCALE * high["budget_usd"], group="budget", period=t)
        for site in dict.fromkeys(places["site"]):
            of, most = np.flatnonzero(places["site"] == site), power.get(site, np.full(T, np.nan))[t]
            here = [(0, at["S"][of, ..., t], places["rated_w"].to_numpy()[of, None, None] / 1e6)]
            prog.rows(1, here, high=np.inf if np.isnan(most) else most / 1e6, group=f"power at {site}", period=t)
        work = (routes["work_g_per_j"] * routes["work_j"]).to_numpy() * requests[:, t] / 1e6
        held = np.where(rented, pools["idle_g"] * chips, 0.0) * plan.period_years / 1e6
        terms = [(0, at["x"][:, t], work), (0, at["n"][:, t], held)]
        terms += [(0, at["S"][..., t], places["idle_g"].to_numpy()[:, None, None] * plan.period_years / 1e6)] if C else []
        prog.rows(1, terms, high=high["carbon_cap_g"] / 1e6, group="carbon", period=t)
        for chip in dict.fromkeys(places["chip"]):
            of, most = np.flatnonzero(places["chip"] == chip), supply.get(chip, np.full(T, np.nan))[t]
            prog.rows(1, [(0, at["buy"][of, :, t], 1.0)], high=np.inf if np.isnan(most) else most, group=f"supply of {chip}", period=t)
