"""Tiered fleets under uncertainty, and what a plan trades: buy first, route and rent once the demand is known.

    minimize   (1 - c) E[cost] + c CVaR      with the purchases the same in every scenario
    CVaR       eta + E[max(cost - eta, 0)] / (1 - alpha)        the mean of the dearest 1 - alpha (Rockafellar and Uryasev, 2000)

`two_stage` gives the value of knowing (EVPI: the plan's cost over that of deciding in each scenario by itself) and of
planning for more than the mean (VSS: what buying for the mean demand costs more). `frontier` walks a limit. All without
whole numbers.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from infertco.scenario import scenario as default_scenario
from infertco.studies.programme import Programme
from infertco.studies.tiering import case, relaxed
from infertco.studies.tiering_case import SCALE
from infertco.studies.tiering_demand import demands
from infertco.values import FIELDS


class TwoStage(NamedTuple):
    """`scenarios`: one row each, with its cost under the plan and on its own; `buys`: the plan beside what each alone would buy.

    `costs`: plan, outcome, usd of every such set of purchases in every outcome (NaN where it cannot serve), "plan" being the plan.
    """

    summary: pd.DataFrame
    scenarios: pd.DataFrame
    buys: pd.DataFrame
    costs: pd.DataFrame


def two_stage(demand, chips, outcomes, scenario=None, plan=None, cvar_share=0.0, alpha=0.9, **named) -> TwoStage:
    """The purchases that are cheapest over all outcomes, what knowing them is worth, and what planning for the mean costs.

    Parameters
    ----------
    outcomes : DataFrame or list of mappings
        `outcome` (name), `weight` (adds up to 1), `demand_factor`, and any field of the scenario or plan that differs (a price).
    cvar_share, alpha : float
        Weight of the dear tail in the objective, and where the tail begins.

    Returns
    -------
    TwoStage
        summary: usd_npv (expected), cvar_usd, evpi_usd, vss_usd, robust_outcome (whose own purchases are cheapest over all).

    Notes
    -----
    Demand that must be served in every outcome needs something to rent, or a penalty; else the plan has no solution and is NaN.
    """
    rows = pd.DataFrame(outcomes).to_dict("records")
    weight = np.array([r["weight"] for r in rows], dtype=float)
    if not np.isclose(weight.sum(), 1.0) or (weight < 0).any():
        raise ValueError(f"weights of outcomes must be at least 0 and add up to 1, got {', '.join(f'{w:g}' for w in weight)}")
    table = pd.DataFrame(demand)

    def scaled(factor, more):
        own = {name: x for name, x in more.items() if name not in ("outcome", "weight", "demand_factor") and x == x}
        return case(table.assign(demand_requests_per_s=table["demand_requests_per_s"] * factor), chips, scenario, plan, **named | own)

    cases = [scaled(r.get("demand_factor", 1.0), r) for r in rows]
    mean = scaled(float(weight @ [r.get("demand_factor", 1.0) for r in rows]), {})
    if len({c.at["buy"].shape if "buy" in c.at else () for c in (*cases, mean)}) > 1:
        raise ValueError("outcomes must leave the same chips to buy")
    together, dear = _together(cases, weight, cvar_share, alpha)
    found = together.solve(relax=True)
    own = [c.programme.solve(relax=True) for c in cases]
    buys = [_buys(c, s.x) for c, s in zip(cases, own, strict=True)]
    planned = found.x[dear[0]][cases[0].at["buy"]] if found.x is not None else np.full(cases[0].at["buy"].shape, np.nan)
    cost = lambda bought: np.array([_cost(c, bought) for c in cases])  # noqa: E731
    under, of_mean = cost(planned), weight @ cost(_buys(mean, mean.programme.solve(relax=True).x))
    alone = np.array([s.objective for s in own]) / SCALE
    each = [cost(b) for b in buys]
    over_all = [float(weight @ usd) for usd in each]
    expected = float(weight @ under)
    order = np.argsort(under)[::-1]
    tail = np.minimum(np.cumsum(weight[order]), 1 - alpha)
    cvar = float(np.diff(tail, prepend=0.0) @ under[order] / (1 - alpha))
    summary = pd.DataFrame([dict(
        usd_npv=expected, cvar_usd=cvar, evpi_usd=expected - float(weight @ alone), vss_usd=of_mean - expected,
        robust_outcome=str(rows[int(np.nanargmin(over_all))].get("outcome", "")) if np.isfinite(over_all).any() else "",
    )])  # fmt: skip
    names = [str(r.get("outcome", i)) for i, r in enumerate(rows)]
    scenarios = pd.DataFrame(dict(outcome=names, weight=weight, usd_npv=under, alone_usd=alone, regret_usd=under - alone, its_buys_usd=over_all))
    chips_of = cases[0].places["chip"].to_numpy()
    long = [
        dict(plan=name, period=t, chip=chip, chips=float(b[chips_of == chip, :, t].sum()))
        for name, b in zip(("plan", *names), (planned, *buys), strict=True) for t in range(b.shape[2]) for chip in dict.fromkeys(chips_of)
    ]  # fmt: skip
    costs = [dict(plan=name, outcome=o, usd=x) for name, usd in zip(("plan", *names), (under, *each), strict=True) for o, x in zip(names, usd, strict=True)]
    return TwoStage(summary, scenarios, pd.DataFrame(long), pd.DataFrame(costs).replace(np.inf, np.nan))


def _together(cases, weight, cvar_share, alpha):
    """(All cases as one programme with the same purchases, column numbers of each)."""
    prog = Programme()
    at = [prog.append(c.programme, (1 - cvar_share) * w, f"outcome{i}_") for i, (c, w) in enumerate(zip(cases, weight, strict=True))]
    first = at[0][cases[0].at["buy"]].ravel()
    for c, of in zip(cases[1:], at[1:], strict=True):
        row = np.arange(len(first))
        prog.rows(len(first), [(row, of[c.at["buy"]].ravel(), 1.0), (row, first, -1.0)], 0.0, 0.0, "the same purchases")
    if cvar_share > 0:
        eta = prog.variables("eta", 1, cvar_share, lower=-np.inf)
        over = prog.variables("over", len(cases), cvar_share * weight / (1 - alpha))
        for i, (c, of) in enumerate(zip(cases, at, strict=True)):
            cost = c.programme.arrays()[0]
            prog.rows(1, [(0, of, cost), (0, eta, -1.0), (0, over[i : i + 1], -1.0)], high=0.0, group="tail")
    return prog, at


def _buys(c, x):
    return np.full(c.at["buy"].shape, np.nan) if x is None else x[c.at["buy"]]


def _cost(c, bought):
    """Cost of a case with its purchases held; inf where they cannot serve it."""
    if np.isnan(bought).any():
        return np.nan
    _, lower, upper = c.programme.arrays()[:3]
    lower, upper = lower.copy(), upper.copy()
    slack = 1e-6 * np.maximum(bought, 1.0)  # a budget spent to the last dollar is met to the solver's tolerance only
    lower[c.at["buy"]], upper[c.at["buy"]] = bought - slack, bought + slack
    found = c.programme.solve(relax=True, least=np.maximum(lower, 0.0), upper=np.maximum(upper, 0.0))
    return np.inf if found.x is None else found.objective / SCALE


def frontier(built, limit: str, values) -> pd.DataFrame:
    """What a limit costs: power_cap_w, budget_usd or carbon_cap_g walked over `values`; the least cost at each (epsilon constraint)."""
    found = [(x, relaxed(built, **{limit: x}).summary.iloc[0]) for x in values]
    columns = ("status", "usd_npv", "capex_usd", "carbon_g", "w")
    return pd.DataFrame([{limit: x} | {name: s.get(name, np.nan) for name in columns} for x, s in found])


def latency_frontier(demand, chips, factors, scenario=None, plan=None, **named) -> pd.DataFrame:
    """What speed costs: the TPOT limits of all classes times each factor; least cost, shares that miss stay NaN."""
    changed = {name: x for name, x in named.items() if name in FIELDS and name not in ("tensor_parallel", "weight_bits")}  # those are layouts tried
    limits = demands(demand, (scenario or default_scenario()).vary(**changed))["tpot_slo_s"].to_numpy()
    rows = []
    for factor in factors:
        t = relaxed(case(pd.DataFrame(demand).assign(tpot_slo_s=limits * factor), chips, scenario, plan, **named))
        s = t.summary.iloc[0]
        rows.append(dict(tpot_factor=factor, status=s["status"], usd_npv=s["usd_npv"], conflict="; ".join(t.conflict)))
    return pd.DataFrame(rows)
