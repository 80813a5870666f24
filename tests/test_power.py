"""Watts and joules: limits of the law, phases that add up, one PUE, the boundary a row was measured at, and honest errors."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import infertco as ic
from infertco import catalog
from infertco.kernel import power
from infertco.studies import calibration, measured, power_fit, validation

CHIP = SimpleNamespace(
    tdp_w=700.0, idle_power_share=0.28, power_per_memory_use=0.7, power_per_root_compute_use=3.4, server_power_factor=1.2, server_w=150.0, host_w=575.0, network_w=100.0
)  # fmt: skip
ENERGY = [
    "prefill_w_per_chip", "decode_w_per_chip", "active_w_per_chip", "idle_w_per_chip", "mean_w_per_chip", "server_w_per_chip", "prefill_energy_j_per_request",
    "decode_energy_j_per_request", "accelerator_energy_j_per_request", "accelerator_energy_j_per_output_token", "energy_j_per_output_token", "energy_j_per_request",
    "requests_per_s", "chips_per_replica", "carbon_g_per_request", "provisioned_j_per_request",
]  # fmt: skip


@pytest.fixture(scope="module")
def rows():
    table = pd.read_csv(catalog.data_dir() / "measured" / "inference.csv", low_memory=False)
    return table[table["metric"].isin(measured.POWER)].reset_index(drop=True)


@pytest.fixture(scope="module")
def validated(rows):
    return validation.validate(rows)


@pytest.fixture(scope="module")
def sweep():
    free = dict(ttft_slo_s=float("nan"), tpot_slo_s=float("nan"))
    base = ic.scenario(**free, ownership="owned", tensor_parallel=4, input_tokens=1000, output_tokens=250)
    chips = ["h100-sxm", "h200-sxm", "b200-sxm", "mi300x", "a100-80-sxm"]
    return ic.sweep(base, chip=chips, batch=[1, 8, 32, 64], outputs=ENERGY)


# --- the law


def test_a_waiting_chip_draws_its_idle_share_and_a_busy_one_less_than_tdp():
    assert power.chip_w(CHIP, 0.0, 0.0) == pytest.approx(0.28 * 700) == pytest.approx(power.idle_w(CHIP))
    assert 0.9 * 700 < power.chip_w(CHIP, 1.0, 1.0) < 700
    assert power.chip_w(CHIP, 7.0, 7.0) == power.chip_w(CHIP, 1.0, 1.0)  # no chip is used more than wholly


def test_the_law_by_hand():
    # pull = 0.7 * 0.5 + 3.4 * 0.1 = 0.69; share = 0.28 + 0.72 (1 - e^-0.69) = 0.63887
    assert power.chip_w(CHIP, 0.5, 0.01) == pytest.approx(700 * 0.63887, rel=1e-4)


def test_draw_rises_with_either_use():
    use = np.linspace(0, 1, 21)
    assert (np.diff(power.chip_w(CHIP, use[:, None], use[None, :]), axis=0) > 0).all()
    assert (np.diff(power.chip_w(CHIP, use[:, None], use[None, :]), axis=1) > 0).all()


def test_a_power_limit_holds_and_nothing_is_hidden_by_it():
    assert power.chip_w(CHIP, 0.5, 0.5, 400.0) == 400
    assert power.chip_w(CHIP, 0.0, 0.0, 400.0) == pytest.approx(196)
    assert np.isnan(power.chip_w(CHIP, np.nan, 0.5, 400.0))  # an unknown draw is not the limit


def test_server_and_year_by_hand():
    assert 8 * power.server_w(CHIP, 500.0) == pytest.approx(1.2 * 4000 + 1200)
    # 70 % of the year at 600 W, the rest at 196 W; 80 % of the rating of host and network
    assert power.mean_w(CHIP, 600.0, 0.8, 0.7) == pytest.approx(0.7 * 600 + 0.3 * 196 + 0.8 * 675)


# --- outputs


def test_prefill_is_near_tdp_decode_below_it_idle_at_its_share(sweep):
    tdp_w = sweep["chip"].astype(str).map(ic.chips()["tdp_w"])
    idle = sweep["chip"].astype(str).map(ic.chips()["idle_power_share"])
    assert (sweep["prefill_w_per_chip"] / tdp_w).between(0.8, 1.0).all()
    assert (sweep["decode_w_per_chip"] < sweep["prefill_w_per_chip"]).all() and (sweep["decode_w_per_chip"] / tdp_w).between(0.4, 0.95).all()
    assert sweep["idle_w_per_chip"].to_numpy() == pytest.approx((idle * tdp_w).to_numpy())
    assert (sweep["idle_w_per_chip"] < sweep["decode_w_per_chip"]).all()
    assert sweep["active_w_per_chip"].between(sweep["decode_w_per_chip"], sweep["prefill_w_per_chip"]).all()
    rising = sweep.groupby(sweep["chip"].astype(str), sort=False)["decode_w_per_chip"]
    assert rising.apply(lambda w: w.is_monotonic_increasing).all()  # more sequences, more draw


def test_prompt_and_answer_add_up(sweep):
    parts = sweep["prefill_energy_j_per_request"] + sweep["decode_energy_j_per_request"]
    assert parts.to_numpy() == pytest.approx(sweep["accelerator_energy_j_per_request"].to_numpy(), rel=1e-14)
    assert (sweep["accelerator_energy_j_per_output_token"] * 250).to_numpy() == pytest.approx(sweep["accelerator_energy_j_per_request"].to_numpy())
    assert (sweep["energy_j_per_output_token"] * 250).to_numpy() == pytest.approx(sweep["energy_j_per_request"].to_numpy())
    watts = sweep["accelerator_energy_j_per_request"] * sweep["requests_per_s"] / sweep["chips_per_replica"]
    assert watts.to_numpy() == pytest.approx(sweep["active_w_per_chip"].to_numpy())


def test_a_longer_prompt_takes_a_larger_part():
    base = ic.scenario(batch=16, tensor_parallel=4, output_tokens=200)
    table = ic.sweep(base, input_tokens=[100, 1000, 10000], outputs=["prefill_energy_j_per_request", "accelerator_energy_j_per_request"])
    part = table["prefill_energy_j_per_request"] / table["accelerator_energy_j_per_request"]
    assert part.is_monotonic_increasing and part.iloc[0] < 0.2 and part.iloc[-1] > 0.5


def test_pue_counts_once_and_only_where_the_building_does():
    base = ic.scenario(batch=16, tensor_parallel=4)
    one, two = (ic.evaluate(base.vary(pue=pue), ENERGY).iloc[0] for pue in (1.0, 1.5))
    inside = [name for name in ENERGY if name.startswith(("energy_j", "carbon", "provisioned"))]
    for name in ENERGY:
        assert two[name] == pytest.approx(one[name] * (1.5 if name in inside else 1.0)), name


def test_a_model_that_does_not_fit_draws_nothing_known():
    row = ic.evaluate(ic.scenario(chip="l4", model="llama-3.1-405b", tensor_parallel=1), ENERGY).iloc[0]
    assert row[[name for name in ENERGY if name not in ("idle_w_per_chip", "chips_per_replica")]].isna().all()


def test_occupancy_is_the_same_as_capacity():
    """Rated watts x residence / sequences in flight = rated watts over requests/s, by Little's law."""
    s = ic.scenario(batch=32, tensor_parallel=8, ownership="owned")
    row = ic.evaluate(s, ["provisioned_j_per_request", "ttft_s", "tpot_s", "chips_per_replica"]).iloc[0]
    rated_w = (s.chip.tdp_w + s.chip.host_w + s.chip.network_w) * s.site.pue * row["chips_per_replica"]
    residence_s = row["ttft_s"] + (s.workload.output_tokens - 1) * row["tpot_s"]
    assert row["provisioned_j_per_request"] == pytest.approx(rated_w * residence_s / 32)


def test_energy_has_its_own_interval():
    s = ic.scenario(batch=16, tensor_parallel=4)
    row = ic.evaluate(s, "all").iloc[0]
    for name in ("energy_j_per_request", "accelerator_energy_j_per_request", "energy_j_per_output_token", "carbon_g_per_request"):
        assert np.log(row[name + "_high"] / row[name]) == pytest.approx(1.2816 * s.chip.energy_spread), name
    assert np.log(row["provisioned_j_per_request_high"] / row["provisioned_j_per_request"]) == pytest.approx(1.2816 * s.chip.tpot_spread)


# --- measured rows

WATTS = dict(
    source_id="somebody", hardware="h200-sxm", n_devices=8, model="llama-3.1-70b", weight_bits=16, tp=8, engine="vllm", scenario="offline",
    batch_or_concurrency=32, input_tokens=1000, output_tokens=500, metric="watts", value=5000.0, unit="W", notes="",
)  # fmt: skip


@pytest.mark.parametrize(
    "change, boundary, assumed",
    [
        (dict(source_id="mlperf-inference-v5.0"), "system", False), (dict(notes="whole-system AC power, GPU power limit 350 W"), "system", False),
        (dict(source_id="ml-energy-v3"), "chips", False), (dict(notes="GPU power only"), "chips", False), (dict(), "chips", True), (dict(notes="wall-clock"), "chips", True), (dict(metric="tpot_ms"), "", False),
    ],
)  # fmt: skip
def test_the_boundary_is_read_or_named_as_assumed(change, boundary, assumed):
    row = measured.read(pd.DataFrame([WATTS | change])).iloc[0]
    assert row["boundary"] == boundary and ("boundary" in row["assumed"]) == assumed


def test_totals_shares_and_systems():
    changes = [dict(), dict(unit="W/GPU"), dict(notes="whole-system AC power"), dict(notes="whole-system AC power, GPU power limit 350 W"), dict(n_devices=16)]
    total, one, system, limited, twice = validation.predict(validation.scenarios(pd.DataFrame([WATTS | change for change in changes])))["predicted"]
    chip = ic.scenario(chip="h200-sxm").chip
    assert total == pytest.approx(8 * one) and twice == pytest.approx(2 * total)
    assert system == pytest.approx(chip.server_power_factor * total + 8 * chip.server_w)
    assert limited == pytest.approx(8 * (chip.server_power_factor * 350 + chip.server_w))


@pytest.mark.parametrize("unit", ["J/token", "J/token per GPU/chip"])
def test_joules_a_token_are_watts_over_the_rate_of_all_chips(unit):
    metrics = dict(watts="W", output_tokens_per_s_total="token/s", energy_j_per_output_token=unit)
    made = pd.DataFrame([WATTS | dict(metric=metric, unit=unit, n_devices=16) for metric, unit in metrics.items()])
    watts, rate, joules = validation.predict(validation.scenarios(made))["predicted"]
    assert joules == pytest.approx(watts / rate)


def test_most_rows_of_power_and_energy_are_predicted(validated):
    for task in ("power", "energy"):
        mine = validated[validated["task"] == task]
        assert len(mine) > 250 and mine["scored"].mean() >= 0.85
    assert (validated["why_not"] != "").eq(~validated["scored"]).all()


def test_one_boundary_for_each_publication(rows):
    table = measured.read(rows)
    assert (table["boundary"] == np.where(table["source_id"] == "ml-energy-v3", "chips", "system")).all()
    limits = table.loc[table["boundary"] == "system", "power_limit_w"]
    assert set(limits) == {350.0, 500.0} and table.loc[table["boundary"] == "chips", "power_limit_w"].isna().all()


# --- the fit, and what is said of it


def test_published_errors_are_those_of_the_published_numbers(validated):
    """The rows `none` of accuracy.csv, recomputed: the facts in force, to the digits printed."""
    scored = validated[validated["scored"]]
    errors = pd.DataFrame(dict(task=scored["task"], error=np.log(scored["predicted"] / scored["value"])))
    errors["error"] = errors["error"].astype(float)
    again = calibration.accuracy(errors, errors.head(0).assign(left_out="", group=""))
    told = validation.accuracy().query("left_out == 'none'").set_index("task")
    for task, row in again.set_index("task").iterrows():
        for name in ("rows", "median", "mean", "bias", "p90", "low", "high"):
            assert row[name] == pytest.approx(told.loc[task, name], abs=2e-4), (task, name)


def test_every_way_of_leaving_out_is_told_and_none_flatters():
    told = validation.accuracy()
    told = told[told["task"].isin(["power", "energy"])].set_index(["task", "left_out"])
    assert len(told) == 10
    for task in ("power", "energy"):
        inside = told.loc[(task, "none")]
        for kind in ("source", "chip", "model"):
            row = told.loc[(task, kind)]
            assert row["rows"] == inside["rows"]
            assert row["mean"] >= inside["mean"]  # rows not seen are predicted no better
        assert told.loc[(task, "any"), "rows"] == 3 * inside["rows"]
        assert 70 < told.loc[(task, "any"), "coverage"] < 90


def test_energy_of_what_no_fit_has_seen():
    """Speeds and law refitted without them; the one source of energies is also the one that tells its engine's speed."""
    told = validation.accuracy().query("task == 'energy'").set_index("left_out")["median"]
    assert told["none"] <= 12 and told["model"] <= 13 and told["chip"] <= 17 and told["source"] <= 30


def test_refitted_speeds_reach_every_row(rows):
    """The start values of the speeds, as a refit would hand them over: each row takes those of its class and engine."""
    table = power_fit.scenarios()
    problem = calibration.Problem(validation.scenarios(pd.read_csv(catalog.data_dir() / "measured" / "inference.csv", low_memory=False)))
    fields = power_fit.speed_fields(table, problem, problem.start)
    mine = problem.table[problem.table["source_id"] == "ml-energy-v3"]
    at = mine.index[0]
    columns = problem.columns(problem.start)
    alone = (table["boundary"] == "chips").to_numpy() & (table["chip"] == mine["chip"][at]).to_numpy()
    for name in ("memory_efficiency_8", "layer_time_s", "sequence_time_s"):
        assert np.ptp(fields[name][alone]) == 0 and fields[name][alone][0] == columns[name][at], name
    few = table[table["model"].isin(["llama-3.1-405b", "qwen3-8b"])][::9]  # of one source, two chips, two families: five fits
    left = power_fit.left_out(few, dict.fromkeys([(kind, "others") for kind in ("source", "chip", "model")], (problem, problem.start)))
    assert set(left[0]["left_out"]) == {"source", "chip", "model"} and len(left[0]) == 3 * len(few)
    assert few["chip"].nunique() == few["model"].nunique() == 2 and len(left[1]) == 5


def test_the_fit_finds_the_law_that_made_the_rows(rows):
    """Rows made by the model itself under other numbers: the fit returns to their draws."""
    table = power_fit.scenarios()
    table = table[(table["metric"] == "watts") & (table["boundary"] == "chips")]
    true = power_fit.START + np.array([0.4, -0.3, 0.3, 0.0, 0.0])
    made = validation.predict(table.assign(**dict(zip(power_fit.LAW, np.exp(true), strict=True))))
    table["value"] = made["predicted"].reindex(table["row"]).to_numpy()
    found = power_fit.fit(table)
    before, after = (power_fit.log_errors(table, theta)["error"].abs().quantile(0.9) for theta in (power_fit.START, found))
    assert before > 0.08 and after < 0.03  # the numbers trade against each other within their priors; the draws do not
    assert found[3:] == pytest.approx(power_fit.START[3:], abs=1e-6)  # no whole system among them: the priors stand


def test_calibration_writes_its_own_rows_and_finds_the_shipped_numbers(tmp_path, monkeypatch):
    for name in ("efficiency.csv", "accuracy.csv"):
        (tmp_path / name).write_text((catalog.data_dir() / name).read_text())
    alike = power_fit.log_errors(power_fit.scenarios(), power_fit.START)
    assert power_fit.log_errors(power_fit.scenarios(tmp_path / "efficiency.csv"), power_fit.START)["error"].equals(alike["error"])
    judged = alike.assign(left_out="model", group="one")
    monkeypatch.setattr(power_fit, "left_out", lambda table, speeds: (judged, power_fit.START[None]))
    power_fit.calibrate(tmp_path / "efficiency.csv", lambda words: None, speeds={})
    before, after = (pd.read_csv(folder / "efficiency.csv").set_index(["item", "parameter"]) for folder in (catalog.data_dir(), tmp_path))
    own = before.index.get_level_values("parameter").isin([*power_fit.LAW, "energy_spread"]) & (before["source"] == "infertco-calibration")
    assert after.drop(before.index[own]).equals(before[~own]) and set(after.index) == set(before.index)
    for field in power_fit.LAW:
        assert float(after.loc[("hopper", field), "value"]) == pytest.approx(float(before.loc[("hopper", field), "value"]), rel=0.01), field
    ranged = after.loc[before.index[own]]
    assert (ranged["low"].astype(float) <= ranged["value"].astype(float)).all() and (ranged["value"].astype(float) <= ranged["high"].astype(float)).all()
    tasks = pd.read_csv(tmp_path / "accuracy.csv")["task"]
    assert set(tasks) == set(validation.accuracy()["task"])


def test_fitted_numbers_are_facts_with_range_and_source():
    for field in ("power_per_memory_use", "power_per_root_compute_use", "energy_spread"):
        fact = catalog.fact("chip", "b200-sxm", field)
        assert fact.source == "infertco-calibration" and fact.low <= fact.value <= fact.high
    assert {ic.chips()[field].isna().sum() for field in power_fit.LAW} == {0}
