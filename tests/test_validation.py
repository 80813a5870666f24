"""Measured rows as scenarios: how the columns are read, what is filled in, what stays unscored, and how errors add up."""

import numpy as np
import pandas as pd
import pytest

from infertco import catalog
from infertco.studies import measured, validation

ROW = dict(
    source_id="aic-silicon", hardware="h100-sxm", n_devices=8, model="llama-3.1-70b", weight_bits=8, tp=8, pp=1, ep=1, engine="trtllm-1.0.0rc3",
    scenario="concurrency", batch_or_concurrency=16, input_tokens=1024, output_tokens=512, metric="tpot_ms", value=15.0,
)  # fmt: skip


def rows(*changes):
    return pd.DataFrame([ROW | change for change in changes])


@pytest.fixture(scope="module")
def shipped():
    return pd.read_csv(catalog.data_dir() / "measured" / "inference.csv", low_memory=False)


@pytest.fixture(scope="module")
def validated(shipped):
    return validation.validate(shipped)


@pytest.mark.parametrize(
    "printed, meant",
    [
        (dict(tp=8, ep=1), (8, 1, 1)),
        (dict(tp=64, ep=8, moe_tp=8, n_devices=64), (8, 1, 8)),  # printed as a product: a server of 8 chips
        (dict(tp=16, ep=4, moe_tp=4, n_devices=16), (4, 1, 4)),
        (dict(tp=1, ep=8, moe_tp=8, attention_dp=64, n_devices=64), (1, 8, 8)),
        (dict(tp=4, ep=16, attention_dp=4, moe_tp=1, n_devices=16), (4, 1, 4)),
        (dict(tp=1, ep=8, attention_dp=8, moe_tp=1), (1, 8, 8)),
        (dict(tp=1, ep=8, attention_dp=np.nan, n_devices=8), (1, 8, 8)),  # experts over all devices, attention on each
    ],
)
def test_layouts_printed_as_products_are_undone(printed, meant):
    table = measured.read(rows(printed | dict(model="deepseek-v3")))
    found = table.loc[0, ["tensor_parallel", "attention_data_parallel", "expert_parallel"]].astype(float).fillna(1.0)
    assert tuple(found) == meant


@pytest.mark.parametrize(
    "change, tensor_parallel, stages",
    [
        (dict(engine="transformers-neuronx-2.18.0", hardware="inferentia2", tp=24, n_devices=12), 12, 1),  # two cores a chip
        (dict(engine="llama.cpp", hardware="rtx-4090", tp=1, n_devices=2, scenario="single-stream", batch_or_concurrency=1), 1, 2),  # layers split
        (dict(tp=np.nan, engine="mlc-llm", n_devices=2, scenario="single-stream", batch_or_concurrency=1), 2, 1),
    ],
)
def test_cores_and_layer_splits(change, tensor_parallel, stages):
    table = measured.read(rows(change))
    assert (table["tensor_parallel"][0], table["pipeline_parallel"][0]) == (tensor_parallel, stages)


@pytest.mark.parametrize(
    "text, engine",
    [
        ("trtllm-1.2.0rc6", "trtllm"), ("tensorrt-llm-0.9.0", "trtllm-early"), ("vllm-0.12.0", "vllm"), ("vllm (2023, Splitwise fork)", "vllm-2023"),
        ("sglang-0.5.9", "sglang"), ("llama.cpp", "llama.cpp"), ("vllm-tpu", "jax"), ("vllm-0.9.1 rocm6.4.1", "rocm"), ("gpt-fast (torch.compile)", "compiled"),
        ("something new", ""),
    ],
)  # fmt: skip
def test_engines_by_their_names(text, engine):
    assert measured._engine(text) == engine
    assert engine == "" or engine in catalog.table("engine").ids


def test_blank_cells_are_filled_by_rule_and_named():
    table = measured.read(rows(dict(source_id="ml-energy-v3", engine="vllm", input_tokens=np.nan), {}))
    assert table["input_tokens"].tolist() == [200, 1024] and table["assumed"].tolist() == ["input_tokens", ""]


def test_what_cannot_be_known_stays_unscored_in_its_place():
    table = validation.validate(rows({}, dict(hardware="h1000"), dict(model="llama-9"), dict(metric="furlongs"), dict(engine="unheard of"), {}))
    assert table["scored"].tolist() == [True, False, False, False, False, True]
    assert table["why_not"].tolist()[1:5] == ["unknown chip 'h1000'", "unknown model 'llama-9'", "no prediction of furlongs", "unknown engine 'unheard of'"]
    assert table["predicted"][0] == table["predicted"][5] and table["predicted"].isna().sum() == 4


def test_named_pools_are_taken_as_printed_and_others_assumed():
    named = dict(hardware="b200-sxm", scenario="concurrency-disagg", model="deepseek-v3", prefill_workers=3, decode_workers=2, prefill_tp=1, prefill_attention_dp=8, decode_tp=8)
    blank, rack = dict(hardware="b200-sxm", scenario="concurrency-disagg", model="deepseek-v3"), dict(hardware="gb200", model="deepseek-v3", tp=36, scenario="concurrency")
    table = measured.read(rows(named, named | dict(metric="ttft_ms"), blank, rack, rack | dict(batch_or_concurrency=2048, metric="ttft_ms")))
    assert table["task"].tolist() == ["decode MoE", "TTFT, pools", "decode, pools assumed", "decode, pools assumed", "TTFT, pools assumed"]
    assert table["assumed"].tolist() == ["", "", "pools", "pools", "pools"] and set(table["protocol"]) == {"pools"}
    columns = ["prefill_workers", "prefill_tensor_parallel", "prefill_attention_data_parallel", "decode_workers", "tensor_parallel", "attention_data_parallel"]
    assert table.loc[0, columns].tolist() == [3, 1, 8, 2, 8, 1]
    chips = table.eval("prefill_workers * prefill_tensor_parallel * prefill_attention_data_parallel + decode_workers * tensor_parallel * attention_data_parallel")
    assert chips.tolist()[2:] == [40, 36, 36]  # the whole machine
    found = validation.validate(rows(named, blank, rack, named | dict(batch_or_concurrency=np.nan)))
    assert found["scored"].tolist() == [True, True, True, False] and found["assumed"].tolist() == ["", "pools", "pools", ""]
    assert found["why_not"][3] == "batch or clients are not published"
    width = found["predicted_high"] / found["predicted_low"]
    assert width[1] > width[0]  # a guessed split is known to be worse


def test_metal_kernels_are_one_engine():
    table = measured.read(rows(dict(hardware="apple-m2-ultra-76c", engine="llama.cpp"), dict(hardware="rtx-4090", engine="llama.cpp")))
    assert table["engine"].tolist() == ["mlx", "llama.cpp"]


def test_slopes_of_the_fit_are_those_of_each_parameter(shipped):
    """One step moves all parameters of a kind: right only while a row depends on one of each."""
    from infertco.studies import calibration

    problem = calibration.Problem(validation.scenarios(shipped.iloc[::40]))
    rows, base = problem.table.drop_duplicates("row").sort_values("row"), problem.log_errors(problem.start)
    places = problem.places()[:, rows.index]
    for kind in (0, 2, 3, 9):
        for place in set(places[kind]) - {calibration.FIXED}:
            moved = problem.start.copy()
            moved[place] += calibration.STEP
            changed = ~np.isclose(problem.log_errors(moved), base, equal_nan=True, atol=1e-12)
            assert not changed[places[kind] != place].any()


def test_optional_columns_may_be_absent():
    few = rows({})[["hardware", "model", "metric", "value", "batch_or_concurrency", "tp", "input_tokens", "output_tokens", "scenario", "engine"]]
    assert validation.validate(few)["scored"].all()


@pytest.mark.parametrize(
    "frame, message",
    [
        (rows({}).drop(columns="metric"), "the file has no column 'metric'"),
        (rows(dict(tp="many")), "row 2: tp must be a number, got 'many'"),
    ],
)
def test_bad_files_are_one_line(frame, message):
    with pytest.raises(ValueError, match=message):
        validation.validate(frame)


def test_prediction_is_that_of_the_scenario():
    import infertco as ic

    changes = dict(tensor_parallel=8, weight_bits=8, clients=16, input_tokens=1024, output_tokens=512, engine="trtllm", ttft_slo_s=float("nan"))
    row = ic.evaluate(ic.scenario(workload="batch", max_context_tokens=1e8, max_batch=1e6, **changes))
    assert validation.validate(rows({}))["predicted"][0] == pytest.approx(1e3 * row["tpot_s"][0])


def test_errors_by_hand():
    table = pd.DataFrame(dict(task=["a", "a", "b", "b"], value=[10.0, 10.0, 10.0, 10.0], predicted=[11.0, 8.0, 10.0, np.nan], predicted_low=5.0, predicted_high=9.0))
    found = validation.errors(table).set_index("task")
    assert found.loc["a", ["rows", "scored", "median", "mean", "bias"]].tolist() == pytest.approx([2, 2, 15, 15, -5])
    assert found.loc["b", ["rows", "scored", "median", "coverage"]].tolist() == pytest.approx([2, 1, 0, 0])


def test_nine_rows_in_ten_are_scored_and_the_rest_say_why(validated):
    tasks = ["decode dense", "decode MoE", "maximum throughput", "throughput, batch known", "single stream", "prefill"]
    mine = validated[validated["task"].isin(tasks)]
    assert mine["scored"].mean() > 0.90
    assert ((validated["why_not"] != "") | validated["scored"]).all()
    assert len(validated) == 5268


def test_fit_is_as_good_as_published(validated):
    """The errors of data/accuracy.csv are those of the shipped efficiencies: within a point of the medians."""
    found = validation.errors(validated).set_index("task")["median"]
    published = validation.accuracy().query("left_out == 'none'").set_index("task")["median"]
    for task in published.index.intersection(found.index):  # training has a file and tests of its own
        assert found[task] == pytest.approx(published[task], abs=1.0), task


def test_intervals_hold_what_they_promise_inside_the_fit(validated):
    covered = validation.errors(validated).set_index("task")["coverage"]
    assert covered.between(70, 97).all()


# --- what a believable model must not say


def test_red_flags():
    import infertco as ic

    free = dict(ttft_slo_s=float("nan"), tpot_slo_s=float("nan"), output_tokens=256)
    one, eight = (ic.evaluate(ic.scenario(batch=1, model="llama-3.1-8b", tensor_parallel=tp, **free))["tpot_s"][0] for tp in (1, 8))
    assert 1.5 < one / eight < 6  # not as 1/TP
    near, far = (ic.evaluate(ic.scenario(batch=32, tensor_parallel=8, input_tokens=n, **free))["decode_step_s" if False else "tpot_s"][0] for n in (500, 16000))
    assert far > 1.3 * near  # decode speed depends on context
    moe = ic.evaluate(ic.scenario(model="deepseek-v3", chip="h200-sxm", tensor_parallel=8, batch=128, input_tokens=100, **free), ["mbu", "tpot_s"]).iloc[0]
    active = 37e9 / 8 / 4.8e12
    assert moe["tpot_s"] > 5 * active  # a large batch reads far more than the active parameters
    shapes = ic.chips()[["memory_efficiency_16", "compute_efficiency_16", "kernel_time_s_16"]].dropna().drop_duplicates()
    assert len(shapes) > 6  # no single efficiency
