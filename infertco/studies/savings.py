"""Where a tiered fleet saves: its programme solved again and again, each time allowing one thing more.

    usd_0 >= usd_1 >= ... >= usd_n        the least cost never rises as more is allowed
    saved by step i:  usd_(i-1) - usd_i   proven to lie within  [bound_(i-1) - usd_i, usd_(i-1) - bound_i]

First the best single kind of chip, bought only; then rented too; then tier after tier may have kinds of its own; at last
what was bought to train may move down and serve. What is not allowed is a pool that may have no replicas, or a move that
may not be made: every step is the programme of `tiering` with other ends. The order is a choice, as a step is worth
what it adds to those before it. Training keeps its own chips throughout.
"""

import numpy as np
import pandas as pd

from infertco.studies.programme import Solution
from infertco.studies.tiering import Tiering, solved
from infertco.studies.tiering_case import SCALE, Case
from infertco.studies.tiering_demand import TIERS
from infertco.studies.tiering_stock import BOUGHT

FREED = {
    "for the edge": ("edge",),
    "for batch": ("batch",),
    "for premium and cost-optimized": ("premium", "cost_optimized"),
}  # who gets kinds of their own, in this order
COLUMNS = ["step", "usd", "low_usd", "high_usd", "total_usd", "bound_usd"]


def allowed(built: Case, kind: str, free=(), rents=True, moves=True) -> np.ndarray:
    """Highest values of the columns where one kind of chip serves every tier that is not `free`.

    Parameters
    ----------
    kind : id
        Of the chip.
    free : names of tiers
        That any kind may serve.
    rents, moves : bool
        Whether chips may be rented; whether other kinds may move out of training.
    """
    upper, pools = built.programme.arrays()[2].copy(), built.pools
    out = (pools["chip"] != kind) & ~pools["tier"].isin(free)
    if not rents:
        out |= ~pools["ownership"].isin(BOUGHT)
    upper[built.at["n"][out.to_numpy()]] = 0.0
    if not moves and len(built.places):
        upper[built.at["move"][(built.places["chip"] != kind).to_numpy(), :, TIERS.index("training")]] = 0.0
    return upper


def _solved(built: Case, upper, relax=False) -> Solution:
    if relax:
        return built.programme.solve(True, built.plan.solver_limit_s, upper=upper)
    return solved(built, explain=False, upper=upper).solution


def singles(built: Case) -> pd.DataFrame:
    """Each kind of chip alone, bought, rented and moved at its cheapest: chip, status, usd_npv, bound_usd, gap, why; the cheapest first.

    The fair strawman. A kind that costs more than the best one even without whole numbers is not solved: its `usd_npv` is
    NaN, and `bound_usd` is what it costs at least. Of a kind that cannot serve all, `why` has the class and what it misses.
    """
    kinds = list(dict.fromkeys([*built.routes["chip"], *built.rejected["chip"]]))
    least = {kind: _solved(built, allowed(built, kind), relax=True) for kind in kinds}
    rows, best = [], np.inf
    for kind in sorted(kinds, key=lambda kind: np.nan_to_num(least[kind].objective, nan=np.inf)):
        s, row = least[kind], dict(chip=kind, status="dearer", usd_npv=np.nan, bound_usd=least[kind].objective / SCALE, gap=np.nan, why="")
        if s.x is None:
            row |= dict(status=s.status, why=_why(built, kind))
        elif s.objective < best:
            s = _solved(built, allowed(built, kind))
            best = np.nanmin([best, s.objective])
            bound = np.nanmax([s.bound, least[kind].objective])
            row |= dict(status=s.status, usd_npv=s.objective / SCALE, bound_usd=bound / SCALE, gap=1 - bound / s.objective)
        rows.append(row)
    return pd.DataFrame(rows).sort_values(["usd_npv", "bound_usd"], kind="stable", ignore_index=True)


def _why(built, kind):
    """In words, what keeps a kind from serving all."""
    served = set(built.routes["d"][built.routes["chip"] == kind])
    missed = [row for i, row in enumerate(built.demand.to_dict("records")) if i not in served and not np.isfinite(row["shed_usd_per_request"])]
    if not missed:
        return "cannot keep within the limits alone"
    lost = built.rejected[(built.rejected["chip"] == kind) & built.rejected["demand"].isin(missed[0]["members"])]
    more = f" (and {len(missed) - 1} more)" if len(missed) > 1 else ""
    return f"{missed[0]['members'][0]}{more}: {lost['why'].iloc[0] if len(lost) else 'no price'}"


def savings(found: Tiering, alone: pd.DataFrame, name: str = "") -> pd.DataFrame:
    """From the best single kind, bought only, to the plan: step, usd, low_usd, high_usd, total_usd, bound_usd.

    Parameters
    ----------
    found : Tiering
        The whole plan, solved.
    alone : DataFrame
        Of `singles`, for the same case.
    name : str
        What the best single kind is called; its id if empty.

    Returns
    -------
    DataFrame
        The first and the last row are totals; between them `usd` is what a step changes, negative where it saves, and adds up to the last
        total exactly. `low_usd` and `high_usd`: the least and the most that the step takes off, by the proven bounds.
        Empty where there is no plan or no single kind serves all. Where a kind in short supply cannot be bought alone, the first total has it rented too.
    """
    built = found.case
    if found.solution.x is None or not alone["usd_npv"].iloc[0] > 0:
        return pd.DataFrame(columns=COLUMNS)
    kind, there, free = alone["chip"].iloc[0], set(built.demand["tier"]), []
    name = name or kind
    bought = _solved(built, allowed(built, kind, rents=False))
    rows = [(f"{name} alone, bought", bought.objective / SCALE, bought.bound / SCALE)] if bought.x is not None else []
    rows.append(("Renting what is short" if rows else f"{name} alone, bought or rented", *alone[["usd_npv", "bound_usd"]].iloc[0]))
    for words, tiers in FREED.items():
        if there.isdisjoint(tiers):
            continue
        free += tiers
        upper = allowed(built, kind, free, moves=False)
        s = _solved(built, upper)
        least = s.bound if s.x is not None else _solved(built, upper, relax=True).bound
        rows.append((f"Own kinds {words}", np.nanmin([s.objective / SCALE, rows[-1][1]]), least / SCALE))  # the plan before still stands
    s = found.solution
    rows.append(("Old cluster moved down", s.objective / SCALE, s.bound / SCALE))
    return steps(rows)


def served_by(built: Case) -> pd.DataFrame:
    """What it adds to the least cost to serve a class by one kind of chip alone in all periods: demand, chip, usd; replicas divisible.

    One row a class and kind that meets its limits; NaN where the limits of the plan leave no room for it. Each is a problem
    of its own: unlike reduced costs, the answers do not hang on which of many equal shadow prices the solver took.
    """
    routes, least = built.routes, built.programme.arrays()[2]
    free, rows = _solved(built, least, relax=True).objective, []
    for d, kind in routes[["d", "chip"]].drop_duplicates().itertuples(index=False):
        upper = least.copy()
        upper[built.at["x"][((routes["d"] == d) & (routes["chip"] != kind)).to_numpy()]] = 0.0
        upper[built.at["shed"][d]] = 0.0
        more = (_solved(built, upper, relax=True).objective - free) / SCALE
        rows += [dict(demand=name, chip=kind, usd=max(more, 0.0) if more == more else np.nan) for name in built.demand["members"].iloc[d]]
    return pd.DataFrame(rows, columns=["demand", "chip", "usd"])


def steps(rows, last: str = "The plan") -> pd.DataFrame:
    """Signed steps from (name, cost, proven bound) of nested problems; a last row is the last total.

    Examples
    --------
    >>> print(steps([("one kind", 10.0, 9.5), ("two kinds", 8.0, 7.9)])[["step", "usd", "low_usd", "high_usd"]].to_string(index=False))
         step  usd  low_usd  high_usd
     one kind 10.0      NaN       NaN
    two kinds -2.0      1.5       2.1
     The plan  8.0      NaN       NaN
    """
    out = pd.DataFrame(rows, columns=["step", "total_usd", "bound_usd"])
    before = out.shift(1)
    out["usd"] = (out["total_usd"] - before["total_usd"]).fillna(out["total_usd"])
    out["low_usd"] = (before["bound_usd"] - out["total_usd"]).clip(lower=0.0)
    out["high_usd"] = before["total_usd"] - out["bound_usd"]
    end = out.iloc[[-1]].assign(step=last, usd=out["total_usd"], low_usd=np.nan, high_usd=np.nan)
    return pd.concat([out, end], ignore_index=True)[COLUMNS]
