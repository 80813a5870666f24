"""The pivot: published values, exponentials against the closed form, what adds up, and what is told of bad input."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import infertco as ic
from infertco import catalog, plans
from infertco.kernel import demand, training
from infertco.studies import pivot, pivot_drivers, ranges, vintages

STILL = dict(
    request_growth_per_year=0, prompt_growth_per_year=0, reasoning_share_start=0, reasoning_share_end=0, prefix_share_end=0, small_share_start=0,
    small_share_end=0, offline_share=0, model_growth_per_year=0, efficiency_gain_per_year=0, energy_gain_per_year=0, training_growth_fade=0, window_months=1,
)  # fmt: skip


# ------------------------------------------------------------------ published values
def test_bass_peaks():
    assert demand.bass_peak(0.0026167, 0.21566) == pytest.approx(20.21, abs=0.005)
    assert demand.bass_peak(0.03, 0.38) == pytest.approx(6.19, abs=0.005)
    t = np.linspace(0, 30, 30001)
    coming = np.diff(demand.bass(t, 0.03, 0.38))
    assert t[np.argmax(coming)] == pytest.approx(6.19, abs=0.01)  # where the curve itself is steepest
    assert demand.bass(demand.bass_age(0.3, 0.03, 0.38), 0.03, 0.38) == pytest.approx(0.3)


def test_sardana_saves_17_percent_with_a_model_of_7_billion():
    size, tokens, paid, given = training.overtraining(13e9, np.nan, 2e12)
    assert size / 1e9 == pytest.approx(7, abs=0.2) and given - paid == pytest.approx(1.7e22, rel=0.02) and 1 - paid / given == pytest.approx(0.17, abs=0.005)
    assert training.loss(size, tokens, training.SARDANA) == pytest.approx(float(training.loss(13e9, training.optimal_tokens(13e9, training.SARDANA), training.SARDANA)))


def test_with_nothing_served_the_optimal_model_stays_and_dearer_serving_makes_it_smaller():
    n, *_ = training.overtraining(13e9, np.nan, 0.0, training.BESIROGLU)
    assert n == pytest.approx(13e9, rel=0.01)
    sizes = [float(training.overtraining(13e9, np.nan, 2e12, served_over_trained=r)[0]) for r in (0.5, 1, 2, 8)]
    assert all(a > b for a, b in zip(sizes, sizes[1:], strict=False))


def test_flop_of_serving_equal_those_of_training_after_three_times_its_tokens():
    assert training.break_even_tokens(15.6e12) == pytest.approx(46.8e12)
    assert 46.8e12 / (480e12 / 31) == pytest.approx(3, abs=0.03)  # days at the rate reported for May 2025


# ------------------------------------------------------------------ against the closed form
def test_two_exponentials_cross_where_the_closed_form_says():
    found = pivot.pivot(story="cloud", draws=0, adoption="exponential", user_growth_per_year=2.0, training_growth_per_year=0.5, first_month="2024-01", last_month="2040-12", price_performance_per_year=0, **STILL)
    row = found.crossings.set_index("measure").loc["spend"]
    first = found.paths.iloc[0]
    behind = first["training_usd"] / first["inference_usd"]
    assert behind > 2
    assert row["path"] - 2024 == pytest.approx(np.log(behind) / (np.log(3) - np.log(1.5)), abs=0.02)
    assert row["path"] == pytest.approx(row["closed_form"], abs=0.02)


def test_crossing_counts_from_the_start_and_never():
    inference, trained = np.array([[2.0, 1.0], [3.0, 1.0]]), np.array([[1.0, 2.0], [1.0, 2.0]])
    assert demand.crossing(inference, trained)[0] == 0 and np.isnan(demand.crossing(inference, trained)[1])
    assert demand.crossing_years(0.5, 0.1, 0.2) == 0 and np.isnan(demand.crossing_years(2.0, 0.1, 0.2))


def test_window_sum_adds_up():
    assert list(demand.window_sum(np.array([1.0, 2.0, 3.0, 4.0]), 2)) == [2.0, 3.0, 5.0, 7.0]


# ------------------------------------------------------------------ the stories
@pytest.mark.parametrize("story", ["enterprise", "lab", "cloud"])
def test_every_story_has_dates_with_ranges_and_sources(story):
    found = pivot.pivot(story=story, draws=256)
    assert list(found.crossings["measure"]) == ["compute", "power", "spend"]
    assert (found.crossings["date_low"] <= found.crossings["date"]).all() and (found.crossings["date"] <= found.crossings["date_high"]).all()
    assert len(found.paths) == 144 and len(np.unique(found.dates["spend"])) > 100
    told = found.inputs[~found.inputs["changed"]]
    assert (told["source"] != "").all() and set(told["source"]) <= set(catalog.sources().index)
    bands = found.bands["spend"]
    assert (bands["p10"] <= bands["p50"]).all() and (bands["p50"] <= bands["p90"]).all() and bands.filter(like="p").iloc[:, 1:].le(1).all().all()


def test_money_and_power_follow_from_the_chips():
    found = pivot.pivot(story="lab", draws=0)
    p, scn = found.paths, found.scenario
    first = p.iloc[0]
    assert p["serving_chips"].to_numpy() == pytest.approx((p["premium_chips"] + p["batch_chips"]).to_numpy())
    assert p["inference_chip_hours"].to_numpy() == pytest.approx(p["serving_chips"].to_numpy() * 8760 / 12)
    hour = ic.evaluate(scn)["usd_per_chip_hour"].iloc[0]
    assert first["inference_usd"] == pytest.approx(first["serving_chips"] * hour * 730)
    rated = (scn.chip.tdp_w + scn.chip.host_w + scn.chip.network_w) * scn.site.pue
    assert first["inference_mw"] == pytest.approx(first["serving_chips"] * rated / 1e6)
    assert p["inference_mw"].iloc[12] / p["serving_chips"].iloc[12] == pytest.approx(rated / 1e6 / (1 + found.plan.energy_gain_per_year))


def test_serving_is_what_the_kernel_says_within_the_limits():
    still = STILL | dict(small_model="llama-3.1-8b")
    found = pivot.pivot(story="enterprise", draws=0, tensor_parallel=4, **still)
    row = ic.evaluate(found.scenario.vary(batch=None)).iloc[0]
    first = found.paths.iloc[0]
    busy = first["requests"] / (730 * 3600) * row["chips_per_replica"] / row["capacity_requests_per_s"] / found.scenario.value("utilization")
    assert first["serving_chips"] == pytest.approx(busy)


def test_more_efficiency_never_makes_serving_larger_and_more_requests_never_smaller():
    base, lean, busy = (pivot.pivot(draws=0, **named).paths["inference_usd"] for named in ({}, dict(efficiency_gain_per_year=0.6), dict(request_growth_per_year=0.5)))
    assert (lean.iloc[1:] < base.iloc[1:]).all() and (busy.iloc[1:] > base.iloc[1:]).all()


def test_what_the_caller_names_is_not_drawn_and_the_same_seed_gives_the_same_dates():
    scn, _, facts = pivot.told(named=dict(efficiency_gain_per_year=0.3))
    assert "efficiency_gain_per_year" not in set(pivot.uncertain(scn, facts)["field"])
    one, two = (pivot.pivot(draws=64, seed=3).dates["spend"] for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert np.isnan(pivot.pivot(draws=64, seed=4).dates["spend"]).mean() < 1


def test_prices_are_drawn_and_both_chips_feel_them_alike():
    scn, _, facts = pivot.told(named=dict(story="lab"))
    known = pivot.uncertain(scn, facts).set_index("field")
    assert {"chip_usd", "host_usd", "colo_usd_per_kw_month", "price_performance_per_year", "pue"} <= set(known.index) and known.index.is_unique
    dear = SimpleNamespace(**vars(facts), chip_usd=np.array([1.0, 1.2]) * known.loc["chip_usd", "value"])
    serving, trained = pivot._price(scn, pivot._priced(scn, dear)), pivot._trained(scn, dear)
    assert serving.usd_per_chip_hour[0] == pytest.approx(pivot._price(scn).usd_per_chip_hour)
    own = scn.vary(chip="h100-sxm", tensor_parallel=None)
    dearer = pivot._price(own.vary(chip_usd=1.2 * own.value("chip_usd"))).usd_per_chip_hour / pivot._price(own).usd_per_chip_hour
    assert trained.usd_per_chip_hour[1] / trained.usd_per_chip_hour[0] == pytest.approx(dearer) and dearer > 1.05
    assert trained.usd_per_chip_hour[0] == pytest.approx(pivot._trained(scn, facts).usd_per_chip_hour)


def test_the_range_of_a_chip_hour_is_that_of_its_prices_and_none_where_all_are_named():
    found = pivot.pivot(story="enterprise", draws=256)
    hour = found.bands["usd_per_chip_hour"].iloc[0]
    usd = float(ic.evaluate(found.scenario)["usd_per_chip_hour"].iloc[0])
    assert hour["p90"] > 1.2 * hour["p10"] and hour["p2_5"] < usd < hour["p50"]  # ranges of prices reach farther up than down
    scn, _, facts = pivot.told(named=dict(story="enterprise"))
    prices = {row.field: row.value for row in pivot.uncertain(scn, facts).itertuples() if row.field in ic.values.FIELDS}
    still = pivot.pivot(story="enterprise", draws=64, **prices).bands["usd_per_chip_hour"]
    assert np.ptp(still.iloc[0][["p2_5", "p50", "p97_5"]].to_numpy(float)) == pytest.approx(0.0, abs=1e-9)
    assert still["p50"].iloc[0] == pytest.approx(usd)


def test_points_of_a_latin_hypercube_fill_every_slice_once():
    points = ranges.latin(50, 3, np.random.default_rng(1))
    assert (np.sort((points * 50).astype(int), axis=0) == np.arange(50)[:, None]).all() and abs(np.corrcoef(points.T)[0, 1]) < 0.5


def test_a_series_of_ones_own_replaces_the_modeled_months_and_goes_on_at_the_models_pace():
    month = pd.date_range("2024-01", periods=24, freq="MS")
    plain = pivot.pivot(draws=0).paths
    own = pivot.pivot(draws=0, series=pd.DataFrame(dict(month=month, users=np.linspace(5e4, 9e4, 24)))).paths
    assert own["users"][:24].to_numpy() == pytest.approx(np.linspace(5e4, 9e4, 24))
    assert own["users"][60] / own["users"][23] == pytest.approx(plain["users"][60] / plain["users"][23])


def test_the_fleet_of_a_story_adds_up():
    found = pivot.pivot(story="enterprise", draws=0)
    fleet = vintages.vintages(pivot.need(found), found.scenario, found.plan)
    bought = fleet.flows.query("tier_from == 'bought'")["chips"].sum()
    last = fleet.stock[fleet.stock["period"] == fleet.stock["period"].max()]
    assert last["chips"].sum() == pytest.approx(bought)  # sold and retired ones included


def test_drivers_move_the_date_and_the_surface_holds_the_middle():
    moved = pivot_drivers.drivers(story="enterprise")
    assert moved["swing"].is_monotonic_decreasing and moved["swing"].iloc[0] > 0.5
    row = moved.set_index("field").loc["request_growth_per_year"]
    assert row["date_high"] < row["date"]  # more requests, sooner
    grid = pivot_drivers.surface("tune_tokens", "request_growth_per_year", story="enterprise", steps=3)
    assert len(grid) == 9 and grid.groupby("tune_tokens")["date"].first().dropna().is_monotonic_increasing


def test_published_statements_of_one_measure_are_not_mixed_with_another():
    compute, spend = (pivot_drivers.published(f"inference_share_{what}") for what in ("compute", "spend"))
    assert set(compute["value"].round(3)) == {0.333, 0.5, 0.667} and (compute["who"] != "").all()
    assert not set(compute["item"]) & set(spend["item"]) and compute["value"].between(0, 1).all()


# ------------------------------------------------------------------ bad input
MONTHS = pd.date_range("2024-01", periods=24, freq="MS").strftime("%Y-%m").tolist()


@pytest.mark.parametrize(
    "named, said",
    [
        (dict(training_growth_per_year=-0.2), "training_growth_per_year must be at least 0 and at most 100, got -0.2"),
        (dict(last_month="2023-01"), "last_month must be later than first_month 2024-01, got 2023-01"),
        (dict(first_month="2024"), "first_month must be a month as 2026-01, got '2024'"),
        (dict(story="labb"), "unknown story 'labb'; did you mean 'lab'? Known: enterprise, lab, cloud"),
        (dict(adoption="basss"), "unknown adoption 'basss'; did you mean 'bass'? It is one of bass, logistic, exponential, steady"),
        (dict(request_growth=1), "no field of a pivot plan named 'request_growth'; did you mean 'request_growth_per_year'?"),
        (dict(trained_model="lama-3.1-70b"), "unknown model 'lama-3.1-70b'; did you mean 'llama-3.1-70b'"),
        (dict(series=pd.DataFrame(dict(month=MONTHS[:3] + MONTHS[4:], users=1.0))), "a series must have every month from 2024-01 to 2025-12; 2024-04 is missing"),
        (dict(series=pd.DataFrame(dict(month=MONTHS, users=-1.0))), "users of a series must be above 0 in every month, got -1.0 in 2024-01"),
        (dict(series=pd.DataFrame(dict(month=MONTHS, user=1.0))), "unknown column 'user' of a series; did you mean 'users'?"),
        (dict(model="deepseek-v3", chip="l4"), "the large model of the story cannot be served: deepseek-v3 does not fit"),
    ],
)
def test_bad_input_is_one_clear_line(named, said):
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        pivot.pivot(draws=0, **named)
    assert "\n" not in str(error.value)


def test_names_of_plans_and_values_are_unique():
    names = [name for plan in plans.PLANS for name in plans.names(plan)]
    assert len(names) == len(set(names)) and not set(names) & set(ic.values.FIELDS)


@pytest.mark.bench
def test_ten_thousand_paths_of_ten_years(capsys):
    import time

    start = time.process_time()
    pivot.pivot(story="lab", draws=10_000)
    took = time.process_time() - start
    with capsys.disabled():
        print(f"\n10,000 paths of twelve years: {took:.1f} s of one core")
    assert took < 5
