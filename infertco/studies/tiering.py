"""Which chips to buy and rent, where and when, to serve every class of demand at the least cost.

    t = tiering(demand, ["h100-sxm", "l40s", "mi300x"], scenario, periods=5, power_cap_w=2e6)

The answer is a `Tiering` of tables:

    fleet    period, site, chip, tier, ownership, vintage, chips, bought, spare, w, usd, utilization
    routes   period, demand, chip, site, tensor_parallel, weight_bits, tier, ownership, share, requests_per_s, usd,
             ttft_s, tpot_s, usd_per_mtok        (chip "" and ownership "shed": not served, at its penalty)
    flows    period, chip, vintage, tier_from, tier_to, chips, usd       ("" from: bought; "" to: sold or retired)
    limits   limit, period, used, allowed, unit, binds, shadow_usd, shadow_unit       (what one more of it saves; of a need: below 0)
    rejected demand, chip, why, nearest, reduced_usd        (NaN where it fails its limits; else by how much it is too dear at least)
    by_tier  tier, chips, w, usd, requests_per_s, utilization, usd_per_mtok         (mean and, usd, sum of all periods; work included)
    summary  one row: status, usd_npv, bound_usd, gap, capex_usd, carbon_g, w, shed_share, solve_s

A shadow price holds the pools that are open and the clusters that train, and lets replicas and slices be divided. `conflict`
holds, in words, limits that cannot be met together. Dollars are real, discounted to the start (npv); those of a row of `fleet`
and `routes` are of its period, undiscounted, purchases spread over the life as everywhere in infertco. Those of `fleet` are of
chips that stand idle, those of `routes` of the chips a class needs and the electricity of its work.
`t.case.programme.export("case.mps")` (or .lp) writes the programme for others to check.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from infertco.checking import nearest
from infertco.plans import TieringPlan, made
from infertco.scenario import Scenario
from infertco.scenario import scenario as default_scenario
from infertco.studies import tiering_tables as tables
from infertco.studies.programme import Solution
from infertco.studies.tiering_case import SCALE, Case, build
from infertco.studies.tiering_demand import candidates, demands, sites_of
from infertco.studies.tiering_staffing import narrow, tighten

INNER = ("stock", "chips", "load", "line", "one line", "staffing", "smallest pool", "share of a way", "slices", "trains")  # arithmetic, not limits
HELD = ("line", "cluster")  # blocks held by a shadow price
FIELD = {  # of TieringPlan that makes a limit
    "power": "power_cap_w", "budget": "budget_usd", "carbon": "carbon_cap_g", "training": "training_need_chips",
    "compute of training": "training_need_flop_per_s", "smallest cluster": "training_cluster_chips", "vendor": "vendor_share",
}  # fmt: skip


class Tiering(NamedTuple):
    """The plan as tables (see the module), and the case behind it."""

    summary: pd.DataFrame
    fleet: pd.DataFrame
    routes: pd.DataFrame
    flows: pd.DataFrame
    limits: pd.DataFrame
    rejected: pd.DataFrame
    by_tier: pd.DataFrame
    conflict: tuple
    case: Case
    solution: Solution


def case(demand, chips, scenario: Scenario | None = None, plan: TieringPlan | None = None, existing=None, supply=None, site_power_w=None, sites=None,
         tensor_parallel=(1, 2, 4, 8), weight_bits=(np.nan,), **named) -> Case:  # fmt: skip
    """The programme of a tiered fleet, built and not solved; arguments as in `tiering`."""
    plan, more = made(TieringPlan, plan, named, "a tiering plan")
    scenario = (scenario or default_scenario()).vary(**more)
    chips = list(dict.fromkeys([chips] if isinstance(chips, str) else chips))
    if not chips:
        raise ValueError("chips needs at least one id")
    table = demands(demand, scenario, float(np.max(plan.premium_tpot_s)))
    sites = sites_of(table, scenario) if sites is None else sites
    found, rejected = candidates(table, chips, scenario, sites, tensor_parallel, weight_bits)
    by_rate = np.isfinite(plan.slices).any()
    return build(*_aggregated(table, found, by_rate), rejected, scenario, plan, existing, supply, site_power_w, chips, sites)


def tiering(demand, chips, scenario: Scenario | None = None, plan: TieringPlan | None = None, relax=False, explain=True, progress=None, **named) -> Tiering:
    """The cheapest fleet for the classes of demand, with what explains it.

    Parameters
    ----------
    demand : DataFrame or list of mappings
        One row a class: `demand` (name), `model`, `workload`, any field of the scenario, `demand_requests_per_s` (mean),
        `growth_per_year`, `residency` (site ids, comma-separated), `offline`, `tier`, `shed_usd_per_request` (NaN: must be served).
    chips : list of ids
    plan : TieringPlan
        Or its fields by name, and any of the scenario.
    relax : bool
        Without whole numbers: a lower bound, fast.
    explain : bool
        Shadow prices, and of an infeasible case the limits in conflict.
    progress : function
        Is told (seconds, net present cost of the best plan so far, proven bound) as the search goes on.
    existing : DataFrame or list
        What is owned: chip, count, age_years, tier (training), site.
    supply : mapping
        Most chips to be bought in a period, by chip; one number, or one a period.
    site_power_w : mapping
        Power cap of what is bought and held, PUE included, by site; one number, or one a period.

    Raises
    ------
    ValueError
        For what was typed. What cannot be served is a `conflict`.
    """
    return solved(case(demand, chips, scenario, plan, **named), relax, explain, progress=progress)


def solved(built: Case, relax=False, explain=True, ends=None, upper=None, progress=None) -> Tiering:
    """The plan of a case already built; `ends` and `upper` as in `Programme.solve`, `progress` told (seconds, best dollars, proven bound)."""
    plan = built.plan
    found = built.programme.solve(
        relax, plan.solver_limit_s, plan.mip_gap, ends=ends, upper=upper, tighten=None if relax else tighten(built), narrow=None if relax else narrow(built),
        progress=progress and (lambda taken_s, best, bound: progress(taken_s, best / SCALE, bound / SCALE)),
    )  # fmt: skip
    if found.x is None:
        why = tuple(_unserved(built)) or (tuple(conflict(built)) if explain and found.status == "infeasible" else ())
        nothing = pd.DataFrame()
        summary = pd.DataFrame([dict(status=found.status, usd_npv=np.nan, bound_usd=np.nan, gap=np.nan, solve_s=found.solve_s)])
        return Tiering(summary, nothing, nothing, nothing, nothing, built.rejected, nothing, why, built, found)
    shadow = built.programme.shadow(found.x, ends, HELD) if explain else None
    fleet, routes = tables.fleet(built, found.x), tables.routes(built, found.x)
    return Tiering(
        tables.summary(built, found, fleet), fleet, routes, tables.flows(built, found.x), tables.limits(built, found.x, shadow, ends),
        tables.why(built, found.x if explain else None), tables.by_tier(built, found.x, fleet, routes), (), built, found,
    )  # fmt: skip


def relaxed(built: Case, **limits) -> Tiering:
    """The plan without whole numbers under other limits, the programme as it stands: for sliders.

    Parameters
    ----------
    power_cap_w, budget_usd, carbon_cap_g : Number
        One, or one a period.
    supply, site_power_w : mapping
    """
    return solved(built, relax=True, explain=False, ends=ends_of(built, **limits))


def ends_of(built: Case, supply=None, site_power_w=None, **limits):
    """(low, high) of the rows with other caps.

    Raises
    ------
    ValueError
        For a limit that the case does not have: a chip that cannot be bought in it, a site without a place.
    """
    _, _, _, _, low, high, group, period = built.programme.arrays()
    high, t = high.copy(), period.astype(int)
    scales = dict(power_cap_w=("power", 1e-6), budget_usd=("budget", SCALE), carbon_cap_g=("carbon", 1e-6))
    given = [(*scales[name], x) for name, x in limits.items()] + [(f"supply of {chip}", 1.0, x) for chip, x in (supply or {}).items()]
    given += [(f"power at {site}", 1e-6, x) for site, x in (site_power_w or {}).items()]
    for name, scale, x in given:
        of = group == name
        if not of.any() and " " in name:  # of a chip or a site; where nothing is bought, no cap on purchases is needed
            there = [str(g) for g in dict.fromkeys(group) if str(g).startswith(("power at ", "supply of "))]
            raise ValueError(f"the case has no limit '{name}'{nearest(name, there)} It has {', '.join(there) or 'none of a chip or site'}")
        caps = np.broadcast_to(np.asarray(x, float), int(built.plan.periods))[t[of]] * scale
        high[of] = np.where(np.isnan(caps), np.inf, caps)
    return low, high


def cheapest_single(demand, chips, scenario: Scenario | None = None, plan: TieringPlan | None = None, **named) -> pd.DataFrame:
    """The same programme for each chip alone: chip, status, usd_npv, conflict; the cheapest first.

    The fair strawman: a fleet of one kind is compared at its best, not at its worst. Training keeps its own chips.
    """
    rows, trains = [], (named.get("training_tier_chip") or (plan or TieringPlan()).training_tier_chip).split(",")
    for chip in chips:
        supply = {name: x for name, x in (named.get("supply") or {}).items() if name == chip or name not in chips or name in trains}
        t = tiering(demand, [chip], scenario, plan, explain=False, **named | dict(supply=supply))
        s = t.summary.iloc[0]
        rows.append(dict(chip=chip, status=s["status"], usd_npv=s["usd_npv"], gap=s["gap"], conflict="; ".join(t.conflict)))
    return pd.DataFrame(rows).sort_values("usd_npv", kind="stable", ignore_index=True)


def conflict(built: Case) -> list[str]:
    """An irreducible set of limits, in words, that cannot be met together."""
    group = dict.fromkeys(built.programme.arrays()[6])
    return [_words(name, built) for name in built.programme.conflict([name for name in group if name and name not in INNER])]


def _words(name, built):
    group, high = built.programme.arrays()[6], built.programme.arrays()[5]
    field = FIELD.get("vendor" if name.startswith("vendor ") else name)
    if field:
        told = f"{name}: {field} = {', '.join(f'{x:g}' for x in np.atleast_1d(getattr(built.plan, field)))}"
        lost = built.rejected[built.rejected["demand"] == "training"] if name == "compute of training" else ()
        return told + "".join(f"; {near}" for near in (lost["nearest"] if len(lost) else ()))
    if name.startswith("demand of "):
        return name + ": all of it must be served"
    caps = dict.fromkeys(f"{x * (1e6 if name.startswith('power') else 1):g}" for x in high[(group == name) & np.isfinite(high)])
    return f"{name}: at most {', '.join(caps)} {tables.UNITS[name.split(' ')[0]][0]}"


def _unserved(built):
    """In words, the classes that must be served and that no chip serves within the limits."""
    words = []
    for i, row in built.demand.reset_index(drop=True).iterrows():
        if (built.routes["d"] == i).any() or np.isfinite(row["shed_usd_per_request"]):
            continue
        near = built.rejected[built.rejected["demand"].isin(row["members"])].sort_values("over", kind="stable")
        told = "no chip serves it within its limits" if near["over"].iloc[0] > 0 else "no chip that could serve it can be had"
        words.append(f"demand '{row['demand']}': {told}; {near['nearest'].iloc[0]}")
    return words


def _aggregated(table, found, by_rate):
    """Identical classes as one: they differ in name and, unless `by_rate`, rate only. `members` and `parts` take them apart again."""
    key = [name for name in table if name != "demand" and (by_rate or name != "demand_requests_per_s")]
    group = table.groupby(key, sort=False, dropna=False).ngroup().to_numpy()
    first = np.unique(group, return_index=True)[1]
    one = table.iloc[first].reset_index(drop=True)
    rate = np.bincount(group, table["demand_requests_per_s"])
    one["members"] = [tuple(table["demand"].to_numpy()[group == i]) for i in range(len(one))]
    one["parts"] = [tuple(table["demand_requests_per_s"].to_numpy()[group == i] / rate[i]) for i in range(len(one))]
    one["demand_requests_per_s"] = rate
    kept = found[np.isin(found["d"], first)].copy()
    kept["d"] = group[kept["d"]]
    return one, kept.reset_index(drop=True)
