"""Charts of the model itself say what their tables say: medians, shares, what is left out; and nothing is cut."""

import numpy as np
import pandas as pd
import pytest
from test_charts import check_texts, plain

from infertco import values
from infertco.views import checks, figure, theme

WIDTHS = [theme.WIDTH["report"], theme.WIDTH["notebook"]]


def measurements(n=400):
    """Rows as `validation.validate` gives them: three tasks off by a tenth, a quarter and a half, every fifth row the other way."""
    rng, parts = np.random.default_rng(1), []
    for task, metric, off in (("decode dense", "tpot_ms", 0.1), ("TTFT", "ttft_ms", 0.5), ("single stream", "per_user_tokens_per_s", 0.25)):
        value = np.exp(rng.uniform(1, 6, n))
        signed = np.where(np.arange(n) % 5 == 0, -off, off)
        parts.append(pd.DataFrame(dict(task=task, metric=metric, value=value, predicted=value * (1 + signed), maker=np.resize(["NVIDIA", "AMD", "Acme"], n))))
    table = pd.concat(parts, ignore_index=True).assign(
        hardware="h100-sxm", model="llama-3.1-70b", serving_engine="vllm", source_id="lab", why_not="", scored=True
    )
    table = table.assign(predicted_low=table["predicted"] / 1.2, predicted_high=table["predicted"] * 1.2)
    lost = table.head(3).assign(predicted=np.nan, predicted_low=np.nan, predicted_high=np.nan, scored=False, why_not=["no load", "no load", "no model"])
    return pd.concat([table, lost], ignore_index=True)


TABLE = measurements()
LADDER = pd.DataFrame([
    dict(step=step, task=task, median=median)
    for step, medians in (("plain roofline", (60, 90, 250)), ("+ floors", (30, 80, 120)), ("+ waiting", (10, 30, 20)))
    for task, median in zip(("decode dense", "TTFT", "maximum throughput"), medians, strict=True)
])  # fmt: skip


def sweep(chips=("h100-sxm", "mi300x", "tpu-v6e"), batches=(1, 16, 256)):
    rows = [dict(chip=chip, batch=float(batch), model="llama-3.1-70b", share_network=0.1, reason="") for chip in chips for batch in batches]
    table = pd.DataFrame(rows)
    table["share_memory"] = 0.8 / (1 + np.log2(table["batch"]) / 4)
    table["share_compute"] = 0.8 - table["share_memory"]
    table["share_overhead"] = 0.1
    return table.astype({"chip": "category"})


FIGURES = dict(
    predicted_measured=lambda **how: checks.predicted_measured(TABLE, "no fit has seen these rows", **how),
    ablation=lambda **how: checks.ablation(LADDER, **how),
    bounds=lambda **how: checks.bounds(sweep(), **how),
)  # fmt: skip


@pytest.fixture(scope="module", params=FIGURES)
def drawn(request):
    return FIGURES[request.param]()


# ------------------------------------------------------------------ what they say


def test_the_best_and_the_worst_task_are_in_the_title():
    shown = FIGURES["predicted_measured"]()
    assert plain(shown.title) == "Half of the predictions of decode dense are within 10% of the measured value, of TTFT within 50%"
    assert shown.data["task"].tolist() == ["decode dense", "single stream", "TTFT"]
    assert shown.data["median error, %"].tolist() == [10, 25, 50] and shown.data["rows"].tolist() == [400] * 3
    # measured = predicted / 1.1 or / 0.9 lies within a fifth; of TTFT neither / 1.5 nor / 0.5 does
    assert shown.data["inside the interval, %"].tolist() == [100, 0, 0]


def test_the_rows_set_aside_are_counted_with_their_first_reason():
    words = " ".join(FIGURES["predicted_measured"]().subtitle)
    assert "No fit has seen these rows" in words and "3 rows set aside, most because no load (2)" in words
    assert "500 of 1,200 rows drawn, the worst among them" in words


def test_thinning_keeps_the_worst_and_spreads_the_rest():
    rows = pd.DataFrame(dict(value=np.arange(1.0, 101), size=np.where(np.arange(100) % 25 == 0, 9.0, 0.1)))
    kept = checks._thinned(rows, 20)
    assert len(kept) == 20 and kept["value"].is_unique
    assert set(rows[rows["size"] == 9]["value"]) <= set(kept["value"])
    assert kept["value"].min() <= 2 and kept["value"].max() == 100 and kept["value"].sort_values().diff().max() <= 12
    assert checks._thinned(rows, 100) is rows


def test_no_more_marks_than_asked_for_and_small_tasks_whole():
    few = pd.concat([TABLE[TABLE["task"] != "TTFT"], TABLE[TABLE["task"] == "TTFT"].head(20)])
    spec = checks.predicted_measured(few, most=220).spec()
    marks = [rows for rows in spec["datasets"].values() if "run" in rows[0]]
    counted = sorted({len(rows) for rows in marks})
    assert counted == [20, 100]


def test_a_wild_prediction_is_drawn_at_the_edge_and_counted():
    wild = TABLE.copy()
    wild.loc[0, ["predicted", "predicted_low", "predicted_high"]] = [1e9, 1e8, 1e10]
    shown = checks.predicted_measured(wild)
    assert "1 beyond the frame, at its edge" in " ".join(shown.subtitle)
    drawn = [row["y"] for rows in shown.spec()["datasets"].values() for row in rows if "run" in row and row["predicted"] == "1e+09"]
    assert drawn and max(drawn) < 1e6


def test_without_a_prediction_the_chart_gives_the_reason():
    shown = checks.predicted_measured(TABLE.tail(3))
    assert shown.title == "None of 1 chips can be drawn" and "no load" in shown.description


@pytest.mark.parametrize(
    "metrics, unit", [(["tpot_ms"], "ms"), (["output_tokens_per_s_total", "total_tokens_per_s"], "tokens/s"), (["tpot_ms", "samples_per_s"], "")]
)
def test_a_panel_names_the_unit_its_rows_share(metrics, unit):
    assert checks._unit(pd.Series(metrics)) == unit


def test_the_ladder_names_the_task_that_gains_most_and_the_largest_step():
    shown = FIGURES["ablation"]()
    assert plain(shown.title) == "Term by term the median error of maximum throughput falls from 250% to 20%; the largest step: waiting"
    assert "That step alone takes it from 120% to 20%" in shown.description
    assert shown.data["maximum throughput, %"].tolist() == [250, 120, 20] and shown.data["step"].tolist() == ["plain roofline", "+ floors", "+ waiting"]
    bars = [row for rows in shown.spec()["datasets"].values() for row in rows if row.get("value") == 2.5]
    assert bars and {row["x"] for row in bars} == {1.0} and {row["text"] for row in bars} == {"250% →"}  # cut at 100 %, and says so


def test_the_shares_of_the_least_and_the_largest_batch_are_in_the_title():
    shown, table = FIGURES["bounds"](), sweep()
    most = table[table["batch"] == 256]["share_compute"].iloc[0]
    assert plain(shown.title) == f"At batch 1 memory takes 80% of a step; at 256, compute takes {100 * most:.0f}%"
    assert np.allclose(shown.data[[f"share_{part}" for part in checks.BOUND]].sum(axis=1), 1, atol=0.02)


def test_a_batch_that_does_not_fit_stays_blank_and_only_four_chips_are_drawn():
    table = sweep(("h100-sxm", "mi300x", "tpu-v6e", "gaudi3", "trainium2"))
    table.loc[(table["chip"] == "tpu-v6e") & (table["batch"] == 256), [f"share_{part}" for part in checks.BOUND]] = np.nan
    shown = checks.bounds(table)
    assert "4 of 5 chips; blank: does not fit" in " ".join(shown.subtitle) and len(shown.data) == 11
    gone = table.assign(share_memory=np.nan, reason="does not fit")
    assert "does not fit" in checks.bounds(gone).description


# ------------------------------------------------------------------ how they look


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", FIGURES)
def test_texts_do_not_meet_and_nothing_is_cut(name, width):
    check_texts(FIGURES[name](width=width).svg(title=False), width)


def test_they_are_figures_as_the_others_are(drawn):
    assert isinstance(drawn, figure.Figure) and 40 <= len(drawn.description.split()) <= 90
    assert all(len(line) <= 640 / 6.1 for line in drawn.subtitle) and len(figure.title_lines(drawn.title)) <= 2
    spec = drawn.spec()
    assert "NaN" not in str(spec) and len(str(spec)) < 400_000 and len(drawn.table)
    assert drawn._repr_mimebundle_() == drawn._repr_mimebundle_()


def test_they_compile_with_an_older_vega_lite(drawn):
    import vl_convert

    drawn.chart.to_dict(validate=True)  # `spec` does not check
    old = vl_convert.vegalite_to_svg(drawn.spec(), vl_version="5.8")
    assert old.count("<text") == drawn.svg().count("<text")


def test_the_bounds_are_those_of_the_outputs():
    assert {f"share_{part}" for part in checks.BOUND} <= set(values.OUTPUTS) and set(checks.BOUND) <= set(theme.BOUNDS)
