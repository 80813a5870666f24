"""Tiered fleets, case by case: brute force, every limit's price and conflict, ways of having chips, training, dollars."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

import infertco as ic
from infertco.kernel import cost
from infertco.studies import training
from infertco.studies.tiering import HELD, INNER, case, cheapest_single, ends_of, solved, tiering
from infertco.studies.tiering_demand import demands

CHAT = dict(demand="chat", workload="chat", demand_requests_per_s=20, tpot_slo_s=0.025)
CODE = dict(demand="code", workload="code", demand_requests_per_s=30, model="llama-3.1-8b")
BULK = dict(demand="bulk", workload="batch", demand_requests_per_s=2, offline=True)
EDGE = dict(demand="edge", workload="edge", demand_requests_per_s=3, model="llama-3.1-8b")
LOSS = dict(shed_usd_per_request=0.05)
CHIPS = ["h100-sxm", "mi300x"]
NEVER_FAILS = {f"{part}_failures_per_year": 0.0 for part in ("chip", "memory", "host", "network", "software")}
SECONDS = cost.HOURS * 3600


def npv(t):
    return t.summary["usd_npv"].iloc[0]


def status(t):
    return t.summary["status"].iloc[0]


# ---------------------------------------------------------------- brute force
SIZES = ((100, 200), (1000, 300), (3000, 100))
PAIR = ("l4", "a100-80-sxm")


def small(rates, way, least, penalty):
    """Two kinds of chip alone, no failures, work that waits: replicas are the load rounded up, so that all plans can be tried."""
    demand = [
        dict(demand=f"{i}", model="llama-2-7b", workload="chat", input_tokens=x, output_tokens=y, prefix_hit_rate=0.0, demand_requests_per_s=rate, tier="batch",
             shed_usd_per_request=penalty, diurnal_max_over_mean=1.2, workday_over_mean=1.0, ttft_slo_s=10.0, tpot_slo_s=0.15)
        for i, ((x, y), rate) in enumerate(zip(SIZES, rates, strict=False))
    ]  # fmt: skip
    ways = dict(rents="on_demand", buys="nothing") if way == "rent" else dict(rents="nothing", buys=way)
    return case(demand, list(PAIR), tensor_parallel=(1,), least_replicas=least, mip_gap=1e-4, **ways, **NEVER_FAILS)


def brute(built, most):
    """The least cost over all counts of replicas, shares by a linear programme for each."""
    routes, finance, now = built.routes, built.finance, (1 + built.finance.cost_of_capital) ** -0.5
    D = len(built.demand)
    assert len(routes) == 2 * D, "both kinds serve every class"
    mean = built.rate[:, 0]
    load = np.zeros((2, D))
    work = np.zeros((2, D))
    price = np.zeros(2)
    for r in routes.to_dict("records"):
        g = PAIR.index(r["chip"])
        load[g, r["d"]] = mean[r["d"]] * 1.2 / r["capacity_requests_per_s"]
        joules = (r["active_w_per_chip"] - r["idle_w_per_chip"]) / r["capacity_requests_per_s"]
        work[g, r["d"]] = mean[r["d"]] * SECONDS * now * joules * r["work_usd_per_j"]
        price[g] = r["keep_usd"] * now
        if r["ownership"] == "colo":
            left = built.plan.resale_fraction * (1 + finance.price_performance_per_year) ** -1.0
            price[g] += r["installed_usd"] * (1 - left / (1 + finance.cost_of_capital))
    penalty = np.nan_to_num(built.demand["shed_usd_per_request"].to_numpy()) * mean * SECONDS * now
    shed = np.isfinite(built.demand["shed_usd_per_request"].to_numpy())
    best, least = np.inf, int(built.plan.least_replicas)
    counts = [0, *range(least, most + least + 1)]
    for n in itertools.product(counts, repeat=2):
        if price @ n >= best:
            continue
        lp = linprog(
            np.r_[work.ravel(), penalty], A_ub=np.block([[load[:1], np.zeros((1, 2 * D))], [np.zeros((1, D)), load[1:], np.zeros((1, D))]]), b_ub=n,
            A_eq=np.hstack([np.eye(D)] * 3), b_eq=np.ones(D), bounds=[(0, 1)] * 2 * D + [(0, 1.0 if may else 0.0) for may in shed],
        )  # fmt: skip
        if lp.status == 0:
            best = min(best, price @ n + lp.fun)
    return best


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.floats(0.05, 2.5), min_size=2, max_size=3), st.sampled_from(["rent", "colo"]), st.sampled_from([1, 2, 3]),
    st.sampled_from([np.nan, 1e-5, 1e-4]),
)  # fmt: skip
def test_tiering_agrees_with_every_plan_tried(rates, way, least, penalty):
    built = small(rates, way, least, penalty)
    found = built.programme.solve(gap=1e-4)
    capacity = built.routes.groupby("d")["capacity_requests_per_s"].min()
    most = int(np.ceil(sum(1.2 * built.rate[:, 0] / capacity.to_numpy()))) + 1
    assert found.objective * 1e3 == pytest.approx(brute(built, most), rel=2e-4)


# ---------------------------------------------------------------- what one more of a limit is worth
def limited(name, share=1.0):
    """A case in which that limit alone binds, at a share of where it would not."""
    plain = dict(periods=1, rents="nothing", mip_gap=1e-3)
    demand = [CHAT | LOSS, CODE | LOSS]
    used = {"power": 2e5, "power at us-average": 2e5, "budget": 3e6, "supply of h100-sxm": 50, "carbon": 4e8, "training": 96, "compute of training": 5e16}[name]
    free = dict(power="power_cap_w", budget="budget_usd", carbon="carbon_cap_g").get(name)
    trains = dict(training_tier_chip="h100-sxm,b200-sxm", training_cluster_chips=32)
    asked = {
        "power at us-average": dict(site_power_w={"us-average": used * share}),
        "supply of h100-sxm": dict(supply={"h100-sxm": used * share}),
        "training": trains | dict(training_need_chips=used * share),
        "compute of training": trains | dict(training_need_flop_per_s=used * share),
    }.get(name, {free: used * share})
    chips = ["h100-sxm"] if name.startswith("supply") else CHIPS
    return case(demand, chips, **plain, **asked)


BINDING = {"power": 0.5, "power at us-average": 0.5, "budget": 0.5, "supply of h100-sxm": 0.8, "carbon": 0.5, "training": 1.0, "compute of training": 1.0}
PER = {"power": 1e-6, "power at us-average": 1e-6, "carbon": 1e-6, "compute of training": 1e-15}  # a row's unit in that of the table
TOLD = {"power": "USD/MW", "power at us-average": "USD/MW", "budget": "USD/USD", "carbon": "USD/t", "compute of training": "USD/(PFLOP/s)"}


@pytest.mark.parametrize("name", BINDING)
def test_shadow_prices_are_finite_differences(name):
    built = limited(name, BINDING[name])
    t, prog = solved(built), built.programme
    assert status(t) == "optimal"
    told = t.limits.set_index("limit").loc[name]
    row = np.flatnonzero(prog.arrays()[6] == name)[0]
    low, high = prog.arrays()[4:6]
    need = not np.isfinite(high[row])
    ends = low if need else high
    base, slope = prog.shadow(t.solution.x, hold=HELD), []
    for step in (-1e-4, 1e-4):
        other = ends.copy()
        other[row] *= 1 + step
        moved = prog.shadow(t.solution.x, (other, high) if need else (low, other), HELD)
        slope.append(1e3 * (moved.objective - base.objective) / (other[row] - ends[row]))  # dollars for one of the row's unit
    assert slope[0] == pytest.approx(slope[1], rel=1e-3), "degenerate: the test would say nothing"
    per_unit = 1e-3 if name == "budget" else 1.0  # the row counts thousands
    assert told["shadow_usd"] == pytest.approx(-slope[0] * per_unit, rel=0.01) and told["binds"]
    assert told["shadow_unit"] == TOLD.get(name, "USD/chip")
    assert told["shadow_usd"] < 0 if need else told["shadow_usd"] > 0
    assert told["allowed"] * PER.get(name, 1e-3 if name == "budget" else 1.0) == pytest.approx(ends[row])


@pytest.fixture(scope="module")
def loose():
    built = case([CHAT | LOSS], CHIPS, periods=1, rents="nothing", mip_gap=1e-3)
    return built, solved(built, explain=False)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(["power_cap_w", "budget_usd", "carbon_cap_g", "supply", "site_power_w"]), st.tuples(st.floats(0.05, 1.1), st.floats(0.05, 1.1)))
def test_tightening_a_limit_never_lowers_the_cost(loose, name, shares):
    built, free = loose
    s, bought = free.summary.iloc[0], free.fleet.groupby("chip")["bought"].sum()
    full = dict(power_cap_w=s["w"], budget_usd=s["capex_usd"], carbon_cap_g=s["carbon_g"], supply=bought.to_dict(), site_power_w={"us-average": s["w"]})[name]
    scaled = lambda share: {key: share * x for key, x in full.items()} if isinstance(full, dict) else share * full  # noqa: E731
    tight, wide = (solved(built, explain=False, ends=ends_of(built, **{name: scaled(share)})) for share in sorted(shares))
    assert npv(tight) >= wide.summary["bound_usd"].iloc[0] * (1 - 1e-9) and npv(wide) >= s["bound_usd"] * (1 - 1e-9)
    assert npv(wide) <= npv(tight) * (1 + 1.5e-3)  # both within the same gap


@pytest.mark.parametrize("name", ["training_need_chips", "training_need_flop_per_s"])
def test_a_smaller_need_of_training_never_costs_more(name):
    unit = 1.0 if name.endswith("chips") else 4e14
    costs = [
        npv(tiering([CHAT | LOSS], CHIPS, training_tier_chip="h100-sxm,mi300x", training_cluster_chips=24, rents="nothing", explain=False, **{name: unit * n}))
        for n in (0, 8, 24, 30, 100)
    ]
    assert (np.diff(costs) >= -1e-3 * costs[-1]).all() and costs[-1] > costs[0]
    assert costs[1] == pytest.approx(costs[2], rel=2e-3), "below the smallest cluster, one cluster"


# ---------------------------------------------------------------- what cannot be
FEW = dict(rents="nothing", training_tier_chip="h100-sxm")
CONFLICTS = {
    "power": dict(power_cap_w=5e3, rents="nothing"),
    "power at us-average": dict(site_power_w={"us-average": 5e3}, rents="nothing"),
    "budget": dict(budget_usd=1e5, rents="nothing"),
    "vendor NVIDIA": dict(vendor_share=0.4, rents="nothing"),
    "carbon": dict(carbon_cap_g=1e6),
    "supply of h100-sxm": dict(supply={"h100-sxm": 8, "mi300x": 4}, rents="nothing"),
    "training": FEW | dict(training_need_chips=64, supply={"h100-sxm": 32, "mi300x": 1000}),
    "compute of training": FEW | dict(training_need_flop_per_s=1e18, power_cap_w=1e6),
    "smallest cluster": FEW | dict(training_need_chips=16, training_cluster_chips=512, budget_usd=1.2e7),
}


@pytest.mark.parametrize("name", CONFLICTS)
def test_a_conflict_is_irreducible_whatever_the_limit(name):
    built = case([CHAT], CHIPS, **CONFLICTS[name])
    t, groups = solved(built), list(dict.fromkeys(g for g in built.programme.arrays()[6] if g and g not in INNER))
    assert status(t) == "infeasible" and any(words.startswith(name) for words in t.conflict), t.conflict
    inside = [g for g in groups if any(words.startswith(f"{g}:") for words in t.conflict)]
    assert len(inside) == len(t.conflict)
    outside = [g for g in groups if g not in inside]
    assert built.programme.solve(without=outside, gap=1.0).status == "infeasible"
    for group in inside:
        assert built.programme.solve(without=[*outside, group], gap=1.0).x is not None, group


def test_a_limit_in_conflict_says_how_much_is_allowed():
    assert solved(case([CHAT], CHIPS, **CONFLICTS["power at us-average"])).conflict[-1] == "power at us-average: at most 5000 W"
    words = solved(case([CHAT], CHIPS, **CONFLICTS["smallest cluster"])).conflict
    assert "smallest cluster: training_cluster_chips = 512" in words and "training: training_need_chips = 16" in words


def test_a_chip_without_a_price_says_so():
    t = tiering([CHAT], ["h100-sxm", "tpu-v5p"], rents="nothing")
    lost = t.rejected.set_index("chip").loc["tpu-v5p"]
    assert lost["why"] == "no price" and "tpu-v5p serves it within its limits and has no price: colo" in lost["nearest"]
    alone = tiering([CHAT], ["tpu-v5p"], rents="reserved")
    assert alone.conflict == (
        "demand 'chat': no chip that could serve it can be had; tpu-v5p serves it within its limits and has no price: colo, reserved",
    )


# ---------------------------------------------------------------- ways of having chips
def test_what_is_rented_pays_the_price_of_its_way():
    price = {way: ic.scenario(chip="h100-sxm").value(f"cloud_usd_per_hour_{way}") for way in ("reserved", "on_demand")}
    assert price["reserved"] < price["on_demand"]
    rented = {way: tiering([CHAT], ["h100-sxm"], buys="nothing", rents=way, mip_gap=1e-4) for way in ("reserved", "on_demand", "both")}
    for way in price:
        fleet = rented[way].fleet
        assert set(fleet["ownership"]) == {way} and fleet["usd"].sum() == pytest.approx(fleet["chips"].sum() * price[way] * cost.HOURS)
    assert set(rented["both"].fleet["ownership"]) == {"reserved"} and npv(rented["both"]) == pytest.approx(npv(rented["reserved"]), rel=2e-4)
    assert rented["reserved"].flows.empty and rented["reserved"].summary["capex_usd"].iloc[0] == 0


def test_what_is_bought_stands_in_an_own_or_a_rented_building():
    own, colo = (tiering([CHAT], ["h100-sxm"], rents="nothing", buys=way, mip_gap=1e-4) for way in ("owned", "colo"))
    assert set(own.fleet["ownership"]) == {"owned"} and set(colo.fleet["ownership"]) == {"colo"}
    assert own.summary["capex_usd"].iloc[0] == colo.summary["capex_usd"].iloc[0] > 0
    s = ic.scenario(chip="h100-sxm")
    rented_space, built_space = (s.vary(ownership=way) for way in ("colo", "owned"))
    dearer = [ic.evaluate(x)["usd_per_chip_hour"].iloc[0] for x in (built_space, rented_space)]
    assert np.sign(npv(own) - npv(colo)) == np.sign(dearer[0] - dearer[1]) != 0


def test_what_is_owned_serves_where_nothing_may_be_bought():
    owned = [dict(chip="h100-sxm", count=72, age_years=1, tier="premium"), dict(chip="mi300x", count=40, age_years=2, tier="cost_optimized")]
    t = tiering([CHAT, CODE], CHIPS, buys="nothing", rents="nothing", existing=owned)
    assert status(t) == "optimal" and set(t.routes["ownership"]) == {"colo"} and t.summary["capex_usd"].iloc[0] == 0
    assert dict(zip(t.routes["demand"], t.routes["chip"], strict=True)) == dict(chat="h100-sxm", code="mi300x")
    assert t.fleet["bought"].sum() == 0 and (t.fleet["vintage"] < 0).all()
    t = tiering([CHAT], CHIPS, buys="nothing", rents="nothing")
    assert t.conflict[0].endswith("is not owned; nothing may be bought or rented") and set(t.rejected["why"]) == {"not owned"}


def test_what_is_owned_stays_at_its_site():
    owned = [dict(chip="h100-sxm", count=100, age_years=1, tier="premium", site=site) for site in ("sweden", "germany")]
    demand = [CHAT | dict(demand=site, residency=site) for site in ("sweden", "germany")]
    t = tiering(demand, CHIPS, rents="nothing", existing=owned)
    assert (t.routes["site"] == t.routes["demand"]).all() and t.fleet["bought"].sum() == 0
    one = tiering(demand, CHIPS, rents="nothing", existing=owned[:1])
    bought = one.fleet[one.fleet["bought"] > 0]
    assert set(bought["site"]) == {"germany"}, "what stands in Sweden does not serve Germany"


def test_chips_just_bought_are_told_apart_from_those_owned_at_the_start():
    t = tiering([CHAT], ["h100-sxm"], rents="nothing", existing=[dict(chip="h100-sxm", count=8, tier="premium")])
    assert t.fleet["bought"].sum() == pytest.approx(t.flows.query("tier_from == ''")["chips"].sum())
    assert t.fleet["chips"].sum() == pytest.approx(t.fleet["bought"].sum() + 8)


def test_nothing_moves_to_the_edge():
    asked = dict(rents="nothing", buys="nothing", existing=[dict(chip="h100-sxm", count=100, age_years=2)])
    assert status(tiering([CODE], CHIPS, **asked)) == "optimal"
    assert tiering([EDGE], CHIPS, **asked).conflict == ("demand of edge: all of it must be served",)
    t = tiering([EDGE, CODE], CHIPS, rents="nothing", existing=asked["existing"])
    edge = t.fleet[t.fleet["tier"] == "edge"]
    assert len(edge) and edge["bought"].sum() == edge["chips"].sum() and not (t.flows.query("tier_from != ''")["tier_to"] == "edge").any()
    there = tiering([EDGE], CHIPS, rents="nothing", buys="nothing", existing=[dict(chip="h100-sxm", count=20, age_years=2, tier="edge")])
    assert status(there) == "optimal" and set(there.routes["tier"]) == {"edge"}


# ---------------------------------------------------------------- power by site
def test_each_site_has_its_own_power():
    demand = [CHAT | LOSS | dict(demand=site, residency=site) for site in ("sweden", "germany")]
    free = tiering(demand, ["h100-sxm"], rents="nothing", explain=False)
    w = free.fleet.groupby("site")["w"].sum()
    t = tiering(demand, ["h100-sxm"], rents="nothing", site_power_w={"sweden": 0.5 * w["sweden"]})
    after = t.fleet.groupby("site")["w"].sum()
    assert after["sweden"] <= 0.5 * w["sweden"] * (1 + 1e-6) and after["germany"] == pytest.approx(w["germany"])
    limits = t.limits.set_index("limit")
    assert list(limits.index) == ["power at sweden"] and limits["unit"].iloc[0] == "W" and limits["used"].iloc[0] == pytest.approx(after["sweden"])
    by_period = tiering(demand, ["h100-sxm"], rents="nothing", periods=2, site_power_w={"sweden": [0.5 * w["sweden"], np.nan]}, explain=False)
    later = by_period.fleet.groupby(["period", "site"])["w"].sum()
    assert later[1, "sweden"] > later[0, "sweden"] and later[0, "sweden"] <= 0.5 * w["sweden"] * (1 + 1e-6)
    built = case(demand, ["h100-sxm"], rents="nothing")
    moved = solved(built, ends=ends_of(built, site_power_w={"sweden": 0.5 * w["sweden"]}), explain=False)
    assert npv(moved) == pytest.approx(npv(t), rel=2e-3)
    alone = cheapest_single(demand, CHIPS, rents="nothing", site_power_w={"sweden": 0.5 * w["sweden"]}, supply={"mi300x": 0.0})
    assert set(alone["status"]) == {"optimal"} and alone["chip"].iloc[0] == "h100-sxm", "a supply counts for its own kind only"


def test_no_vendor_sells_more_than_its_share():
    asked = dict(rents="nothing", periods=2, mip_gap=1e-4)
    free, capped = tiering([CHAT, CODE], CHIPS, **asked), tiering([CHAT, CODE], CHIPS, vendor_share=0.6, **asked)
    vendor = ic.chips()["vendor"]
    shares = [t.fleet[t.fleet["bought"] > 0].groupby(vendor.loc[t.fleet.loc[t.fleet["bought"] > 0, "chip"]].to_numpy())["bought"].sum() for t in (free, capped)]
    assert (shares[0] / shares[0].sum()).max() > 0.6 >= (shares[1] / shares[1].sum()).max() - 1e-6
    assert npv(capped) > npv(free)
    told = capped.limits[capped.limits["period"] == 0].set_index("limit")
    assert set(told.index) == {"vendor NVIDIA", "vendor AMD"} and told["allowed"].iloc[0] == pytest.approx(0.6 * shares[1].sum())
    assert told.loc["vendor AMD", "used"] + told.loc["vendor NVIDIA", "used"] == pytest.approx(shares[1].sum())


# ---------------------------------------------------------------- training
def test_training_is_met_in_flop_by_whole_clusters():
    trains = dict(training_tier_chip="h100-sxm, b200-sxm", training_need_flop_per_s=[6e16, 2e16], training_cluster_chips=64)
    t = tiering([CHAT], CHIPS, rents="nothing", periods=2, existing=[dict(chip="h100-sxm", count=40, age_years=1)], **trains)
    runs = training.train(pd.DataFrame(dict(chip=["h100-sxm", "b200-sxm"], n_chips=64.0)))
    rate = dict(zip(runs["chip"], runs["tflops_per_device"] * 1e12 * runs["goodput"], strict=True))
    tier = t.fleet[t.fleet["tier"] == "training"].groupby(["period", "chip"])["chips"].sum()
    for period, need in enumerate((6e16, 2e16)):
        clusters = {chip: n for chip, n in tier[period].items() if n >= 64 - 1e-6}
        assert sum(n * rate[chip] for chip, n in clusters.items()) >= need * (1 - 1e-6)
        told = t.limits.query("limit == 'compute of training' and period == @period").iloc[0]
        assert told["allowed"] == need and told["used"] == pytest.approx(sum(n * rate[chip] for chip, n in clusters.items()), rel=1e-6)
    half = tiering([CHAT], CHIPS, rents="nothing", training_tier_chip="h100-sxm", training_need_chips=10, training_cluster_chips=64)
    assert half.fleet.query("tier == 'training'")["chips"].sum() == pytest.approx(64)
    told = half.limits.set_index("limit").loc["training"]
    assert told["used"] == pytest.approx(64) and told["shadow_usd"] == pytest.approx(0.0, abs=1e-6), "one chip more is in the cluster already"


def test_chips_owned_train_at_once_and_small_heaps_do_not():
    asked = dict(rents="nothing", training_tier_chip="h100-sxm,b200-sxm", training_need_flop_per_s=2e16, training_cluster_chips=64)
    ours = tiering([CHAT], CHIPS, existing=[dict(chip="h100-sxm", count=200, age_years=1)], **asked)
    assert not (ours.flows["tier_to"] == "training").any()
    new = dict(existing=[dict(chip="h100-sxm", count=200)], training_tier_chip="h100-sxm", training_need_chips=64, training_cluster_chips=64)
    told = tiering([CHAT], CHIPS, **new).limits.set_index("limit").loc["training"]
    assert told["used"] == pytest.approx(200) and not told["binds"], "all that stands there, not what the need takes of it"
    scattered = [dict(chip="h100-sxm", count=40, age_years=1, site=site) for site in ("us-average", "sweden", "germany")]
    heaps = tiering([CHAT], CHIPS, existing=scattered, **asked)
    assert heaps.flows.query("tier_to == 'training' and tier_from == ''")["chips"].sum() > 0, "three heaps of 40 are no cluster of 64"


def test_the_cheapest_way_to_train_is_taken_of_several():
    asked = dict(rents="nothing", training_need_flop_per_s=5e16, explain=False, mip_gap=1e-4)
    kinds = ("h100-sxm", "b200-sxm", "l40s")
    alone = {chip: npv(tiering([CODE], ["h100-sxm"], training_tier_chip=chip, **asked)) for chip in kinds}
    both = npv(tiering([CODE], ["h100-sxm"], training_tier_chip=",".join(kinds), **asked))
    assert both <= min(alone.values()) * (1 + 2e-4) and both > min(alone.values()) * 0.9


def test_a_chip_that_cannot_train_the_model_says_why():
    asked = dict(training_tier_model="llama-3.1-405b", training_need_flop_per_s=1e16, training_cluster_chips=8)
    t = tiering([CHAT], CHIPS, training_tier_chip="h100-sxm", **asked)
    assert status(t) == "infeasible" and len(t.conflict) == 1
    assert t.conflict[0].startswith("compute of training: training_need_flop_per_s = 1e+16; h100-sxm: llama-3.1-405b does not fit")
    row = t.rejected.set_index("demand").loc["training"]
    assert row["chip"] == "h100-sxm" and "does not fit" in row["why"]


# ---------------------------------------------------------------- dollars
@pytest.fixture(scope="module")
def five():
    """Every tier, three periods, chips bought, owned, moved, sold and rented, demand shed."""
    demand = [CHAT | LOSS, CODE | dict(growth_per_year=0.5), BULK, EDGE, BULK | dict(demand="idle talk", demand_requests_per_s=3, shed_usd_per_request=1e-7)]
    return tiering(
        demand, [*CHIPS, "l40s"], periods=3, period_years=1.5, training_tier_chip="h100-sxm", training_need_chips=[48, 8, 0], mip_gap=0.01, rents="both",
        existing=[dict(chip="h100-sxm", count=64, age_years=2.0), dict(chip="mi300x", count=8, age_years=1.0, tier="cost_optimized")], budget_usd=3e6,
        demand_requests_per_s=None,
    )  # fmt: skip


def test_the_case_has_a_bit_of_everything(five):
    assert status(five) == "optimal"
    assert {"premium", "cost_optimized", "batch", "edge", "training"} == set(five.fleet["tier"])
    assert {"colo", "shed"} < set(five.routes["ownership"]) and set(five.fleet["ownership"]) & {"reserved", "on_demand"}
    moved = five.flows
    assert (moved["tier_from"] == "training").any() and (moved["tier_to"] == "").any() and (moved["tier_from"] == "").any()


def test_every_demand_is_served_or_shed_at_its_penalty(five):
    table, years = demands([CHAT, CODE, BULK, EDGE], ic.scenario()).set_index("demand"), 1.5
    assert set(five.routes.groupby("period")["demand"].nunique()) == {5}
    for (period, name), part in five.routes.groupby(["period", "demand"]):
        assert part["share"].sum() == pytest.approx(1.0, abs=1e-6)
        rate = 3.0 if name == "idle talk" else table.loc[name, "demand_requests_per_s"] * (1.5 if name == "code" else 1.0) ** (period * years)
        assert part["requests_per_s"].sum() == pytest.approx(rate, rel=1e-6)
        lost = part[part["ownership"] == "shed"]
        assert lost["usd"].sum() == pytest.approx((lost["requests_per_s"] * SECONDS * years * dict(chat=0.05).get(name, 1e-7)).sum())


def work_usd(t):
    """Electricity of the work beyond idle, by tier and period: out of the table of candidates, not out of the plan's own dollars."""
    q = t.case.routes
    keys = ["chip", "site", "tensor_parallel", "weight_bits", "tier", "ownership", "demand"]
    per = (q["active_w_per_chip"] - q["idle_w_per_chip"]) * q["chips_per_replica"] / q["capacity_requests_per_s"] * q["work_usd_per_j"]
    names = q.assign(per=per, demand=t.case.demand["demand"].to_numpy()[q["d"]])[[*keys, "per"]]
    rows = t.routes[t.routes["ownership"] != "shed"].merge(names, on=keys, how="left")
    return rows.assign(work=rows["requests_per_s"] * SECONDS * t.case.plan.period_years * rows["per"])


def test_routes_cost_what_the_fleet_costs_but_for_what_stands_idle(five):
    work = work_usd(five)
    assert work["per"].notna().all() and work["work"].sum() > 0
    plan, at, x = five.case.plan, five.case.at, five.solution.x
    pools = five.case.pools
    for period in range(3):
        fleet = five.fleet[five.fleet["period"] == period]
        per_chip = fleet.assign(each=fleet["usd"] / fleet["chips"]).groupby(["chip", "site", "tier", "ownership"])["each"].mean()
        n = x[at["n"]][:, period] * pools["chips_per_replica"]
        needed = n.groupby([pools["chip"], pools["site"], pools["tier"], pools["ownership"]]).sum()
        chips_usd = sum(per_chip[key] * chips for key, chips in needed.items() if chips > 1e-6)
        routes = five.routes[five.routes["period"] == period]
        penalty = routes.loc[routes["ownership"] == "shed", "usd"].sum()
        assert routes["usd"].sum() == pytest.approx(chips_usd + work.loc[work["period"] == period, "work"].sum() + penalty)
        held = fleet["usd"].sum()
        idle = held - chips_usd
        training_usd = fleet.loc[fleet["tier"] == "training", "usd"].sum()
        assert idle >= training_usd - 1e-6 * held, "what is not needed: training and chips kept for later"
    assert plan.period_years == 1.5


def test_tiers_add_up_the_fleet_and_the_routes(five):
    t, work = five.by_tier.set_index("tier"), work_usd(five)
    served = five.routes[five.routes["ownership"] != "shed"]
    for tier, row in t.iterrows():
        fleet, own = five.fleet[five.fleet["tier"] == tier], served[served["tier"] == tier]
        assert row["chips"] == pytest.approx(fleet["chips"].sum() / 3) and row["w"] == pytest.approx(fleet["w"].sum() / 3)
        assert row["usd"] == pytest.approx(fleet["usd"].sum() + work.loc[work["tier"] == tier, "work"].sum())
        if tier == "training":
            assert np.isnan(row["requests_per_s"]) and np.isnan(row["utilization"])
            continue
        assert row["requests_per_s"] == pytest.approx(own["requests_per_s"].sum() / 3)
        assert row["utilization"] == pytest.approx((fleet["utilization"] * fleet["chips"]).sum() / fleet["chips"].sum())
        assert row["usd_per_mtok"] == pytest.approx(row["usd"] / (own["usd"] / own["usd_per_mtok"]).sum())


def test_the_cost_is_the_sum_of_its_tables(five):
    """Purchases, sales, moves, upkeep, rent, electricity, penalties and what is left in the end, discounted: the objective."""
    built, finance = five.case, five.case.finance
    now, year = (np.array(x) for x in built.discount)
    years = 1.5
    place = built.places.set_index(["chip", "site"])
    total = (five.flows["usd"] * now[five.flows["period"]]).sum()
    for r in five.fleet.to_dict("records"):
        if r["ownership"] in ("reserved", "on_demand"):
            total += r["usd"] / years * year[r["period"]]
            continue
        of = place.loc[(r["chip"], r["site"])]
        total += r["chips"] * (of["keep_usd"] + (of["train_usd"] if r["tier"] == "training" else 0.0)) * year[r["period"]]
        if r["period"] == 2:
            age = 3 * years - r["vintage"]
            worth = built.plan.resale_fraction * (1 + finance.price_performance_per_year) ** -age
            total -= r["chips"] * of["installed_usd"] * worth * (1 + finance.cost_of_capital) ** -(3 * years)
    total += (work_usd(five)["work"] / years * year[work_usd(five)["period"]]).sum()
    shed = five.routes[five.routes["ownership"] == "shed"]
    total += (shed["usd"] / years * year[shed["period"]]).sum()
    assert total == pytest.approx(npv(five), rel=1e-6)


def test_a_class_without_a_workload_of_its_own_has_that_of_the_scenario():
    asked = dict(rents="on_demand", buys="nothing", explain=False)
    plain = tiering([dict(demand_requests_per_s=20)], CHIPS, **asked)
    named = tiering([dict(demand_requests_per_s=20, input_tokens=6000)], CHIPS, **asked)
    assert npv(tiering([dict(demand_requests_per_s=20)], CHIPS, input_tokens=6000, **asked)) == pytest.approx(npv(named)) and npv(named) > npv(plain)
    told = demands([dict(demand_requests_per_s=1), dict(demand_requests_per_s=1, workload="code")], ic.scenario(tpot_slo_s=0.5))
    assert told["tpot_slo_s"].tolist() == [0.5, ic.scenario(workload="code").value("tpot_slo_s")]
