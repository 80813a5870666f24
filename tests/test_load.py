"""Latency against load: where a replica saturates, its knee, the last load within the limits."""

import numpy as np
import pandas as pd
import pytest

import infertco as ic
from infertco.studies import load

BASE = ic.scenario(chip="h100-sxm", tensor_parallel=4, workload="rag")
TABLE = load.curve(BASE, points=np.arange(0.05, 1, 0.05), chip=["h100-sxm", "b200-sxm"])


def test_a_curve_has_a_row_for_each_chip_and_point():
    assert len(TABLE) == 38 and TABLE.groupby("chip", observed=True).size().tolist() == [19, 19]
    assert np.allclose(TABLE["requests_per_s"], TABLE["load"] * TABLE["saturation_requests_per_s"])


@pytest.mark.parametrize("column", ["ttft_s", "ttft_p95_s", "tpot_s", "tpot_p95_s"])
def test_more_load_is_never_faster(column):
    for _, rows in TABLE.groupby("chip", observed=True):
        assert np.all(np.diff(rows[column]) >= -1e-9)


@pytest.mark.parametrize("workload", ["rag", "code", "agent"])  # of code, prompts are read without a pause before all places are taken
def test_the_replica_is_steady_below_saturation_and_not_above(workload):
    base = BASE.vary(workload=workload)
    (most,) = load.saturation_per_s(pd.DataFrame(index=[0]), base)
    below, above = (ic.evaluate(base.vary(arrival_requests_per_s=most * x), ["ttft_s"])["ttft_s"][0] for x in (0.999, 1.002))
    assert below > 0 and np.isnan(above)


def test_reading_can_saturate_before_the_places_do():
    places = ic.evaluate(BASE.vary(workload="code", ttft_slo_s=np.nan, tpot_slo_s=np.nan))["requests_per_s"][0]
    (most,) = load.saturation_per_s(pd.DataFrame(index=[0]), BASE.vary(workload="code"))
    assert most < 0.9 * places and most == pytest.approx(1 / ic.evaluate(BASE.vary(workload="code"), ["prefill_s"])["prefill_s"][0], rel=2e-3)


def test_the_limits_are_judged_at_p95_unless_the_scenario_says_otherwise():
    assert set(TABLE["slo_quantile"]) == {0.95}
    within = (TABLE["ttft_p95_s"] <= 2) & (TABLE["tpot_p95_s"] <= 0.1)
    assert within.any() and not within.all() and (TABLE["meets_slo"] == within).all()
    strict = load.curve(BASE.vary(slo_quantile=0.999), points=[0.7])
    assert TABLE["meets_slo"][13] and not strict["meets_slo"][0] and set(strict["slo_quantile"]) == {0.999}


def test_the_knee_is_the_greatest_throughput_over_response_time():
    points = load.knee(TABLE)
    assert points["point"].tolist() == ["knee", "limit"] * 2
    h100, knee = TABLE[TABLE["chip"] == "h100-sxm"], points.iloc[0]
    response = h100["ttft_s"] + (170.5 - 1) * h100["tpot_s"]  # mean answer of the workload
    assert np.allclose(load.response_s(h100), response)
    assert knee["load"] == h100["load"][(h100["requests_per_s"] / response).idxmax()] and 0.3 < knee["load"] < 0.9


def test_the_limit_is_the_last_load_within_the_limits():
    for (_, rows), (_, limit) in zip(
        TABLE.groupby("chip", observed=True), load.knee(TABLE).query("point == 'limit'").groupby("chip", observed=True), strict=True
    ):
        after = rows[rows["load"] > limit["load"].iloc[0]]
        assert limit["meets_slo"].all() and len(after) and not after["meets_slo"].any()


def test_mm1_has_its_knee_at_half_load():
    """One place, exponential times: response s / (1 - rho), so power is greatest at rho = 1/2 (Kleinrock 1979)."""
    rho = np.arange(0.05, 1, 0.05)
    table = pd.DataFrame(dict(chip="toy", load=rho, requests_per_s=rho, ttft_s=1 / (1 - rho), tpot_s=0.0, output_tokens_per_s=rho, meets_slo=rho < 0.72))
    table = table.reindex(columns=["chip", "load", "arrival_requests_per_s", *load.OUTPUTS]).assign(meets_slo=rho < 0.72)
    points = load.knee(table).set_index("point")["load"]
    assert points["knee"] == pytest.approx(0.5) and points["limit"] == pytest.approx(0.7)


def test_what_cannot_be_served_is_one_row_with_its_reason():
    table = load.curve(BASE.vary(model="llama-3.1-405b", tensor_parallel=None), points=[0.2, 0.8], tensor_parallel=[1, 8], weight_bits=8)
    assert len(table) == 3 and np.isnan(table["load"][0]) and "memory" in table["reason"][0] and table["load"].tolist()[1:] == [0.2, 0.8]
    alone = load.knee(table.head(1))
    assert alone["load"].isna().all() and alone["ttft_s"].isna().all() and alone["point"].tolist() == ["knee", "limit"]


def test_limits_that_no_load_keeps_leave_the_knee():
    points = load.knee(load.curve(BASE.vary(tpot_slo_s=0.001), points=[0.2, 0.5, 0.8])).set_index("point")
    assert points["load"].notna().tolist() == [True, False]


def test_overrides_of_the_scenario_stay_and_its_load_is_set_aside():
    dear = load.curve(BASE.vary(chip_usd=1e6, batch=8), points=[0.5])
    assert dear["usd_per_mtok"][0] > 5 * load.curve(BASE, points=[0.5])["usd_per_mtok"][0]
    assert dear["ttft_s"][0] == load.curve(BASE, points=[0.5])["ttft_s"][0]


@pytest.mark.parametrize("points", [[], [0.0], [1.0], [0.5, np.nan], 0.5])
def test_points_out_of_range_are_an_error(points):
    with pytest.raises(ValueError, match="shares of the saturating rate"):
        load.curve(BASE, points=points)
