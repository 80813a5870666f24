"""Savings step by step: nested problems, sums that are exact, bounds that hold, the best single kind found without solving all."""

import numpy as np
import pytest

from infertco.studies import savings as study
from infertco.studies.tiering import case, cheapest_single, solved
from infertco.views import tiering_charts

CHIPS = ["h100-sxm", "h200-sxm", "l40s"]
DEMAND = [
    dict(demand="chat", model="llama-3.1-70b", workload="chat", demand_requests_per_s=10, growth_per_year=0.3, residency="us-average"),
    dict(demand="nights", model="llama-3.1-70b", workload="batch", demand_requests_per_s=10, offline=True, residency="us-average"),
    dict(demand="kiosks", model="llama-3.1-8b", workload="edge", demand_requests_per_s=20, residency="edge-site"),
]
ASKED = dict(
    periods=2, existing=[dict(chip="h100-sxm", count=32, age_years=1)], training_tier_chip="h100-sxm", training_need_chips=[32, 8], mip_gap=1e-3, solver_limit_s=20,
)  # fmt: skip


@pytest.fixture(scope="module")
def built():
    return case(DEMAND, CHIPS, **ASKED)


@pytest.fixture(scope="module")
def alone(built):
    return study.singles(built)


@pytest.fixture(scope="module")
def steps(built, alone):
    return study.savings(solved(built, explain=False), alone)


def test_the_best_single_kind_is_that_of_solving_them_all(alone):
    every = cheapest_single(DEMAND, CHIPS, **ASKED).set_index("chip")
    best = alone.iloc[0]
    assert best["chip"] == every.index[0] and best["usd_npv"] == pytest.approx(every["usd_npv"].iloc[0], rel=3e-3)
    for r in alone.iloc[1:].itertuples():
        whole = every.loc[r.chip, "usd_npv"]
        assert r.status != "dearer" or best["usd_npv"] <= r.bound_usd <= whole * (1 + 1e-6)
        assert np.isfinite(whole) == np.isfinite(r.bound_usd)


def test_a_kind_that_cannot_serve_all_says_whom_it_misses(alone):
    assert alone.set_index("chip").loc["l40s", "why"] == "chat: misses the TTFT limit"


def test_steps_add_up_and_never_cost_more_than_the_gap(steps):
    usd, total = steps["usd"].to_numpy(), steps["total_usd"].to_numpy()
    assert usd[:-1].sum() == pytest.approx(usd[-1], abs=1e-6) and usd[0] == total[0]
    assert (np.diff(total) <= 1e-3 * total[0] * 1.01).all() and usd[-1] < 0.99 * usd[0]
    between = steps.iloc[1:-1]
    assert (between["low_usd"] >= 0).all() and (between["low_usd"] <= between["high_usd"] + 1e-6).all()
    assert (-between["usd"] <= between["high_usd"] + 1e-6).all()
    assert (steps["bound_usd"] <= steps["total_usd"] * (1 + 1e-9)).all()


def test_steps_are_named_in_their_order_and_drawn(steps):
    assert [name.split()[0] for name in steps["step"]] == [steps["step"][0].split()[0], "Renting", "Own", "Own", "Own", "Old", "The"]
    figure = tiering_charts.savings(steps)
    assert figure.title.startswith("The cost falls by") and len(figure.data) == len(steps)


def test_what_is_not_allowed_is_not_in_the_answer(built):
    kind = "h200-sxm"
    t = solved(built, explain=False, upper=study.allowed(built, kind, rents=False, moves=False))
    assert set(t.routes["chip"]) == {kind} and set(t.fleet["ownership"]) == {"colo"}
    assert not ((t.flows["tier_from"] == "training") & (t.flows["tier_to"] != "")).any()
    t = solved(built, explain=False, upper=study.allowed(built, kind, free=["edge"]))
    assert set(t.routes["chip"][t.routes["tier"] != "edge"]) == {kind} and "l40s" in set(t.routes["chip"])


def test_serving_a_class_by_one_kind_alone_adds_to_the_least_cost(built):
    table = study.served_by(built).set_index(["demand", "chip"])["usd"]
    assert (table >= 0).all() and table["nights"].max() > 0 and ("chat", "l40s") not in table.index
    whole = solved(built, relax=True, explain=False)
    used = whole.routes.groupby("demand")["chip"].agg(set)
    for name, kinds in used.items():
        if len(kinds) == 1:  # what serves all of it already adds nothing
            assert table[name, kinds.pop()] == pytest.approx(0.0, abs=1e-3 * whole.summary["usd_npv"].iloc[0])


def test_without_a_single_kind_that_serves_all_there_are_no_steps(built):
    only = [dict(DEMAND[0], tpot_slo_s=0.02), DEMAND[2] | dict(residency="us-average")]
    found = solved(case(only, ["l40s"], periods=1), explain=False)
    assert study.savings(found, study.singles(found.case)).empty
