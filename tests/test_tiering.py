"""Tiered fleets: the stock step in the programme, bounds, limits, service, shadow prices, conflicts, brute force, what was typed."""

import itertools

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

import infertco as ic
from infertco.kernel import queueing, stock
from infertco.kernel.fleet import square_root_servers
from infertco.studies import tiering_staffing, tiering_stock
from infertco.studies.programme import Programme
from infertco.studies.tiering import case, cheapest_single, relaxed, solved, tiering
from infertco.studies.tiering_demand import candidates, demands

CHIPS = ["h100-sxm", "l40s", "mi300x"]
DEMAND = [
    dict(demand="chat", workload="chat", demand_requests_per_s=20, tpot_slo_s=0.025),
    dict(demand="code", workload="code", demand_requests_per_s=30, model="llama-3.1-8b", growth_per_year=0.5),
    dict(demand="bulk", workload="batch", offline=True, demand_requests_per_s=5),
]
PLAN = dict(
    periods=2,
    existing=[dict(chip="h100-sxm", count=64, age_years=2.0)],
    training_tier_chip="h100-sxm",
    training_need_chips=[64, 16],
    mip_gap=0.02,
    rents="on_demand",
)


@pytest.fixture(scope="module")
def built():
    return case(DEMAND, CHIPS, **PLAN)


@pytest.fixture(scope="module")
def plan(built):
    return solved(built)


def npv(t):
    return t.summary["usd_npv"].iloc[0]


# ---------------------------------------------------------------- the rows of the programme
@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 4), st.integers(0, 10**6))
def test_rows_of_the_stock_are_the_stock_step(vintages, tiers, seed):
    rng = np.random.default_rng(seed)
    shape = (vintages, tiers)
    held, bought, retired, moved = rng.random(shape), rng.random(shape), rng.random(shape), rng.random((*shape, tiers))
    after = stock.step(held, bought, moved, retired)
    parts = [held, bought, moved, retired, after]
    left = sum(a @ x.ravel() for a, x in zip(tiering_stock.stock_rows(vintages, tiers), parts, strict=True))
    np.testing.assert_allclose(left, 0.0, atol=1e-12)


def test_the_stock_of_a_plan_follows_the_stock_step(built, plan):
    x, at = plan.solution.x, built.at
    first = len(built.vintages) - 2
    for c in range(len(built.places)):
        before = np.zeros(x[at["S"]].shape[1:3])
        if built.places["chip"][c] == "h100-sxm":
            before[0, 0] = 64
        for t in range(2):
            bought = np.zeros_like(before)
            bought[first + t] = x[at["buy"]][c, :, t]
            before = stock.step(before, bought, x[at["move"]][c, ..., t], x[at["retire"]][c, ..., t])
            np.testing.assert_allclose(before, x[at["S"]][c, ..., t], atol=1e-5)


@pytest.mark.parametrize("waiting", [True, False])
def test_staffing_lines_never_give_too_few(waiting):
    load = np.geomspace(0.05, 100, 200)
    places, works = np.array([30.0]), np.array([0.995])
    a, b = tiering_staffing.lines(np.array([100.0]), places, 0.2, works, 0.999, np.array([waiting]))
    curve = tiering_staffing.staffed(load, places, 0.2, works, 0.999, waiting)
    lowest = np.min(a[0] + b[0] * load[:, None], axis=1)
    assert (lowest >= curve * (1 - 1e-6)).all() and (lowest[load > 10] <= curve[load > 10] * 1.05).all()
    load, curve = load[load > 1], curve[load > 1]  # smaller pools have a row of their own
    needed = np.ceil(load if waiting else square_root_servers(load * places, 0.2) / places)
    short = needed + queueing.spares(needed, works, 0.999) - np.ceil(curve)
    assert short.max() <= 1 and (short > 0).mean() < 0.5, "whole replicas and whole spares, against the curve rounded up"


def test_large_pools_run_fuller():
    load = np.array([1.0, 10.0, 100.0])
    used = load / tiering_staffing.staffed(load, 30.0, 0.2, 0.995, 0.999, False)
    assert (np.diff(used) > 0).all() and used[-1] > 0.94


# ---------------------------------------------------------------- what a plan keeps
def test_every_demand_is_served(plan):
    for _, part in plan.routes.groupby(["period", "demand"]):
        assert part["share"].sum() == pytest.approx(1.0, abs=1e-6)
    chat = plan.routes[plan.routes["demand"] == "chat"]
    assert (chat["tpot_s"] <= 0.025).all()
    assert chat["requests_per_s"].sum() == pytest.approx(40.0)


def test_the_relaxation_is_a_bound_and_a_tighter_limit_never_saves(built, plan):
    loose = npv(relaxed(built))
    assert loose <= npv(plan) * (1 + 1e-9) and plan.summary["gap"].iloc[0] <= 0.02
    built = case([d | dict(shed_usd_per_request=1.0) for d in DEMAND], CHIPS, rents="nothing", periods=2)
    free = relaxed(built)
    loose, used = npv(free), free.fleet.groupby("period")["w"].sum().max()
    costs = [npv(relaxed(built, power_cap_w=used * share)) for share in (1.0, 0.9, 0.5, 0.2)]
    assert np.all(np.diff(costs) >= -1e-6 * loose) and costs[0] == pytest.approx(loose) and costs[-1] > costs[0]
    budgets = [npv(relaxed(built, budget_usd=usd)) for usd in (5e7, 1e6, 2e5, 0.0)]
    assert np.all(np.diff(budgets) >= -1e-6 * loose) and budgets[-1] > budgets[0]
    carbons = [npv(relaxed(built, carbon_cap_g=free.summary["carbon_g"].iloc[0] / 2 * share)) for share in (2.0, 0.7, 0.3)]
    assert np.all(np.diff(carbons) >= -1e-6 * loose) and carbons[-1] > carbons[0]
    supplies = [npv(relaxed(built, supply={"mi300x": n})) for n in (1000, 10, 0)]
    assert np.all(np.diff(supplies) >= -1e-6 * loose) and supplies[-1] > supplies[0]


def test_what_may_be_shed_is_shed_at_its_penalty_where_cheaper():
    demand = [dict(demand="bulk", workload="batch", offline=True, demand_requests_per_s=5, shed_usd_per_request=1e-7)]
    t = tiering(demand, CHIPS)
    assert list(t.routes["ownership"]) == ["shed"] and t.summary["shed_share"].iloc[0] == pytest.approx(1.0)
    assert t.routes["usd"].iloc[0] == pytest.approx(5 * 8760 * 3600 * 1e-7)
    dear = tiering([demand[0] | dict(shed_usd_per_request=1.0)], CHIPS)
    assert dear.summary["shed_share"].iloc[0] == 0.0


def test_identical_classes_are_one_and_come_apart_again():
    one = tiering([DEMAND[0] | dict(demand_requests_per_s=20)], CHIPS)
    two = tiering([DEMAND[0] | dict(demand="a", demand_requests_per_s=5), DEMAND[0] | dict(demand="b", demand_requests_per_s=15)], CHIPS)
    assert npv(two) == pytest.approx(npv(one), rel=1e-6)
    assert two.routes.groupby("demand")["requests_per_s"].sum().to_dict() == pytest.approx(dict(a=5.0, b=15.0))


def test_shadow_prices_are_finite_differences():
    cap, chat = dict(periods=1, rents="nothing", mip_gap=1e-3), [DEMAND[0] | dict(shed_usd_per_request=1.0)]
    free = case(chat, CHIPS, **cap)
    w = solved(free, relax=True).fleet.query("ownership == 'colo'")["w"].sum()
    built = case(chat, CHIPS, power_cap_w=0.7 * w, **cap)
    plan, prog = solved(built), built.programme
    row = np.flatnonzero(prog.arrays()[6] == "power")[0]
    low, high = prog.arrays()[4:6]
    for x in (None, plan.solution.x):
        base, more = prog.shadow(x, hold=("line",)), high.copy()
        more[row] *= 1 + 1e-4
        found = (prog.shadow(x, (low, more), ("line",)).objective - base.objective) / (more[row] - high[row])
        assert base.shadow[row] < 0 and found == pytest.approx(base.shadow[row], rel=0.01)
    told = plan.limits.set_index("limit").loc["power"]
    assert told["binds"] and told["shadow_usd"] == pytest.approx(-base.shadow[row] * 1e3) and told["shadow_unit"] == "USD/MW"


def test_one_chip_alone_is_never_cheaper(plan):
    alone = cheapest_single(DEMAND, CHIPS, **PLAN)
    assert alone["usd_npv"].min() >= plan.summary["bound_usd"].iloc[0] * (1 - 1e-9)
    assert "no chip serves" in alone[alone["chip"] == "l40s"]["conflict"].iloc[0]


# ---------------------------------------------------------------- what cannot be
def test_limits_in_conflict_are_irreducible():
    built = case(DEMAND, CHIPS, periods=1, rents="nothing", power_cap_w=5e3, budget_usd=1e5, carbon_cap_g=1e12)
    t = solved(built)
    assert t.summary["status"].iloc[0] == "infeasible" and t.conflict
    assert not any("carbon" in words for words in t.conflict)
    groups = [next(g for g in ("power", "budget", *(f"demand of {d['demand']}" for d in DEMAND)) if words.startswith(g)) for words in t.conflict]
    others = [g for g in dict.fromkeys(built.programme.arrays()[6]) if g in ("power", "budget", "carbon") or str(g).startswith("demand of")]
    left_out = [g for g in others if g not in groups]
    assert built.programme.solve(without=left_out, gap=1.0).status == "infeasible"
    for group in groups:
        assert built.programme.solve(without=[*left_out, group], gap=1.0).x is not None, group


def test_a_demand_no_chip_serves_names_the_limit_and_the_nearest():
    t = tiering([DEMAND[0] | dict(tpot_slo_s=0.002)], CHIPS)
    assert len(t.conflict) == 1
    assert "no chip serves it within its limits" in t.conflict[0] and "ms a token; the limit is 2 ms" in t.conflict[0] and "tensor_parallel 8" in t.conflict[0]


# ---------------------------------------------------------------- brute force
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_small_programmes_agree_with_brute_force(seed):
    rng = np.random.default_rng(seed)
    price, size = rng.integers(1, 9, 3).astype(float), rng.integers(1, 6, (2, 3)).astype(float)
    need = rng.integers(3, 12, 2).astype(float)
    best = (
        min(float(price @ n) for n in map(np.array, itertools.product(range(8), repeat=3)) if (size @ n >= need).all() or False)
        if (size * 7).sum(axis=1).min() >= need.max()
        else None
    )
    prog = Programme()
    n = prog.variables("n", 3, price, upper=7, whole=True)
    prog.rows(2, [(np.arange(2)[:, None], n[None], size)], need, group="need")
    assert prog.solve(gap=0.0).objective == pytest.approx(best)


@pytest.mark.parametrize("ending", ["mps", "lp"])
def test_export_reads_back(tmp_path, built, ending):
    """Another reader of the file finds the same programme: names, coefficients, ends of rows and columns, what is whole, the optimum."""
    path = tmp_path / f"case.{ending}"
    built.programme.export(path)
    reader = highspy.Highs()
    reader.setOptionValue("output_flag", False)
    reader.readModel(str(path))
    lp = reader.getLp()
    cost, lower, upper, whole, low, high, *_ = built.programme.arrays()
    column_at, row_at = ({name: i for i, name in enumerate(names)} for names in (lp.col_names_, lp.row_names_))
    column_names, row_names = built.programme.names()
    there = np.flatnonzero(np.isfinite(low) | np.isfinite(high))  # a row without an end is none
    columns, rows = [column_at[name] for name in column_names], [row_at[row_names[i]] for i in there]
    assert len(set(rows)) == lp.num_row_ == len(there)
    read = sparse.csc_array((lp.a_matrix_.value_, lp.a_matrix_.index_, lp.a_matrix_.start_), shape=(lp.num_row_, lp.num_col_)).tocsr()
    assert abs(read[rows][:, columns] - built.programme.matrix()[there]).max() < 1e-9
    for one, other in ((lp.col_cost_, cost), (lp.col_lower_, lower), (lp.col_upper_, upper)):
        np.testing.assert_allclose(np.array(one)[columns], other, rtol=1e-9)
    for one, other in ((lp.row_lower_, low), (lp.row_upper_, high)):
        np.testing.assert_allclose(np.array(one)[rows], other[there], rtol=1e-9)
    assert [kind == highspy.HighsVarType.kInteger for kind in np.array(lp.integrality_)[columns]] == list(whole > 0)
    assert [x.name for x in tmp_path.iterdir()] == [path.name]


def test_an_export_needs_an_ending_it_knows(tmp_path, built):
    with pytest.raises(ValueError, match="a programme is written as .mps or .lp, got 'case.txt'"):
        built.programme.export(tmp_path / "case.txt")


# ---------------------------------------------------------------- what was typed
@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: tiering([dict(demand_request_per_s=3)], CHIPS), "demand has no field 'demand_request_per_s'; did you mean 'demand_requests_per_s'?"),
        (lambda: tiering([DEMAND[0] | dict(model="llama-3.1-7b")], CHIPS), "demand 'chat': unknown model 'llama-3.1-7b'; did you mean"),
        (
            lambda: tiering([DEMAND[0] | dict(demand_requests_per_s=-2)], CHIPS),
            "demand 'chat': demand_requests_per_s must be above 0 and at most 1e+12, got -2",
        ),
        (lambda: tiering([DEMAND[0] | dict(tier="premum")], CHIPS), "demand 'chat': unknown tier 'premum'; did you mean 'premium'?"),
        (lambda: tiering([DEMAND[0] | dict(residency="mars")], CHIPS), "unknown site 'mars'"),
        (lambda: tiering([DEMAND[0] | dict(offline="maybe")], CHIPS), "demand 'chat': offline must be true or false, got 'maybe'"),
        (lambda: tiering([DEMAND[0], DEMAND[0]], CHIPS), "two classes of demand are named 'chat'"),
        (lambda: tiering([DEMAND[0] | dict(site="sweden")], CHIPS), "demand has no field 'site': the plan chooses it; say residency"),
        (lambda: tiering(DEMAND, []), "chips needs at least one id"),
        (lambda: tiering([], CHIPS), "demand needs at least one class"),
        (lambda: tiering(DEMAND, ["h100"]), "unknown chip 'h100'"),
        (lambda: tiering(DEMAND, CHIPS, power_cap=3), "no field of a tiering plan named 'power_cap'; did you mean 'power_cap_w'?"),
        (lambda: tiering(DEMAND, CHIPS, periods=3, budget_usd=[1e6, 2e6]), "budget_usd needs one value or one for each of the 3 periods, got 2"),
        (lambda: tiering(DEMAND, CHIPS, supply={"h200-sxm": 4}), "supply names 'h200-sxm', which is not among the chips"),
        (lambda: tiering(DEMAND, CHIPS, supply={"mi300x": -1}), "supply of 'mi300x' must be a number of at least 0, got -1"),
        (lambda: tiering(DEMAND, CHIPS, supply={"mi300x": [1, 2]}), "supply of mi300x needs one value or one for each of the 1 periods, got 2"),
        (lambda: tiering(DEMAND, CHIPS, site_power_w={"sweden": 1e6}), "site_power_w names 'sweden', which is not among the sites: us-average"),
        (lambda: tiering(DEMAND, CHIPS, site_power_w={"us-average": "much"}), "site_power_w of 'us-average' must be a number of at least 0, got 'much'"),
        (lambda: tiering(DEMAND, CHIPS, site_power_w={"mars": 1.0}), "unknown site 'mars'"),
        (lambda: tiering(DEMAND, CHIPS, supply=5), "supply must hold lines of `chip: number`, got 5"),
        (lambda: tiering(DEMAND, CHIPS, slices=2.5), "slices must be a whole number at least 1 and at most 10000, got 2.5"),
        (lambda: tiering(DEMAND, CHIPS, training_need_chips=8), "training_need_chips needs training_tier_chip, the chips that may train"),
        (lambda: tiering(DEMAND, CHIPS, training_tier_chip="h100-sxm,h200", training_need_chips=8), "unknown chip 'h200'; did you mean 'h200-"),
        (
            lambda: tiering(DEMAND, CHIPS, training_tier_chip="h100-sxm", training_need_flop_per_s=1e16, training_tier_model="llama-9"),
            "unknown model 'llama-9'; did you mean 'llama-",
        ),
        (lambda: tiering(DEMAND, CHIPS, existing=[dict(chip="tpu-v5p", count=4)]), "tpu-v5p has no price (chip_usd), which its upkeep follows"),
        (lambda: tiering(DEMAND, CHIPS, existing=[dict(chip="h100-sxm", counts=4)]), "existing has no field 'counts'; did you mean 'count'?"),
    ],
)
def test_errors_say_what_was_typed(call, message):
    with pytest.raises(ValueError) as error:
        call()
    assert message in str(error.value) and "\n" not in str(error.value)


def test_another_limit_must_be_one_the_case_has(built):
    with pytest.raises(ValueError, match="the case has no limit 'supply of h200-sxm'; did you mean 'supply of h100-sxm'"):
        relaxed(built, supply={"h200-sxm": 3})
    with pytest.raises(ValueError, match="the case has no limit 'power at sweden'"):
        relaxed(built, site_power_w={"sweden": 1e6})
    hired = case(DEMAND, CHIPS, buys="nothing", rents="on_demand")
    assert npv(relaxed(hired, power_cap_w=1.0)) == npv(relaxed(hired)), "the cap holds what is bought"


def test_candidates_keep_residency_and_limits():
    table = demands([DEMAND[0] | dict(residency="sweden,germany")], ic.scenario())
    found, _ = candidates(table, CHIPS, ic.scenario())
    assert set(found["site"]) == {"sweden", "germany"} and found["meets_slo"].all() and (found["tpot_s"] <= 0.025).all()
