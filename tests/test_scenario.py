"""Scenarios, frames, sweeps: what the names mean, what is NaN, what is an error."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import infertco as ic
from infertco import values
from infertco.columns import LOADED, Columns, from_frame
from infertco.stages import deploy
from infertco.values import OWNER

FEW = ["ttft_s", "tpot_s", "output_tokens_per_s", "requests_per_s", "usd_per_mtok", "tokens_per_usd", "provisioned_j_per_request", "meets_slo", "reason"]
CHIPS = ["h100-sxm", "mi300x", "b200-sxm", "tpu-v6e"]


def one(outputs=None, **changes):
    return ic.evaluate(ic.scenario(**changes), outputs).iloc[0]


def numbers(table):
    return table[[name for name in table if table[name].dtype.kind == "f"]]


# --- the default, and every name of the contract


def test_default_scenario_is_feasible_and_priced():
    row = one()
    assert row["meets_slo"] and row["fits_memory"] and row["reason"] == ""
    assert np.isfinite(row[["ttft_s", "tpot_s", "usd_per_mtok", "tokens_per_usd", "provisioned_j_per_request"]].astype(float)).all()
    assert (row["chip"], row["model"], row["workload"], row["site"]) == ("h100-sxm", "llama-3.1-70b", "chat", "us-average")
    assert row["tensor_parallel"] == 2 and row["weight_bits"] == 16 and row["kv_bits"] == 16 and row["batch_limit"] in ("tpot", "memory")


def test_headline_columns_are_there_in_their_types():
    table = ic.evaluate(ic.scenario())
    assert set(values.HEADLINE) <= set(table.columns)
    for name in ("meets_slo", "fits_memory", "extrapolated"):
        assert table[name].dtype == bool
    for name in ("reason", "weak", "bound", "batch_limit", "compute_format", "chip"):
        assert isinstance(table[name].dtype, pd.CategoricalDtype) and table[name].notna().all()


def test_everything_gives_every_output():
    table = ic.evaluate(ic.scenario(), outputs="all")
    assert set(values.OUTPUTS) <= set(table.columns)
    later = {"ttft_p95_s", "tpot_p95_s", "usd_per_mtok_cached", "embodied_g_per_request", *values.FLEET}
    empty = {name for name in values.OUTPUTS if name in table and table[name].isna().all()}
    assert empty - {name + end for name in later for end in ("_low", "_high")} <= later


def test_outputs_limit_the_columns():
    table = ic.evaluate(ic.scenario(), outputs=["tpot_s"])
    assert "tpot_s" in table and "usd_per_mtok" not in table and "batch" in table


# --- vary


def test_ids_apply_first_and_replace_earlier_overrides():
    s = ic.scenario().vary(hbm_bytes_per_s=1e12, batch=8)
    assert s.vary(chip="mi300x").chip.hbm_bytes_per_s == 5.3e12
    assert s.vary(chip="mi300x").deployment.batch == 8
    assert s.vary(hbm_bytes_per_s=2e12, chip="mi300x").chip.hbm_bytes_per_s == 2e12
    assert "hbm_bytes_per_s" in repr(s) and "hbm_bytes_per_s" not in repr(s.vary(chip="mi300x"))


def test_none_goes_back():
    s = ic.scenario(hbm_bytes_per_s=1e12, batch=8, ownership="cloud", usd_per_kwh=1.0)
    back = s.vary(hbm_bytes_per_s=None, batch=None, ownership=None, usd_per_kwh=None)
    assert back.fields() == ic.scenario().fields()
    assert ic.evaluate(back).equals(ic.evaluate(ic.scenario()))


def test_choices_replace_nothing():
    s = ic.scenario(chip_usd=1234, layer_time_s=1e-6).vary(ownership="owned", engine="vllm")
    assert s.chip.chip_usd == 1234 and s.deployment.layer_time_s == 1e-6


def test_naming_a_load_clears_an_earlier_one():
    s = ic.scenario(batch=8).vary(clients=4)
    assert np.isnan(s.deployment.batch) and s.deployment.clients == 4


def test_arrays_make_rows():
    s = ic.scenario().vary(hbm_bytes_per_s=np.geomspace(1e12, 2e13, 7), tensor_parallel=8)
    table = ic.evaluate(s)
    assert len(table) == 7 and table["tpot_s"].notna().all()
    points = [one(hbm_bytes_per_s=float(x), tensor_parallel=8)["usd_per_mtok"] for x in s.chip.hbm_bytes_per_s]
    np.testing.assert_allclose(table["usd_per_mtok"], points, rtol=1e-12)


@pytest.mark.parametrize(
    "changes, message",
    [
        (dict(chip="h10O-sxm"), "unknown chip 'h10O-sxm'; did you mean 'h100-sxm'? Known chips: data/chips.csv"),
        (dict(bacth=3), "no field named 'bacth'; did you mean 'batch'?"),
        (dict(hbm_bytes_per_s=-1.0), "hbm_bytes_per_s must be above 0 and finite, got -1"),
        (dict(batch=float("inf")), "batch must be above 0 and at most 1e+07, got inf"),
        (dict(batch=float("nan")), "batch must be above 0 and at most 1e+07, got nan"),
        (dict(tensor_parallel=2.5), "tensor_parallel must be a whole number at least 1 and at most 100000, got 2.5"),
        (dict(utilization=1.5), "utilization must be above 0 and at most 1, got 1.5"),
        (dict(batch="many"), "batch must be a number, got 'many'"),
        (dict(batch=8, clients=8), "only one of batch, clients, arrival_requests_per_s may be given, got batch, clients"),
        (dict(utilization=0.5, demand_requests_per_s=4), "utilization follows from demand_requests_per_s; give one of the two"),
        (dict(ownership="rented"), "unknown ownership 'rented'"),
        (dict(vendor="me"), "vendor describes the chip and cannot be varied"),
        (dict(chip=["h100-sxm"]), "chip takes one id"),
        (dict(batch=[1, 2], kv_bits=[8, 16, 8]), "arrays must have one length, got batch: 2, kv_bits: 3"),
        (dict(batch=[[1, 2]]), "batch must be a number or a 1-D array"),
    ],
)
def test_what_the_caller_typed_wrong_is_one_line(changes, message):
    with pytest.raises(ValueError) as error:
        ic.scenario().vary(**changes)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_no_limit_is_nan_and_allowed():
    free = one(tpot_slo_s=float("nan"), ttft_slo_s=float("nan"), tensor_parallel=8)
    assert free["batch_limit"] == "memory" and free["meets_slo"]


# --- frames


def test_frame_keeps_rows_index_and_kept_columns():
    frame = pd.DataFrame(dict(batch=[1.0, np.nan, 4.0], note=["a", "b", "c"]), index=[7, 3, 5])
    table = ic.evaluate(frame, keep=["note"])
    assert table.index.tolist() == [7, 3, 5] and table["note"].tolist() == ["a", "b", "c"]
    assert table["batch"].tolist() == [1.0, one()["batch"], 4.0]
    assert table["batch_limit"].tolist() == ["given", one()["batch_limit"], "given"]


@pytest.mark.parametrize(
    "columns, keep, message",
    [
        (dict(bacth=[1.0]), [], "no field named 'bacth'; did you mean 'batch'?"),
        (dict(batch=[1.0], clients=[2.0]), [], "a row may name only one of batch, clients"),
        (dict(utilization=[0.5], demand_requests_per_s=[2.0]), [], "a row may name only one of utilization, demand_requests_per_s"),
        (dict(batch=[1.0]), ["batch"], "keep: 'batch' is a field or an output"),
        (dict(batch=[1.0]), ["note"], "keep: the frame has no column 'note'"),
        (dict(chip=["h1000-sxm"]), [], "unknown chip 'h1000-sxm'; did you mean 'h100-sxm'?"),
        (dict(hbm_bytes=[0.0]), [], "hbm_bytes must be above 0 and finite, got 0"),
        (dict(batch=["x"]), [], "batch must be a number, got 'x'"),
    ],
)
def test_bad_frames_are_one_line(columns, keep, message):
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        ic.evaluate(pd.DataFrame(columns), keep=keep)


def test_unknown_output_names_the_nearest():
    with pytest.raises(ValueError, match="no output named 'tpot'; did you mean 'tpot_s'?"):
        ic.evaluate(ic.scenario(), outputs=["tpot"])


def test_loads_may_differ_by_row():
    ic.evaluate(pd.DataFrame(dict(batch=[1.0, np.nan], clients=[np.nan, 8.0])))


def test_empty_frame_gives_an_empty_frame_with_the_columns():
    table = ic.evaluate(pd.DataFrame(dict(batch=pd.Series(dtype=float), chip=pd.Series(dtype=str))))
    assert len(table) == 0 and set(values.HEADLINE) <= set(table.columns)


def test_nan_in_a_column_is_not_named():
    frame = pd.DataFrame(dict(chip=["mi300x", None], hbm_bytes_per_s=[np.nan, 1e12], ownership=[None, "owned"], tpot_slo_s=[0.1, np.nan]))
    table = ic.evaluate(frame)
    named = [dict(chip="mi300x", tpot_slo_s=0.1), dict(hbm_bytes_per_s=1e12, ownership="owned", tpot_slo_s=float("nan"))]
    for row, changes in zip(table.itertuples(), named, strict=True):
        assert row.usd_per_mtok == pytest.approx(one(**changes)["usd_per_mtok"], rel=1e-12)


def test_base_stands_behind_a_frame():
    base = ic.scenario(chip="mi300x", usd_per_kwh=0.5, batch=4)
    table = ic.evaluate(pd.DataFrame(dict(tensor_parallel=[1.0, 2.0])), base=base)
    assert table["usd_per_mtok"][1] == pytest.approx(ic.evaluate(base.vary(tensor_parallel=2))["usd_per_mtok"][0], rel=1e-12)


def test_an_output_is_a_record():
    table = ic.sweep(ic.scenario(kv_bits=8), chip=CHIPS, model=["llama-3.1-8b", "mixtral-8x7b", "deepseek-v3"], outputs="all")
    again = ic.evaluate(table, outputs="all")
    assert list(again.columns) == list(table.columns)
    pd.testing.assert_frame_equal(numbers(again), numbers(table), rtol=1e-12)
    assert (again["batch_limit"] == "given").all() and (again["reason"].astype(str) == table["reason"].astype(str)).all()


def test_facts_looked_up_are_no_inputs_of_the_record():
    table = ic.evaluate(ic.scenario(batch=4, usd_per_kwh=0.1), outputs=["tpot_s"])
    assert "usd_per_kwh" in table and "hbm_bytes" not in table and "ownership" not in table


# --- columns equal points


def mixed_rows(n, seed=7):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        dict(
            chip=rng.choice([*CHIPS, "gaudi3"], n), model=rng.choice(["llama-3.1-8b", "gpt-oss-120b", "deepseek-v3"], n), engine=rng.choice(["vllm", "sglang", ""], n),
            tensor_parallel=rng.choice([1.0, 8.0, np.nan], n), attention_data_parallel=rng.choice([1.0, 2.0], n), batch=rng.integers(1, 9, n).astype(float),
            input_tokens=rng.choice([100.0, 900.0, 90000.0], n), chip_usd=rng.uniform(1e4, 4e4, n), max_batch=rng.choice([8.0, 64.0], n),
        )
    )  # fmt: skip


def test_deployments_shared_by_rows_change_no_number(monkeypatch):
    frame = mixed_rows(6000)
    shared, _ = from_frame(frame, ic.scenario())[0].like_rows()
    assert 100 < len(shared) < 900
    together = ic.evaluate(frame, "all")
    monkeypatch.setattr(Columns, "like_rows", lambda self: (None, None))
    pd.testing.assert_frame_equal(together, ic.evaluate(frame, "all"), rtol=1e-12, atol=0)


def test_no_coefficient_of_a_step_depends_on_what_rows_may_differ_in(monkeypatch):
    read = set()
    monkeypatch.setattr(Columns, "_number", lambda self, name, own=Columns._number: read.add(name) or own(self, name))
    with np.errstate(all="ignore"):
        deploy(from_frame(mixed_rows(60).drop(columns="batch"), ic.scenario())[0])
    assert {"hbm_bytes", "n_layers", "layer_time_s", "input_tokens"} <= read
    assert read & LOADED == set()
    assert {name for name in read if OWNER[name] not in ("chip", "model", "deployment")} <= {"input_tokens", "output_tokens"}


def test_rows_equal_points():
    rng = np.random.default_rng(7)
    n = 40
    frame = pd.DataFrame(
        dict(
            chip=rng.choice([*CHIPS, "gaudi3", "l40s", "trainium2", "groq-lpu-v1"], n),
            model=rng.choice(["llama-3.1-8b", "gpt-oss-120b", "deepseek-v3", "gemma-3-27b"], n),
            workload=rng.choice(["chat", "code", "agent"], n), tensor_parallel=rng.choice([1.0, 2.0, 8.0], n), weight_bits=rng.choice([np.nan, 8.0], n),
            attention_data_parallel=rng.choice([1.0, 2.0], n), pipeline_parallel=rng.choice([1.0, 2.0], n), ownership=rng.choice(["owned", "colo", "cloud"], n),
        )
    )  # fmt: skip
    table = ic.evaluate(frame)
    for i, row in frame.iterrows():
        point = one(**{name: x for name, x in row.items() if x == x})
        for name in numbers(table):
            assert table[name][i] == pytest.approx(point[name], rel=1e-12, nan_ok=True), (name, dict(row))
        assert str(table["reason"][i]) == point["reason"] and table["meets_slo"][i] == point["meets_slo"]


def test_chunks_do_not_show(monkeypatch):
    frame = pd.DataFrame(dict(batch=np.arange(1.0, 30.0)))
    whole = ic.evaluate(frame)
    monkeypatch.setitem(ic.evaluate.__globals__, "CHUNK", 7)
    pd.testing.assert_frame_equal(ic.evaluate(frame), whole)


# --- sweep, best, frontier


def test_sweep_is_the_product_first_axis_slowest():
    table = ic.sweep(ic.scenario(), chip=["h100-sxm", "mi300x"], batch=[1, 8, 64], kv_bits=8)
    assert table["chip"].tolist() == ["h100-sxm"] * 3 + ["mi300x"] * 3 and table["batch"].tolist() == [1, 8, 64] * 2
    assert (table["kv_bits"] == 8).all()


def test_absolute_override_of_a_sweep_hits_every_chip_and_the_base_s_own_is_replaced():
    base = ic.scenario(chip_usd=1.0)
    replaced = ic.sweep(base, chip=["h100-sxm"])["usd_per_mtok"][0]
    assert replaced == one()["usd_per_mtok"]
    hit = ic.sweep(base, chip=["h100-sxm", "mi300x"], chip_usd=1.0)["usd_per_mtok"]
    assert hit.tolist() == pytest.approx([ic.evaluate(base)["usd_per_mtok"][0], one(chip="mi300x", chip_usd=1.0)["usd_per_mtok"]], rel=1e-12)


def test_every_chip_and_layout_has_numbers_or_a_reason():
    table = ic.sweep(ic.scenario(workload="chat"), chip=list(ic.chips().index), tensor_parallel=[1, 2, 4, 8])
    assert len(table) == 4 * len(ic.chips())
    complete = table[["tpot_s", "usd_per_mtok", "provisioned_j_per_request"]].notna().all(axis=1)
    assert (complete | (table["reason"] != "")).all()
    assert complete.sum() > 60


@pytest.mark.parametrize("chip", ["h100-sxm", "tpu-v6e", "trainium2", "gaudi3"])
def test_every_model_has_numbers_or_a_reason(chip):
    table = ic.sweep(ic.scenario(chip=chip), model=list(ic.models().index))
    assert len(table) == len(ic.models())
    assert (table["tpot_s"].notna() | (table["reason"] != "")).all() and table["tpot_s"].notna().sum() > 50


def test_best_takes_a_row_a_group_and_keeps_those_without():
    table = ic.sweep(ic.scenario(), chip=["h100-sxm", "l4", "mi300x", "rubin"], tensor_parallel=[1, 2, 4, 8])
    found = ic.best(table, by="chip", maximise="tokens_per_usd").set_index("chip")
    assert found.index.tolist() == ["h100-sxm", "l4", "mi300x", "rubin"]
    good = table[(table["chip"] == "h100-sxm") & table["meets_slo"]]
    assert found.loc["h100-sxm", "tokens_per_usd"] == good["tokens_per_usd"].max()
    assert np.isnan(found.loc["l4", "tokens_per_usd"]) and "misses" in found.loc["l4", "reason"] and found.loc["l4", "tensor_parallel"] == 8
    assert np.isnan(found.loc["rubin", "tpot_s"]) and "chip_usd" in found.loc["rubin", "reason"]
    cheapest = ic.best(table, by="chip", minimise="usd_per_mtok").set_index("chip")
    assert cheapest.loc["mi300x", "tensor_parallel"] == found.loc["mi300x", "tensor_parallel"]


def test_best_breaks_ties_by_fewer_chips():
    table = pd.DataFrame(dict(g=["a", "a", "b"], x=[1.0, 1.0, np.nan], meets_slo=[True, True, False], chips_per_replica=[4.0, 2.0, 1.0], reason=["", "", "no"]))
    assert ic.best(table, by="g", maximise="x")["chips_per_replica"].tolist()[0] == 2


@pytest.mark.parametrize("options", [{}, dict(maximise="tpot_s", minimise="tpot_s"), dict(maximise="tps")])
def test_best_needs_one_direction_and_a_column(options):
    with pytest.raises(ValueError):
        ic.best(ic.evaluate(ic.scenario()), by="chip", **options)


def test_frontier_is_undominated():
    table = ic.sweep(ic.scenario(tpot_slo_s=float("nan")), chip=["h100-sxm", "mi300x"], tensor_parallel=[2, 4, 8], batch=[1, 4, 16, 64])
    front = ic.frontier(table, x="output_tokens_per_s_per_user", y="output_tokens_per_s_per_chip", by="chip")
    for chip, rows in front.groupby("chip", observed=True):
        others = table[(table["chip"] == chip) & table["meets_slo"]]
        for _, row in rows.iterrows():
            x, y = others["output_tokens_per_s_per_user"], others["output_tokens_per_s_per_chip"]
            assert not ((x >= row.output_tokens_per_s_per_user) & (y > row.output_tokens_per_s_per_chip)).any()
    dear = ic.frontier(table, x="tpot_s", y="usd_per_mtok", by="chip")  # less is better in both
    assert dear.groupby("chip", observed=True)["usd_per_mtok"].apply(lambda s: s.is_monotonic_decreasing).all()


# --- infeasible is not invalid


@pytest.mark.parametrize(
    "changes, word, fits",
    [
        (dict(tensor_parallel=3), "does not divide the attention heads", False),
        (dict(tensor_parallel=1), "does not fit", False),
        (dict(chip="t4", tensor_parallel=4), "does not fit", False),
        (dict(batch=5000, tensor_parallel=8), "the batch does not fit", False),
        (dict(chip="mtia-300", tensor_parallel=4), "no figure for", False),
        (dict(workload="burstgpt"), "no figure for input_tokens", False),
        (dict(arrival_requests_per_s=8), "saturated", True),
        (dict(prefill_workers=2), "set decode_workers", False),
        (dict(model="deepseek-v3", tensor_parallel=16, expert_parallel=5), "expert_parallel", False),
    ],
)
def test_what_cannot_be_served_says_why(changes, word, fits):
    row = one(**changes)
    assert word in row["reason"] and np.isnan(row["tpot_s"]) and np.isnan(row["usd_per_mtok"])
    assert not row["meets_slo"] and not row["extrapolated"] and row["fits_memory"] == fits


# --- disaggregated pools

POOLS = dict(tensor_parallel=4, decode_workers=4, prefill_tensor_parallel=2, ttft_slo_s=np.nan, tpot_slo_s=np.nan)


def test_pools_count_both_their_chips_and_decode_without_prompts():
    together, apart = one(tensor_parallel=4, batch=40, ttft_slo_s=np.nan, tpot_slo_s=np.nan, outputs="all"), one(**POOLS, batch=160, outputs="all")
    readers = (apart["chips_per_replica"] - 16) / 2
    assert readers == int(readers) and apart["tpot_s"] == together["decode_step_s"] < together["tpot_s"]
    given = one(**POOLS, batch=160, prefill_workers=readers, outputs="all")
    assert given["chips_per_replica"] == apart["chips_per_replica"] and given["requests_per_s"] == pytest.approx(apart["requests_per_s"])
    fewer = one(**POOLS, batch=160, prefill_workers=1)
    assert fewer["requests_per_s"] < apart["requests_per_s"] / 2 and fewer["chips_per_replica"] == 18


@pytest.mark.parametrize("load", [dict(clients=100), dict(arrival_requests_per_s=5), dict(batch=160, draft_tokens=2)])
def test_pools_serve_every_load_on_the_same_chips(load):
    row, alone = one(**POOLS, prefill_workers=8, **load), one(**POOLS, prefill_workers=8, batch=1)
    assert row["chips_per_replica"] == 32 and row["ttft_s"] >= alone["ttft_s"] and np.isfinite(row["usd_per_mtok"])


def test_a_slow_link_between_the_pools_delays_the_first_token_alone():
    fast, slow = (one(**POOLS, batch=160, scale_out_bytes_per_s=w) for w in (50e9, 1e8))
    assert slow["ttft_s"] > fast["ttft_s"] + 0.5 and slow["tpot_s"] == fast["tpot_s"]


# --- open traffic

LOADED_BY = np.array([0.001, 0.2, 0.5, 0.8, 0.95])


def under_arrivals(shares=LOADED_BY, outputs=None, **changes):
    base = ic.scenario(tensor_parallel=4, **changes)
    most = ic.evaluate(base.vary(ttft_slo_s=np.nan, tpot_slo_s=np.nan), ["capacity_requests_per_s"])["capacity_requests_per_s"][0]
    return ic.sweep(base, outputs, arrival_requests_per_s=shares * most), most


def test_a_lone_arrival_sees_an_empty_replica():
    table, _ = under_arrivals(np.array([1e-6]), chunk_tokens=1e6)
    alone = one(tensor_parallel=4, batch=1, chunk_tokens=1e6)
    assert table["ttft_s"][0] == pytest.approx(alone["ttft_s"], rel=1e-4)
    assert table["tpot_s"][0] == pytest.approx(alone["tpot_s"], rel=1e-4)


def test_more_arrivals_wait_longer_and_littles_law_holds():
    table, _ = under_arrivals(outputs=["ttft_s", "tpot_s", "ttft_p95_s", "tpot_p95_s", "requests_per_s"])
    assert (table[["ttft_s", "tpot_s", "batch"]].diff()[1:] > 0).all(axis=None)
    assert (table["ttft_p95_s"][1:] > table["ttft_s"][1:]).all() and (table["tpot_p95_s"][1:] > table["tpot_s"][1:]).all()
    answers = (ic.scenario().workload.output_tokens - 1) * table["tpot_s"]
    running = table["requests_per_s"] * answers  # the rest of the batch reads its prompt
    assert (running <= table["batch"]).all() and running[3] == pytest.approx(table["batch"][3], rel=0.15)


def test_saturated_traffic_has_no_latency_but_its_capacity():
    table, most = under_arrivals(np.array([0.999, 1.001, 3.0]), outputs=["ttft_s", "tpot_s", "usd_per_mtok", "capacity_requests_per_s", "requests_per_s", "reason"])
    assert np.isfinite(table["ttft_s"][0]) and table[["ttft_s", "tpot_s", "usd_per_mtok", "requests_per_s"]][1:].isna().all(axis=None)
    assert table["reason"].str.contains("saturated").tolist() == [False, True, True]
    assert (0 < table["capacity_requests_per_s"]).all() and (table["capacity_requests_per_s"] <= most * (1 + 1e-9)).all()


def test_bursts_wait_longer_and_a_quantile_is_stricter_than_the_mean():
    smooth, bursty = (under_arrivals(np.array([0.6]), arrival_cv=cv)[0]["ttft_s"][0] for cv in (1.0, 4.0))
    assert bursty > 1.5 * smooth
    table, _ = under_arrivals(np.array([0.6]), ["ttft_s", "ttft_p95_s"])
    between = np.sqrt(table["ttft_s"][0] * table["ttft_p95_s"][0])
    judged = [under_arrivals(np.array([0.6]), ttft_slo_s=between, tpot_slo_s=np.nan, slo_quantile=q)[0]["meets_slo"][0] for q in (None, 0.5, 0.95)]
    assert judged == [True, True, False]


def test_what_arrives_is_served_whatever_the_model_errs():
    row = under_arrivals(np.array([0.3]), ttft_slo_s=np.nan)[0].iloc[0]
    for name in ("requests_per_s", "output_tokens_per_s_per_chip", "usd_per_mtok", "tokens_per_usd"):
        assert row[name + "_low"] == row[name] == row[name + "_high"], name
    assert row["ttft_s_low"] < row["ttft_s"] and row["capacity_requests_per_s"] < row["capacity_requests_per_s_high"]
    typed = under_arrivals(np.array([0.3]), utilization=0.5)[0].iloc[0]
    assert typed["requests_per_s_low"] == typed["requests_per_s"] and typed["usd_per_mtok_low"] < typed["usd_per_mtok"]


def test_utilization_follows_from_arrivals_unless_typed():
    derived, _ = under_arrivals(np.array([0.2, 0.4]), ["usd_per_mtok", "requests_per_s", "capacity_requests_per_s"], ttft_slo_s=np.nan, tpot_slo_s=np.nan)
    assert derived["usd_per_mtok"][0] == pytest.approx(2 * derived["usd_per_mtok"][1], rel=0.03)  # twice the idle time
    typed, _ = under_arrivals(np.array([0.2, 0.4]), ["usd_per_mtok"], utilization=0.5)
    assert typed["usd_per_mtok"][0] == pytest.approx(typed["usd_per_mtok"][1], rel=0.03)


def test_a_chip_without_a_price_keeps_its_latency():
    row = one(chip="mi300x", chip_usd=None)
    assert np.isfinite(row["usd_per_mtok"])
    row = ic.best(ic.sweep(ic.scenario(), chip=["rubin"], tensor_parallel=[1, 2]), by="chip", minimise="tpot_s").iloc[0]
    assert np.isfinite(row["tpot_s"]) and np.isnan(row["usd_per_mtok"]) and row["meets_slo"]
    assert "rubin has no figure for chip_usd" in row["reason"] and "chips.csv: rubin,chip_usd,<value>,USD" in row["reason"]


def test_no_price_is_borrowed_from_another_ownership():
    spot = one(chip="h100-sxm", ownership="cloud", commitment="spot")
    demand = one(chip="h100-sxm", ownership="cloud")
    assert np.isfinite(demand["usd_per_mtok"])
    assert np.isnan(spot["usd_per_mtok"]) == np.isnan(ic.chips().loc["h100-sxm", "cloud_usd_per_hour_spot"])


def test_missed_limits_keep_their_numbers_and_say_so():
    row = one(tpot_slo_s=0.001)
    assert row["batch"] == 1 and not row["meets_slo"] and "misses the TPOT limit" in row["reason"] and np.isfinite(row["usd_per_mtok"])


def test_weak_names_what_the_row_rests_on_and_forgets_what_is_named():
    weak = one()["weak"]
    assert "h100-sxm: " in weak and "host_usd" in weak and "utilization" in weak
    assert "host_usd" not in one(host_usd=5000)["weak"]
    frame = ic.evaluate(pd.DataFrame(dict(host_usd=[5000, np.nan])))["weak"]
    assert "host_usd" not in frame[0] and "host_usd" in frame[1]


# --- layout, precision


def test_weights_as_published_and_formats():
    assert one(model="deepseek-v3", outputs=None)["weight_bits"] == 8 and one(model="deepseek-v3")["compute_format"] == "fp8"
    assert one(model="gpt-oss-120b")["weight_bits"] == 4.25 and one(model="gpt-oss-120b")["compute_format"] == "bf16"
    assert one(chip="a100-80-sxm", weight_bits=8)["compute_format"] == "int8"
    assert one(chip="b200-sxm", weight_bits=4.5, activation_bits=4)["compute_format"] == "fp4"
    assert one(chip="h100-sxm", weight_bits=4.5, activation_bits=4)["compute_format"] == "fp8"


def test_chips_per_replica_is_the_product():
    row = one(model="deepseek-v3", tensor_parallel=4, attention_data_parallel=4, pipeline_parallel=2)
    assert row["chips_per_replica"] == 32 and row["expert_parallel"] == 16


def test_capacity_is_real_bytes():
    """A driver reports 143,771 MiB on an H200; two H100 hold Llama-70B in 16 bit."""
    assert ic.chips().loc["h200-sxm", "hbm_bytes"] == pytest.approx(143_771 * 2**20, rel=0.01)
    assert one(tensor_parallel=2)["fits_memory"]


def test_given_batch_is_the_batch_and_the_search_is_the_largest():
    row = one(tensor_parallel=4)
    more = one(tensor_parallel=4, batch=row["batch"] + 1)
    assert one(tensor_parallel=4, batch=row["batch"])["meets_slo"] and not more["meets_slo"]


# --- identities and invariants


def test_identities_of_the_money_columns():
    rules = dict(ownership=["owned", "colo", "cloud"], allocation=["chip_time", "tokens", "output"])
    table = ic.sweep(ic.scenario(), chip=CHIPS, workload=["chat", "agent"], outputs="all", **rules)
    table = table[table["usd_per_mtok"].notna()]
    np.testing.assert_allclose(table["tokens_per_usd"] * table["usd_per_mtok"], 1e6)
    np.testing.assert_allclose(table["tokens_per_usd_low"], 1e6 / table["usd_per_mtok_high"])
    parts = [f"usd_per_mtok_{part}" for part in ("accelerator", "host", "network", "facility", "electricity", "operations", "rent")]
    np.testing.assert_allclose(table[parts].sum(axis=1), table["usd_per_mtok"])
    workload = ic.workloads().loc[table["workload"].astype(str)]
    prompt, answer = workload["input_tokens"].to_numpy(), workload["output_tokens"].to_numpy()
    request = (prompt * table["usd_per_mtok_input"] + answer * table["usd_per_mtok_output"]) / 1e6
    np.testing.assert_allclose(request, table["usd_per_request"])
    np.testing.assert_allclose(table["usd_per_mtok_blended"] * (prompt + answer) / 1e6, table["usd_per_request"])
    rented = table[table["ownership"] == "cloud"]
    np.testing.assert_allclose(rented["usd_per_mtok_rent"], rented["usd_per_mtok"])


def test_little_s_law_holds():
    row = one(tensor_parallel=4)
    output = ic.workloads().loc["chat", "output_tokens"]
    assert row["requests_per_s"] * (row["ttft_s"] + (output - 1) * row["tpot_s"]) == pytest.approx(row["batch"])


def test_utilization_enters_cost_but_neither_latency_nor_rated_power():
    low, high = one(utilization=0.35), one(utilization=0.7)
    assert low["tpot_s"] == high["tpot_s"] and low["provisioned_j_per_request"] == high["provisioned_j_per_request"]
    assert 1.8 < low["usd_per_mtok"] / high["usd_per_mtok"] < 2.0  # electricity falls a little with idling
    assert low["energy_j_per_request"] > high["energy_j_per_request"]


def test_pue_enters_once():
    one_pue, two_pue = one(pue=1.0), one(pue=2.0)
    assert two_pue["provisioned_j_per_request"] == pytest.approx(2 * one_pue["provisioned_j_per_request"])
    assert two_pue["energy_j_per_request"] == pytest.approx(2 * one_pue["energy_j_per_request"])


MONEY = [name for name in values.FIELDS if "usd" in name]


def test_doubling_every_price_doubles_the_cost():
    for ownership in ("owned", "colo", "cloud"):
        s = ic.scenario(ownership=ownership)
        doubled = s.vary(**{name: 2 * s.value(name) for name in MONEY if s.value(name) == s.value(name)})
        assert ic.evaluate(doubled)["usd_per_mtok"][0] == pytest.approx(2 * ic.evaluate(s)["usd_per_mtok"][0])


@settings(max_examples=40, deadline=None)
@given(
    chip=st.sampled_from(CHIPS), model=st.sampled_from(["llama-3.1-8b", "llama-3.1-70b", "mixtral-8x7b", "deepseek-v3"]), tp=st.sampled_from([1, 2, 4, 8]),
    batch=st.integers(1, 64), tokens=st.integers(16, 8000), more=st.floats(1.01, 4.0),
)  # fmt: skip
def test_invariants(chip, model, tp, batch, tokens, more):
    s = ic.scenario(chip=chip, model=model, tensor_parallel=tp, batch=batch, input_tokens=tokens, weight_bits=8, max_context_tokens=1e6)
    wanted = [*FEW, *("mfu", "mbu", "share_compute", "share_memory", "share_network", "share_overhead", "tpot_s_low", "tpot_s_high", "fits_memory")]
    row = ic.evaluate(s, wanted).iloc[0]
    if not row["fits_memory"]:
        assert np.isnan(row["tpot_s"]) and row["reason"]
        return
    faster = ic.evaluate(s.vary(hbm_bytes_per_s=s.chip.hbm_bytes_per_s * more), wanted).iloc[0]
    stronger = ic.evaluate(s.vary(**{f: s.value(f) * more for f in values.FIELDS if f.startswith("peak_flop") and s.value(f) == s.value(f)}), wanted).iloc[0]
    cheap, dearer, dearest = (ic.evaluate(s.vary(chip_usd=usd), wanted).iloc[0] for usd in (10_000, 11_000, 12_000))
    assert faster["tpot_s"] <= row["tpot_s"] and faster["ttft_s"] <= row["ttft_s"]
    assert stronger["tpot_s"] <= row["tpot_s"] and stronger["ttft_s"] <= row["ttft_s"]
    step = dearer["usd_per_mtok"] - cheap["usd_per_mtok"]
    assert step > 0 and dearest["usd_per_mtok"] - dearer["usd_per_mtok"] == pytest.approx(step)
    assert row[["share_compute", "share_memory", "share_network", "share_overhead"]].astype(float).sum() == pytest.approx(1)
    assert 0 < row["mfu"] < 1 and 0 < row["mbu"] < 1  # never above a roof
    assert row["tpot_s_low"] <= row["tpot_s"] <= row["tpot_s_high"]
    longer = ic.evaluate(s.vary(batch=batch + 1), wanted).iloc[0]
    assert not longer["fits_memory"] or longer["tpot_s"] >= row["tpot_s"]


def test_as_of_takes_the_facts_of_that_day():
    early = ic.scenario(as_of="2024-08")
    assert early.chip.hbm_bytes_per_s == 3.35e12
    with pytest.raises(ValueError, match="chip 'b200-sxm' has no facts as of 2024-08"):
        early.vary(chip="b200-sxm")
    with pytest.raises(ValueError, match="as_of must be a date"):
        ic.scenario(as_of="last year")


def test_assumptions_carry_source_and_range():
    table = ic.scenario(usd_per_kwh=0.2).assumptions().set_index("field")
    assert table.loc["usd_per_kwh", "changed"] and table.loc["usd_per_kwh", "value"] == 0.2
    assert table.loc["chip_usd", "source"] and table.loc["chip_usd", "confidence"] in ("press", "estimate", "vendor page")
    assert table.loc["utilization", ["low", "value", "high"]].tolist() == [0.4, 0.7, 0.85]


# --- mistakes that other tools have made


def test_bandwidth_is_decimal_and_no_step_is_faster_than_its_bytes():
    row = one(model="llama-3.1-8b", tensor_parallel=1, batch=1, input_tokens=16, output_tokens=16)
    read = 2 * (8.03e9 - 128256 * 4096)  # the look-up table is not read
    assert row["tpot_s"] > read / 3.35e12


def test_the_cache_is_read_once():
    near, far = (one(tensor_parallel=8, batch=8, input_tokens=n, output_tokens=2, max_context_tokens=1e6, memory_reserve=0.0) for n in (1000, 9000))
    cache = 8 * 8000 * 2 * 80 * 8 * 128 * 2 / 8  # sequences, tokens, K and V, layers, heads, width, bytes; over 8 chips
    chip = ic.scenario().chip
    least, most = cache / chip.hbm_bytes_per_s, cache / chip.hbm_bytes_per_s / chip.attention_memory_efficiency
    prompts = ic.sweep(ic.scenario(tensor_parallel=8, batch=8, output_tokens=2, memory_reserve=0.0), input_tokens=[1000, 9000], outputs=["decode_step_s"])
    grown = prompts["decode_step_s"][1] - prompts["decode_step_s"][0]
    assert least < grown < 1.2 * most and near["tpot_s"] < far["tpot_s"]


def test_one_card_does_not_hold_what_it_cannot():
    assert "does not fit" in one(tensor_parallel=1)["reason"]


def test_memory_what_ifs_choose_the_batch_anew():
    small, large = (one(tensor_parallel=8, hbm_bytes=x, tpot_slo_s=0.1) for x in (40e9, 160e9))
    assert large["batch"] > small["batch"] and large["usd_per_mtok"] < small["usd_per_mtok"]
    slow, fast = (one(tensor_parallel=8, hbm_bytes_per_s=x) for x in (2e12, 8e12))
    assert fast["batch"] > slow["batch"]


def test_the_peak_is_that_of_the_format_and_dense():
    h100 = ic.chips().loc["h100-sxm"]
    assert h100["peak_flop_per_s_bf16"] == 989e12 and h100["peak_flop_per_s_fp8"] == 1979e12
    assert one(["peak_flop_per_s"], weight_bits=8)["peak_flop_per_s"] == 1979e12
    assert one(["peak_flop_per_s"], weight_bits=4.25)["peak_flop_per_s"] == 989e12  # weights only: 16-bit arithmetic


# --- two pools

POOLED = dict(model="deepseek-v3", chip="h200-sxm", weight_bits=8, tensor_parallel=8, ttft_slo_s=float("nan"), tpot_slo_s=float("nan"))


def test_chips_of_both_pools_add_up():
    sizes = dict(prefill_workers=3, decode_workers=2, prefill_tensor_parallel=8, decode_tensor_parallel=1, decode_attention_data_parallel=16)
    for load in (dict(batch=256), dict(clients=256), {}):
        row = one(**POOLED, **sizes, **load)
        assert row["chips_per_replica"] == 3 * 8 + 2 * 16, load
        assert row["output_tokens_per_s_per_chip"] == pytest.approx(row["output_tokens_per_s"] / 56)
    assert one(**POOLED, decode_workers=2, batch=64)["chips_per_replica"] == 2 * 8 + 8  # one prefill worker keeps them busy


def test_disaggregation_takes_the_prompts_out_of_decoding():
    apart, shared = one(**POOLED, prefill_workers=4, decode_workers=1, batch=128), one(**POOLED, batch=128)
    assert apart["tpot_s"] < 0.9 * shared["tpot_s"]
    long = one(**POOLED, prefill_workers=4, decode_workers=1, batch=128, kv_transfer_efficiency=0.001)
    assert long["ttft_s"] > apart["ttft_s"] and long["tpot_s"] == apart["tpot_s"]
    few = one(**POOLED, prefill_workers=1, decode_workers=8, batch=2000, output_tokens=1024)
    assert few["requests_per_s"] < 2000 / few["tpot_s"] / 1024  # prefill limits


def test_pools_beside_rows_without_leave_them_as_they_are():
    frame = pd.DataFrame([POOLED | dict(clients=64, decode_workers=n) for n in (np.nan, 2)])
    both = ic.evaluate(frame)
    alone = ic.evaluate(frame.iloc[:1].drop(columns="decode_workers"))
    assert both["chips_per_replica"].tolist() == [8, one(**POOLED, decode_workers=2)["chips_per_replica"]]
    for name in ("ttft_s", "tpot_s", "usd_per_mtok", "mbu"):
        assert both[name][0] == pytest.approx(alone[name][0]), name
