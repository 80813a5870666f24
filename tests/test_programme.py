"""Programmes: the search in whole numbers with and without tightening, what goes on from the last answer, time limits, progress."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from infertco.studies.programme import Programme, Rows
from infertco.studies.tiering import case, solved
from infertco.studies.tiering_staffing import narrow, tighten

DEMAND = [
    dict(demand="chat", workload="chat", demand_requests_per_s=20, tpot_slo_s=0.025),
    dict(demand="code", workload="code", demand_requests_per_s=30, model="llama-3.1-8b", growth_per_year=0.5),
    dict(demand="bulk", workload="batch", offline=True, demand_requests_per_s=5),
]


def many(n=12):
    return [DEMAND[i % 3] | dict(demand=f"class {i}", demand_requests_per_s=3.0 + i, input_tokens=500.0 + 37 * i) for i in range(n)]


def knapsack(seed=0, n=30):
    rng = np.random.default_rng(seed)
    p = Programme()
    at = p.variables("n", n, -rng.uniform(1, 2, n), upper=3, whole=True)
    p.rows(3, [(np.arange(3)[:, None], at[None], rng.uniform(1, 2, (3, n)))], high=20.0, group="room")
    return p


# ---------------------------------------------------------------- tightening
@settings(max_examples=6, deadline=None)
@given(st.lists(st.floats(1.0, 40.0), min_size=3, max_size=3))
def test_rows_that_tighten_take_no_plan_away(rates):
    demand = [d | dict(demand_requests_per_s=rate) for d, rate in zip(DEMAND, rates, strict=True)]
    built = case(demand, ["h100-sxm", "l40s"], rents="on_demand")
    plain = built.programme.solve(gap=1e-4, time_limit_s=60)
    both = built.programme.solve(gap=1e-4, time_limit_s=60, tighten=tighten(built), narrow=narrow(built))
    assert plain.status == both.status == "optimal"
    assert both.objective == pytest.approx(plain.objective, rel=2.1e-4)
    assert both.bound <= plain.objective * (1 + 1e-6) and plain.bound <= both.objective * (1 + 1e-6)
    broken = tighten(built)(plain.x, True)  # a plan in whole numbers whose lines give its curve keeps all of them
    assert broken is None or (broken.matrix @ plain.x >= broken.low - 1e-3).all()


def test_tightening_raises_the_bound_of_the_relaxation():
    built = case(many(), ["h100-sxm", "l40s", "mi300x", "h200-sxm"], periods=2)
    loose = built.programme.solve(relax=True)
    rows = tighten(built)(loose.x, False)
    assert (rows.matrix @ loose.x < rows.low - 1e-5).all(), "each row given is broken"
    best = built.programme.solve(gap=1e-3, time_limit_s=3, tighten=tighten(built), narrow=narrow(built))
    assert loose.objective < best.bound <= best.objective


def test_a_row_that_cuts_the_optimum_off_would_be_seen():
    """The comparison above can fail: a wrong row changes the answer."""
    p = knapsack()
    right = p.solve(gap=0.0)
    wrong = Rows(sparse.csr_array(np.ones((1, p.n))), np.array([right.x.sum() + 1.0]))
    given_once = iter([wrong])
    found = p.solve(gap=0.0, tighten=lambda x, whole: next(given_once, None), narrow=lambda x: [])
    assert found.x is None or found.objective > right.objective + 1e-6


def test_parts_searched_first_are_never_the_last_word():
    p = knapsack()
    right = p.solve(gap=0.0)
    nothing = lambda x: [(np.zeros(p.n), np.zeros(p.n)), (np.ones(p.n), np.ones(p.n))]  # noqa: E731 - a poor part, and one without a solution
    found = p.solve(gap=0.0, tighten=lambda x, whole: None, narrow=nothing)
    assert found.objective == pytest.approx(right.objective) and found.gap <= 1e-9 and found.status == "optimal"


# ---------------------------------------------------------------- going on
def test_another_limit_from_the_last_answer_is_the_answer_from_the_start():
    warm = knapsack()
    for end in (20.0, 12.0, 3.0, 1e3, 12.0, -1.0, 20.0):
        ends = np.full(3, -np.inf), np.full(3, end)
        found, fresh = warm.solve(relax=True, ends=ends), knapsack().solve(relax=True, ends=ends)
        assert found.status == fresh.status == ("infeasible" if end < 0 else "optimal")
        assert found.objective == pytest.approx(fresh.objective, nan_ok=True)
    assert warm.solve(relax=True, least=np.ones(30), ends=(np.full(3, -np.inf), np.full(3, 70.0))).x.min() >= 1.0
    assert warm.solve(relax=True).objective == pytest.approx(knapsack().solve(relax=True).objective), "ends of columns are its own again"


def test_a_column_added_is_seen():
    p = knapsack()
    before = p.solve(relax=True).objective
    at = p.variables("more", 1, -50.0, upper=1.0)
    assert p.solve(relax=True).objective == pytest.approx(before - 50.0) and p.solve(relax=True).x[at] == pytest.approx(1.0)


# ---------------------------------------------------------------- limits of time, progress
def test_a_time_limit_hands_over_the_best_plan_with_its_gap():
    built, told = case(many(), ["h100-sxm", "l40s", "mi300x", "h200-sxm"], periods=4, solver_limit_s=2.0, mip_gap=1e-9), []
    t = solved(built, explain=False, progress=lambda *now: told.append(now))
    s = t.summary.iloc[0]
    assert s["status"] == "time limit" and 0 < s["gap"] < 0.2 and s["bound_usd"] < s["usd_npv"] and s["solve_s"] < 8
    assert s["gap"] == pytest.approx(1 - s["bound_usd"] / s["usd_npv"])
    seconds, best, bound = (np.array(x) for x in zip(*told, strict=True))
    assert (np.diff(seconds) >= 0).all() and (np.diff(best) <= 1e-6 * best[0]).all() and (bound <= best[-1] * (1 + 1e-9)).all()
    assert best[-1] == pytest.approx(s["usd_npv"])


def test_the_solver_prints_nothing():
    code = "from tests.test_programme import knapsack; knapsack().solve(); knapsack().solve(relax=True)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
    assert done.stdout == ""


def test_progress_is_told_of_a_plain_programme_too():
    told = []
    found = knapsack(3, 60).solve(gap=0.0, progress=lambda *now: told.append(now))
    assert told and told[-1][1] == pytest.approx(found.objective)
