"""Two-stage plans: bounds of knowing and of planning for the mean, the tail, and frontiers that never fall as limits tighten."""

import numpy as np
import pytest

from infertco.studies.robust import frontier, latency_frontier, two_stage
from infertco.studies.tiering import case

CHIPS = ["h100-sxm", "mi300x"]
DEMAND = [dict(demand="chat", workload="chat", demand_requests_per_s=40, shed_usd_per_request=0.05)]
OUTCOMES = [dict(outcome="low", weight=0.5, demand_factor=0.5), dict(outcome="mid", weight=0.3, demand_factor=1.0), dict(outcome="high", weight=0.2, demand_factor=3.0)]
PLAN = dict(periods=2, rents="on_demand", mip_gap=0.01)


def test_knowing_and_planning_for_the_mean_are_worth_at_least_nothing():
    found = two_stage(DEMAND, CHIPS, OUTCOMES, **PLAN)
    s, table = found.summary.iloc[0], found.scenarios
    assert s["evpi_usd"] >= -1e-6 * s["usd_npv"] and s["vss_usd"] >= -1e-6 * s["usd_npv"]
    assert (table["regret_usd"] >= -1e-6 * table["alone_usd"]).all() and table["usd_npv"].is_monotonic_increasing
    assert (table["its_buys_usd"] >= s["usd_npv"] * (1 - 1e-6)).all() and s["robust_outcome"] in ("low", "mid", "high")
    assert s["cvar_usd"] == pytest.approx(table["usd_npv"].max())  # the dearest tenth lies within the dearest outcome


def test_caution_trades_the_mean_for_the_tail():
    calm, wary = (two_stage(DEMAND, CHIPS, OUTCOMES, cvar_share=c, **PLAN).summary.iloc[0] for c in (0.0, 0.9))
    assert wary["cvar_usd"] <= calm["cvar_usd"] * (1 + 1e-6) and wary["usd_npv"] >= calm["usd_npv"] * (1 - 1e-6)


def test_every_set_of_purchases_is_priced_in_every_outcome_and_a_budget_spent_to_the_end_is_kept():
    outcomes = [dict(outcome="low", weight=0.5, demand_factor=0.5), dict(outcome="dear", weight=0.5, demand_factor=1.5, usd_per_kwh=0.2)]  # one names a field, one does not
    found = two_stage(DEMAND, CHIPS, outcomes, budget_usd=2e5, **PLAN)
    cost, weight = found.costs.pivot(index="plan", columns="outcome", values="usd"), found.scenarios.set_index("outcome")["weight"]
    assert list(found.costs["plan"].unique()) == ["plan", "low", "dear"] and cost.notna().all(axis=None)
    for r in found.scenarios.itertuples():
        assert cost.loc[r.outcome] @ weight[cost.columns] == pytest.approx(r.its_buys_usd)
        assert cost.loc["plan", r.outcome] == pytest.approx(r.usd_npv) and cost.loc[r.outcome, r.outcome] == pytest.approx(r.alone_usd, rel=1e-5)


def test_weights_must_add_up():
    with pytest.raises(ValueError, match="weights of outcomes must be at least 0 and add up to 1, got 0.5, 0.6"):
        two_stage(DEMAND, CHIPS, [dict(weight=0.5), dict(weight=0.6)], **PLAN)


def test_frontiers_cost_more_as_limits_tighten():
    built = case(DEMAND, CHIPS, rents="nothing", periods=1)
    free = frontier(built, "carbon_cap_g", [np.inf]).iloc[0]
    table = frontier(built, "carbon_cap_g", free["carbon_g"] * np.array([1.0, 0.6, 0.2]))
    assert (np.diff(table["usd_npv"]) > 0).all() and table["usd_npv"].iloc[0] == pytest.approx(free["usd_npv"], rel=1e-6)
    speed = latency_frontier(DEMAND, CHIPS, [1.0, 0.7, 0.5], rents="nothing", periods=1)
    assert (np.diff(speed["usd_npv"]) >= 0).all() and speed["usd_npv"].iloc[-1] > speed["usd_npv"].iloc[0]
    slow = latency_frontier([{name: x for name, x in DEMAND[0].items() if name != "workload"}], CHIPS, [1.0], rents="nothing", periods=1, tpot_slo_s=0.2)
    assert slow["usd_npv"].iloc[0] < speed["usd_npv"].iloc[0], "a limit of the scenario is the limit that the factor is of"
