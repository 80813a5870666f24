"""Charts of load and drafting say what their tables say."""

import re

import numpy as np
import pandas as pd
import pytest
from test_charts import EveryFigure, boxes, plain

import infertco as ic
from infertco import units
from infertco.studies import load
from infertco.views import load_charts

NONE = float("nan")
POINTS = np.arange(0.04, 1, 0.06)
CASES = {  # the limit met at few loads, at most, at none, and no limit
    "few": ic.scenario(chip="h100-sxm", tensor_parallel=4),
    "most": ic.scenario(chip="mi355x", tensor_parallel=2, workload="rag"),
    "none": ic.scenario(chip="l40s", tensor_parallel=4),
    "free": ic.scenario(chip="b200-sxm", tensor_parallel=2, workload="batch"),
    "steep": ic.scenario(chip="tpu-v6e", tensor_parallel=8, workload="code"),
}
CURVES = {name: load.curve(scenario, points=POINTS) for name, scenario in CASES.items()}
FREE = ic.scenario(chip="h100-sxm", tensor_parallel=8, ttft_slo_s=NONE, tpot_slo_s=NONE)
DRAFTED = ic.sweep(FREE, batch=[1, 4, 16, 64, 256], draft_tokens=[0, 3], draft_acceptance=[0.5, 0.7, 0.9])
FIGURES = {name: lambda name=name, **how: load_charts.load_curve(CURVES[name], **how) for name in CASES}
FIGURES |= dict(
    acceptance=lambda **how: load_charts.speculation(DRAFTED, **how),
    drafts=lambda **how: load_charts.speculation(ic.sweep(FREE, batch=[1, 16, 128], draft_tokens=[0, 1, 3, 8], draft_acceptance=0.5), **how),
)  # fmt: skip


@pytest.fixture(scope="module", params=FIGURES)
def drawn(request):
    return FIGURES[request.param]()


def share(x):
    return units.format(x, "share")


def test_the_title_of_the_load_curve_holds_limit_and_knee():
    for name in ("few", "most"):
        points = load.knee(CURVES[name]).set_index("point")["load"]
        assert f"meets the limits at P95 up to {share(points['limit'])} of saturation; its knee is at {share(points['knee'])}" in plain(FIGURES[name]().title)
    assert load.knee(CURVES["few"])["load"][1] < 0.2 < 0.6 < load.knee(CURVES["most"])["load"][1]


def test_without_a_load_within_the_limits_or_without_limits_the_title_says_so():
    assert "misses the limits at P95 at any load drawn" in FIGURES["none"]().title
    title = FIGURES["free"]().title
    assert "limits" not in title and share(load.knee(CURVES["free"])["load"][0]) in title


def test_the_quantile_of_the_scenario_is_named():
    table = load.curve(CASES["most"].vary(slo_quantile=0.99), points=POINTS)
    assert "meets the limits at P99" in load_charts.load_curve(table).title


def test_the_table_beside_the_load_curve_holds_the_loads_of_the_title():
    figure_ = FIGURES["few"]()
    points = load.knee(CURVES["few"])["load"]
    assert {share(x) for x in points} <= set(figure_.data["load"]) and {"ttft_s", "ttft_p95_s", "tpot_s", "tpot_p95_s"} <= set(figure_.data)
    assert figure_.data["ttft_p95_s"].isin(CURVES["few"]["ttft_p95_s"]).all()


def test_knee_and_limits_are_marked():
    svg = FIGURES["few"]().svg()
    assert svg.count(f"knee {share(load.knee(CURVES['few'])['load'][0])}") >= 2
    assert "limit 1 s" in plain(svg) and "limit 40 ms" in plain(svg) and svg.count(">P95<") == 2 and svg.count(">mean<") == 2
    assert not any("limit" in words for *_, words in boxes(FIGURES["free"]().svg(title=False)))


def test_only_the_first_chip_of_several_is_drawn_and_that_is_said():
    both = load.curve(CASES["few"], points=POINTS, chip=["h100-sxm", "b200-sxm"])
    drawn = load_charts.load_curve(both)
    assert "1 of 2 chips" in " ".join(drawn.subtitle) and set(drawn.data["chip"]) == {"H100 SXM5"} and drawn.title == FIGURES["few"]().title


def test_the_title_of_speculation_holds_the_ratios_of_the_table():
    wide = DRAFTED[DRAFTED["draft_acceptance"] == 0.7].pivot(index="batch", columns="draft_tokens", values="tpot_s")
    gain = wide[0] / wide[3]
    title = plain(FIGURES["acceptance"]().title)
    assert f"Drafting 3 tokens makes a user {gain[1]:.1f} times as fast at batch 1" in title
    assert ("slows" in title) == bool((gain < 1).any())


def test_where_drafts_no_longer_pay_the_title_says_from_which_batch():
    table = DRAFTED[DRAFTED["draft_acceptance"] == 0.5]
    wide = table.pivot(index="batch", columns="draft_tokens", values="tpot_s")
    first = (wide[0] < wide[3]).idxmax()
    assert first > 1 and f"from batch {first:g} on it slows users" in load_charts.speculation(table).title


def test_speculation_without_a_row_without_drafts_has_nothing_to_compare():
    assert load_charts.speculation(DRAFTED[DRAFTED["draft_tokens"] > 0]).title.startswith("None of 1 chips")


def test_what_is_not_served_is_told_in_words():
    table = load.curve(ic.scenario(chip="rtx-4090", model="llama-3.1-405b"), points=POINTS)
    assert load_charts.load_curve(table).title == "None of 1 chips can be drawn"


class TestEveryFigure(EveryFigure):
    most = 80


def test_lines_are_told_apart_without_color():
    """Mean and P95 by width and name, the chosen line of drafts by width and name."""
    widths = lambda spec: set(re.findall(r"'type': 'line'[^}]*?'strokeWidth': ([\d.]+)|'strokeWidth': ([\d.]+)[^}]*?'type': 'line'", str(spec)))  # noqa: E731
    assert len(widths(FIGURES["few"]().spec())) == 2 and len(widths(FIGURES["acceptance"]().spec())) == 2


def test_a_frame_that_brings_no_drafts_by_name_is_drawn():
    table = pd.concat([DRAFTED, DRAFTED.assign(chip="b200-sxm")], ignore_index=True)
    assert "1 of 2 chips" in " ".join(load_charts.speculation(table).subtitle)
