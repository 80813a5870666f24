"""Fleets: DeepSeek's day, identities of the bill, the load over a week, what is hired, what is wrong or has no number."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import infertco as ic
from infertco import values
from infertco.kernel import fleet as sizing
from infertco.kernel import queueing, reliability
from infertco.studies.fleet import hours

MONTH_S = 365 * 86400 / 12


def row(**changes):
    return ic.evaluate(ic.scenario(**changes)).iloc[0]


# ---------------------------------------------------------------- reproduces
def test_deepseek_s_day():
    """27 Feb 2025: 226.75 nodes on average, 278 at the peak, 8 H800 each at 2 USD an hour: 87,072 USD a day."""
    day = sizing.shape(278 / 226.75)
    nodes = 226.75 * sizing.week(day, 60)
    assert nodes.mean() == pytest.approx(226.75, rel=1e-12) and nodes.max() == pytest.approx(278, rel=1e-12)
    sized = sizing.size(226.75, 278 / 226.75, 1.0, 1.0, 1.0, 0.999)
    assert sized.replicas == 278 and sized.spares == 0
    assert sized.utilization == pytest.approx(0.816, abs=0.0005)
    assert nodes.mean() * 8 * 2 * 24 == pytest.approx(87072)
    fact = ic.catalog.fact("workload", "deepseek_prod_2025_02", "diurnal_max_over_mean")
    assert fact.value == pytest.approx(278 / 226.75, rel=0.005)


def test_two_million_users_in_one_call():
    table = ic.fleet(ic.scenario(), users=2e6, nines=[2, 3, 5])
    assert list(table["nines"].round(9)) == [2, 3, 5]
    demand = 2e6 * ic.scenario().value("requests_per_user_day") / 86400
    assert table["demand_requests_per_s"].to_numpy() == pytest.approx(demand)
    assert (table["replicas"] == np.ceil(demand * 1.41 / table["capacity_requests_per_s"])).all()
    assert table["spare_replicas"].is_monotonic_increasing and table["usd_per_month"].is_monotonic_increasing
    for name in ("fleet_chips", "fleet_w", "racks", "usd_per_user_month", "concurrent_requests", "stock_chips", "failures_per_month", "serving_failure_usd"):
        assert (table[name] > 0).all(), name
    assert (table["racks"] == np.ceil(table["fleet_w"] / ic.scenario().site.pue / 41e3)).all()
    np.testing.assert_allclose(table["usd_per_user_month"] * 2e6, table["usd_per_month"])


# ---------------------------------------------------------------- the columns of the contract
def test_demand_fills_the_fleet_columns():
    s = ic.scenario(demand_requests_per_s=40, tensor_parallel=4)
    r, alone = ic.evaluate(s).iloc[0], ic.evaluate(s.vary(demand_requests_per_s=None)).iloc[0]
    assert set(values.FLEET) | {"utilization"} <= set(r.index) and not set(values.FLEET) & set(alone.index)
    assert r["replicas"] == np.ceil(40 * 1.41 / r["capacity_requests_per_s"])
    assert r["fleet_chips"] == (r["replicas"] + r["spare_replicas"]) * 4
    assert r["fleet_w"] == pytest.approx(r["fleet_chips"] * (s.chip.tdp_w + s.chip.host_w + s.chip.network_w) * s.site.pue)
    assert r["concurrent_requests"] == pytest.approx(40 * (r["ttft_s"] + (s.workload.output_tokens - 1) * r["tpot_s"]))
    for name in ("ttft_s", "tpot_s", "requests_per_s", "capacity_requests_per_s", "provisioned_j_per_request", "batch"):  # load sets neither
        assert r[name] == alone[name], name
    assert r["reason"] == "" and "not modeled" not in str(r["reason"])


OWNERS = [dict(ownership="owned"), dict(ownership="colo"), dict(ownership="cloud", commitment="reserved")]


@settings(max_examples=40, deadline=None)
@given(demand=st.floats(0.01, 1e5), nines=st.floats(0, 5.9), who=st.sampled_from(OWNERS), load=st.sampled_from([{}, dict(batch=8), dict(clients=20), dict(arrival_requests_per_s=0.1)]))
def test_the_bill_of_the_month_is_the_cost_of_its_tokens(demand, nines, who, load):
    """All cost over output tokens served: the spares are in it, once, and no availability beside them."""
    s = ic.scenario(demand_requests_per_s=demand, availability_target=1 - 10**-nines, **who, **load)
    r = ic.evaluate(s).iloc[0]
    tokens = demand * s.workload.output_tokens * MONTH_S / 1e6
    assert r["usd_per_mtok"] * tokens == pytest.approx(r["usd_per_month"], rel=1e-9)
    assert r["fleet_chips"] * r["usd_per_chip_hour"] * 730 == pytest.approx(r["usd_per_month"], rel=1e-9)
    assert r["usd_per_mtok"] * r["tokens_per_usd"] == pytest.approx(1e6)
    assert r["utilization"] == pytest.approx(demand / ((r["replicas"] + r["spare_replicas"]) * r["capacity_requests_per_s"]))
    assert 0 < r["utilization"] <= 1
    assert row(demand_requests_per_s=demand, availability_target=1 - 10**-nines, availability=0.5, **who, **load)["usd_per_month"] == r["usd_per_month"]


def test_energy_counts_the_spares_too():
    r, s = row(demand_requests_per_s=40), ic.scenario()
    typed = row(utilization=r["utilization"])
    assert r["energy_j_per_request"] == pytest.approx(typed["energy_j_per_request"]) and r["carbon_g_per_request"] == pytest.approx(typed["carbon_g_per_request"])
    raw = row(utilization=r["utilization"], availability=1.0)
    assert r["usd_per_chip_hour"] == pytest.approx(raw["usd_per_chip_hour"]) and s.finance.availability < 1


def test_a_flat_load_that_fills_its_replicas_has_utilization_one():
    capacity = row()["capacity_requests_per_s"]
    perfect = {name: 0 for name in values.FIELDS if name.endswith("failures_per_year")}
    for n in (1, 3, 100):
        r = row(demand_requests_per_s=n * capacity, diurnal_max_over_mean=1, **perfect)
        assert (r["replicas"], r["spare_replicas"]) == (n, 0)
        assert r["utilization"] == pytest.approx(1, abs=1e-9)
    assert row(demand_requests_per_s=2.5 * capacity, diurnal_max_over_mean=1, **perfect)["utilization"] == pytest.approx(2.5 / 3)
    assert row(demand_requests_per_s=2.5 * capacity, diurnal_max_over_mean=2, **perfect)["utilization"] == pytest.approx(0.5)


@settings(max_examples=40, deadline=None)
@given(demand=st.floats(0.1, 1e4), peak=st.floats(1, 5), more=st.floats(0, 2), nines=st.floats(0, 3.5))
def test_more_peak_or_nines_never_fewer_replicas(demand, peak, more, nines):
    target = 1 - 10.0**-nines
    base, swing, sure = ic.evaluate(
        pd.DataFrame(dict(demand_requests_per_s=demand, diurnal_max_over_mean=[peak, peak + more, peak], availability_target=[target, target, 1 - 10.0 ** -(nines + more)]))
    )[["replicas", "spare_replicas", "usd_per_month"]].to_numpy()
    assert (swing >= base * (1 - 1e-9)).all() and sure[0] == base[0] and (sure >= base * (1 - 1e-9)).all()


def test_arrivals_are_what_a_replica_takes_at_the_peak():
    r = row(demand_requests_per_s=50, arrival_requests_per_s=0.2, ttft_slo_s=5)
    assert r["requests_per_s"] == 0.2 and r["replicas"] == np.ceil(50 * 1.41 / 0.2)
    assert r["utilization"] < row(demand_requests_per_s=50, ttft_slo_s=5)["utilization"]


def test_correlated_failures_ask_for_more_spares():
    lone, together = (row(demand_requests_per_s=50, failure_correlation=c)["spare_replicas"] for c in (0, 0.05))
    assert together > lone


def test_rows_without_a_demand_stay_as_they_are():
    frame = pd.DataFrame(dict(demand_requests_per_s=[20.0, np.nan], utilization=[np.nan, 0.5], batch=8))
    both, alone = ic.evaluate(frame), ic.evaluate(frame.iloc[1:].drop(columns="demand_requests_per_s"))
    assert both.loc[1, values.FLEET].isna().all() and both.loc[0, values.FLEET].notna().all()
    for name in alone:
        if alone[name].dtype.kind == "f":
            np.testing.assert_array_equal(alone[name], both.loc[[1], name], err_msg=name)
    assert both.loc[1, "utilization"] == 0.5 and both.loc[0, "utilization"] < 1


def test_a_record_of_a_fleet_is_a_record():
    frame = pd.DataFrame(dict(demand_requests_per_s=[20.0, np.nan, 7.0], workload=["chat", "code", "rag"]))
    for outputs in (None, "all", ["usd_per_mtok"]):
        table = ic.evaluate(frame, outputs)
        again = ic.evaluate(table, outputs)
        assert list(again) == list(table)
        numbers = [name for name in table if table[name].dtype.kind == "f"]
        pd.testing.assert_frame_equal(again[numbers], table[numbers], rtol=1e-12)


def test_what_has_no_number_says_why():
    table = ic.evaluate(pd.DataFrame(dict(
        demand_requests_per_s=10.0, workload=["azure2023_conv", "chat", "chat"], chip=["h100-sxm", "t4", "h100-sxm"], model="llama-3.1-70b",
        tensor_parallel=[8, 1, 8], arrival_requests_per_s=[np.nan, np.nan, 1e6],
    )))  # fmt: skip
    assert table[values.FLEET].drop(columns="concurrent_requests").isna().all(axis=None) and table["concurrent_requests"].isna().tolist() == [False, True, True]
    for text, word in zip(table["reason"], ["no figure for diurnal_max_over_mean", "does not fit", "saturated"], strict=True):
        assert word in text
    assert table["tpot_s"].notna().tolist() == [True, False, False]


def test_weak_names_the_failure_rates_of_fleets_only():
    fleet, alone = row(demand_requests_per_s=10)["weak"], row()["weak"]
    assert "chip_failures_per_year" in fleet and "chip_failures_per_year" not in alone
    assert "availability," in alone + "," and "utilization" in alone and "utilization" not in fleet
    assert "diurnal_max_over_mean" in row(demand_requests_per_s=10, workload="rag")["weak"]
    fields = ic.scenario(demand_requests_per_s=10).assumptions()["field"].tolist()
    assert "repair_time_s" in fields and "repair_time_s" not in ic.scenario().assumptions()["field"].tolist()


# ---------------------------------------------------------------- the load over a week
@settings(max_examples=100, deadline=None)
@given(peak=st.floats(1, 3), trough=st.one_of(st.just(np.nan), st.floats(1, 20)), workday=st.floats(1, 1.4))
def test_a_week_has_its_mean_and_its_peak_and_no_negative_load(peak, trough, workday):
    found = sizing.shape(peak, trough, workday)
    at = np.arange(1440) / 1440
    day = 1 + found.first * np.cos(2 * np.pi * at) + found.second * np.cos(4 * np.pi * at)
    assert day.max() == pytest.approx(peak, rel=1e-9) and day[0] == pytest.approx(peak, rel=1e-12)
    load = sizing.week(found, 4)
    assert (load >= 0).all() and load.max() == pytest.approx(peak * workday, rel=1e-9)
    if np.isnan(trough):
        assert day.min() >= -1e-9 and load.mean() == pytest.approx(1, rel=1e-9)


def test_the_trough_is_kept_where_two_harmonics_reach_it():
    found = sizing.shape(1.41, 2.11)
    load = sizing.week(found, 1)
    assert load.max() / load.min() == pytest.approx(2.11) and load.mean() == pytest.approx(1)


@pytest.mark.parametrize("steps", [0, 1, 5, 40])
def test_ahead_is_the_largest_of_what_comes(steps):
    load = np.random.default_rng(0).random((24, 3))
    twice = np.concatenate([load, load, load])
    expected = [twice[t : t + steps + 1].max(axis=0) for t in range(24)]
    np.testing.assert_array_equal(sizing.ahead(load, steps), expected)


# ---------------------------------------------------------------- what is hired
@settings(max_examples=100, deadline=None)
@given(needed=st.lists(st.integers(0, 30), min_size=2, max_size=40), reserved=st.floats(0.01, 1), on_demand=st.floats(0.01, 1))
def test_the_newsvendor_holds_what_is_cheapest(needed, reserved, on_demand):
    needed = np.array(needed, dtype=float)
    cost = [x * reserved + np.maximum(needed - x, 0).mean() * on_demand for x in np.arange(needed.min(), needed.max() + 1)]
    mix = sizing.newsvendor(needed, reserved, on_demand)
    if reserved <= on_demand:
        assert float(mix.cost) == pytest.approx(min(cost), rel=1e-12)
        assert (needed > mix.reserved).mean() <= reserved / on_demand + 1e-9
    else:
        assert mix.reserved == needed.min()


def test_limits_of_the_newsvendor():
    needed = np.array([[1.0, 1.0], [4.0, 4.0], [9.0, 9.0]])
    free, same = sizing.newsvendor(needed, [1e-9, 1.0], 1.0).reserved
    assert free == 9 and same == 1
    assert np.isnan(sizing.newsvendor(needed, np.nan, 1.0).cost).all()


def test_a_mix_is_never_dearer_than_reserving_all_and_a_lag_never_cheaper():
    plan = dict(users=5e5, reserved_usd_per_hour=2.0, on_demand_usd_per_hour=4.0)
    table = ic.fleet(ic.scenario(), scale_up_lag_s=[0.0, 900.0, 3600.0, 6 * 3600.0, 86400.0], **plan)
    assert (table["mix_usd_per_month"] <= table["all_reserved_usd_per_month"]).all()
    assert table["mean_replicas"].is_monotonic_increasing and table["mix_usd_per_month"].is_monotonic_increasing
    assert table["mean_replicas"].iloc[-1] == table["replicas"].iloc[-1]  # a day ahead: always the peak
    assert (table["replicas"] == table["replicas"].iloc[0]).all()


def test_hours_add_up_to_the_fleet():
    s = ic.scenario(workload="code", demand_requests_per_s=80)
    week, whole = hours(s), ic.fleet(s).iloc[0]
    assert len(week) == 168 and week["ready_replicas"].max() == whole["replicas"]
    assert week["requests_per_s"].mean() == pytest.approx(80, rel=1e-9)
    assert week["ready_replicas"].mean() == pytest.approx(whole["mean_replicas"], rel=0.02)  # hours against quarters of an hour
    assert (week["reserved"] + week["on_demand"] == week["ready_replicas"]).all() and (week["utilization"] <= 1).all()
    weekend = week[(week["hour"] + 12) % 168 >= 120]
    assert weekend["requests_per_s"].mean() < week["requests_per_s"].mean()


# ---------------------------------------------------------------- staffing by queueing
def test_square_root_staffing_agrees_with_erlang():
    for offered in (50.0, 400.0, 3000.0):
        for waits in (0.05, 0.2, 0.5):
            servers = float(sizing.square_root_servers(offered, waits))
            exact = next(n for n in range(int(offered) + 1, 4000) if queueing.erlang_c(n, offered) <= waits)
            assert abs(servers - exact) <= 2


def test_safety_grows_with_the_root_of_the_load():
    small, large = (float(sizing.square_root_servers(a, 0.1)) - a for a in (100.0, 10000.0))
    assert large / small == pytest.approx(10, rel=1e-6)


def test_a_quantile_limit_is_staffed_by_queueing():
    s = ic.scenario(slo_quantile=0.95, ttft_slo_s=6.0)
    r = ic.fleet(s, users=1e6).iloc[0]
    assert r["meets_slo"] and r["reason"] == ""
    assert r["simple_replicas"] <= r["pooled_replicas"] <= r["replicas"]
    more = ic.evaluate(s.vary(arrival_requests_per_s=r["arrival_requests_per_s"] * 1.02)).iloc[0]
    assert not more["meets_slo"]  # the largest rate that keeps them
    stricter = ic.fleet(s.vary(slo_quantile=0.99), users=1e6).iloc[0]
    assert stricter["replicas"] > r["replicas"] and stricter["simple_replicas"] == r["simple_replicas"]
    hopeless = ic.fleet(s.vary(ttft_slo_s=0.01), users=1e6).iloc[0]
    assert not hopeless["meets_slo"] and "misses the TTFT limit" in hopeless["reason"]


# ---------------------------------------------------------------- failures, credits
def test_a_price_brings_credits_and_the_spare_that_stops_paying():
    table = ic.fleet(ic.scenario(), users=2e6, nines=[0.5, 2, 4], usd_per_mtok_sold=10.0)
    assert table["credit_usd_per_month"].is_monotonic_decreasing and table["credit_usd_per_month"].iloc[-1] < 1000
    assert table["paying_spares"].nunique() == 1
    cheap = ic.fleet(ic.scenario(), users=2e6, usd_per_mtok_sold=0.01).iloc[0]
    assert cheap["paying_spares"] <= table["paying_spares"].iloc[0]
    assert "paying_spares" not in ic.fleet(ic.scenario(), users=2e6)


def test_racks_that_fail_as_one_ask_for_more():
    table = ic.fleet(ic.scenario(), users=2e5, domain_replicas=[1, 4, 8], domain_availability=[1.0, 0.999, 0.999])
    assert table["domain_spare_replicas"].iloc[0] == table["spare_replicas"].iloc[0]
    assert table["domain_spare_replicas"].is_monotonic_increasing and table["domain_spare_replicas"].iloc[2] >= 8


def test_a_failed_replica_reads_its_requests_anew():
    s = ic.scenario(demand_requests_per_s=30, workload="rag", tensor_parallel=8, batch=16)
    r = ic.fleet(s).iloc[0]
    again = ic.evaluate(s.vary(input_tokens=s.workload.input_tokens + s.workload.output_tokens / 2), ["prefill_s"]).iloc[0]["prefill_s"]
    assert r["serving_failure_usd"] == pytest.approx(reliability.serving_failure_usd(16, again, 8, r["usd_per_chip_hour"]))


# ---------------------------------------------------------------- rows, frames, what is typed wrong
def test_scenarios_and_plans_are_crossed():
    frame = pd.DataFrame(dict(chip=["h100-sxm", "mi300x", "t4"], model="llama-3.1-70b"), index=[7, 8, 9])
    table = ic.fleet(frame, users=[1e5, 1e6])
    assert table["chip"].astype(str).tolist() == ["h100-sxm", "h100-sxm", "mi300x", "mi300x", "t4", "t4"]
    assert table["users"].tolist() == [1e5, 1e6] * 3
    one = ic.fleet(ic.scenario(chip="mi300x"), users=1e6).iloc[0]
    assert one["usd_per_month"] == table["usd_per_month"][3]
    arrays = ic.fleet(ic.scenario(demand_requests_per_s=np.array([10.0, 20.0]), usd_per_kwh=np.array([0.05, 0.2])), nines=[2, 4])
    assert arrays["demand_requests_per_s"].tolist() == [10, 10, 20, 20] and arrays["usd_per_kwh"].tolist() == [0.05, 0.05, 0.2, 0.2]


def test_a_chip_without_a_price_has_its_fleet_but_no_bill():
    r = ic.fleet(ic.scenario(chip="rubin", demand_requests_per_s=10)).iloc[0]
    assert np.isfinite(r["fleet_chips"]) and np.isnan(r["usd_per_month"]) and "no figure for chip_usd" in r["reason"]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: ic.fleet(ic.scenario()), "a fleet needs users, or a scenario with demand_requests_per_s"),
        (lambda: ic.fleet(ic.scenario(demand_requests_per_s=2), users=5), "users make the demand; give users or demand_requests_per_s, not both"),
        (lambda: ic.fleet(ic.scenario(utilization=0.5), users=5), "utilization follows from the users or the demand; leave it out"),
        (lambda: ic.fleet(ic.scenario(), user=5), "no field of a fleet plan named 'user'; did you mean 'users'?"),
        (lambda: ic.FleetPlan(users=-1), "users must be above 0 and at most 1e\\+11, got -1"),
        (lambda: ic.FleetPlan(nines=[1, 2], users=[1, 2, 3]), "arrays of a plan must have one length, got 2, 3"),
        (lambda: ic.FleetPlan(scale_up_lag_s=np.nan), "scale_up_lag_s must be at least 0 and at most 604800, got nan"),
        (lambda: ic.FleetPlan(nines=[[1]]), "nines must be a number or a 1-D array with at least one entry"),
        (lambda: ic.FleetPlan(users="many"), "users must be a number, got 'many'"),
        (lambda: hours(ic.scenario(), users=[1, 2]), "hours takes one scenario and one plan, got 2 pairs"),
        (lambda: ic.scenario(utilization=0.5, demand_requests_per_s=4), "utilization follows from demand_requests_per_s; give one of the two"),
        (lambda: ic.scenario(availability_target=1), "availability_target must be at least 0 and at most 0.999999, got 1"),
    ],
)  # fmt: skip
def test_what_is_typed_wrong_is_one_line(call, message):
    with pytest.raises(ValueError, match=message) as said:
        call()
    assert "\n" not in str(said.value)


def test_columns_equal_points():
    demand, peak, works = np.array([0.5, 30.0, 1e6]), np.array([1.0, 1.5, 2.5]), np.array([0.9, 0.99, 0.999])
    found = sizing.size(demand, peak, 2.0, 3.0, works, 0.99)
    for i in range(3):
        np.testing.assert_array_equal([x[i] for x in found], sizing.size(demand[i], peak[i], 2.0, 3.0, works[i], 0.99))
    shapes = sizing.shape(np.array([1.0, 1.41, 2.9, 2.2]), np.array([np.nan, 2.11, np.nan, 3.0]), np.array([1.0, 1.0, 1.3, 1.2]))
    week = sizing.week(shapes)
    for i in range(4):
        one = sizing.shape(*((1.0, np.nan, 1.0), (1.41, 2.11, 1.0), (2.9, np.nan, 1.3), (2.2, 3.0, 1.2))[i])
        np.testing.assert_allclose(week[:, i], sizing.week(one), rtol=1e-12)
