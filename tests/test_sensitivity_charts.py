"""Charts and sliders of sensitivity say what their tables say; the panel of memory answers in time."""

import json
import re
import time

import numpy as np
import pandas as pd
import pytest
from test_charts import check_texts, plain

import infertco as ic
from infertco import units
from infertco.studies import hbm, sensitivity
from infertco.views import figure, memory_panel, sensitivity_charts, theme
from infertco.views.tables import text

CHIPS = ["h100-sxm", "h200-sxm", "b200-sxm", "mi355x", "gaudi3"]
S = ic.scenario(chip="b200-sxm")
GRID = hbm.what_if(S, [2e12, 4e12, 7.7e12, 1.6e13], [4.8e10, 9.6e10, 1.92e11, 3.84e11])
MOVES, SHARES = sensitivity.tornado(S), sensitivity.sobol(S, n=128)
DRAWS = sensitivity.sample(pd.DataFrame(dict(chip=CHIPS)), 256, ["usd_per_mtok"])
LABELED = ["groq-lpu-v1", "cerebras-wse3", "b200-sxm", "apple-m4-max"]
FIGURES = dict(
    heat=lambda: sensitivity_charts.heat(GRID, (7.7e12, 1.92e11), ic.chips().loc[["h100-sxm", "b200-sxm", "gb200"]]),
    memories=lambda: sensitivity_charts.memories(hbm.memories(), LABELED),
    tornado=lambda: sensitivity_charts.tornado(MOVES),
    sobol=lambda: sensitivity_charts.sobol(SHARES),
    spread=lambda: sensitivity_charts.spread(sensitivity.summary(DRAWS), sensitivity.summary(DRAWS)),
    odds=lambda: sensitivity_charts.odds(sensitivity.odds(DRAWS)),
)


@pytest.fixture(scope="module", params=FIGURES)
def drawn(request):
    return request.param, FIGURES[request.param]()


def test_every_chart_has_a_short_title_words_and_a_table(drawn):
    _, shown = drawn
    assert len(figure.title_lines(shown.title)) <= 2 and len(shown.table) and not shown.chart.to_dict().get("title")
    assert 20 <= len(shown.description.split()) <= 100 and plain(shown.title) in plain(shown.description) and "table" in shown.description
    assert len(json.dumps(shown.spec())) < 250_000


def test_no_text_is_cut_or_covered(drawn):
    name, shown = drawn
    if name != "memories":  # two hundred marks: labels keep their distance among themselves
        check_texts(shown.svg(title=False), theme.WIDTH["notebook"])


def test_no_color_is_written_outside_the_theme(drawn):
    known = json.dumps([getattr(theme, name) for name in dir(theme) if name.isupper()])
    assert {c for c in re.findall(r"#[0-9A-Fa-f]{6}", json.dumps(drawn[1].spec()))} <= set(re.findall(r"#[0-9A-Fa-f]{6}", known))


def test_the_heat_map_says_what_more_memory_buys():
    at = GRID.set_index(["hbm_bytes_per_s", "hbm_bytes"])["usd_per_mtok"]
    change = 1 - at[1.6e13, 1.92e11] / at[7.7e12, 1.92e11]
    assert plain(FIGURES["heat"]().title) == f"2.1× the bandwidth makes a token cost {units.format(change, 'share')} less, 2.0× the capacity nothing"


def test_cells_that_cannot_be_served_have_no_number():
    some = GRID.assign(feasible=GRID["hbm_bytes_per_s"] > 3e12)
    shown = sensitivity_charts.heat(some, (7.7e12, 1.92e11))
    assert "not within the limits" in " ".join(shown.subtitle) and shown.svg().count(">–<") == 4


def test_the_tornado_names_the_two_widest():
    first, second = MOVES.iloc[0], MOVES.iloc[1]
    title = FIGURES["tornado"]().title
    assert title.startswith(first["label"]) and units.format(first["swing"], "ratio") in title and units.format(second["swing"], "ratio") in title


def test_bars_are_colored_by_what_they_do():
    svg = sensitivity_charts.tornado(MOVES[MOVES["field"] == "utilization"]).svg()
    assert theme.CHANGE["raises"] in svg and theme.CHANGE["lowers"] in svg


def test_the_spread_names_the_best_and_its_share():
    table = sensitivity.summary(DRAWS)
    winner = table.loc[table["best"].idxmax()]
    assert f"is the best in {100 * winner['best']:.0f}% of the draws" in FIGURES["spread"]().title


def test_the_matrix_counts_open_pairs():
    matrix = sensitivity.odds(DRAWS)
    mine = sum(0.2 < matrix.loc[a, b] < 0.8 for i, a in enumerate(CHIPS) for b in CHIPS[i + 1 :])
    assert f"Of 10 pairs of chips {mine} are open" in FIGURES["odds"]().title


def test_no_odds_are_rounded_to_certain():
    assert [sensitivity_charts.percent(p) for p in (0.0, 0.004, 0.5, 0.996, 1.0)] == ["0%", "<1%", "50%", ">99%", "100%"]


# ------------------------------------------------------------------ the panel of memory


@pytest.fixture
def panel():
    return memory_panel.explore(S)


def test_the_panel_has_its_five_sliders_and_starts_at_the_base(panel):
    assert [c["name"] for c in panel.controls] == ["hbm_bytes_per_s", "hbm_bytes", "hbm_usd_per_gb", "pass_through", "input_tokens"]
    assert all(c["stops"][c["base"]] is not None for c in panel.controls) and panel.moved == {}
    row = hbm.what_if(S, choices=memory_panel.TRIED).iloc[0]
    assert f"{text('usd_per_mtok', row['usd_per_mtok'])} per Mtok" in repr(panel)


def test_every_end_of_every_slider_is_answered(panel):
    start = panel.update["data"]
    for about in panel.controls:
        for stop in (about["stops"][0], about["stops"][-1]):
            panel.move(about["name"], stop)
            assert panel.title and len(json.dumps(panel.update)) < 30_000
        panel.reset()
    assert panel.update["data"] == start


def test_the_price_of_memory_reaches_the_chip_by_the_rule(panel):
    panel.move("hbm_usd_per_gb", 30.0)
    assert panel.scenario.value("chip_usd") == 36000  # not passed on
    panel.move("pass_through", "dollars")
    assert panel.scenario.value("chip_usd") == pytest.approx(float(hbm.chip_price(S, None, 30.0)))
    assert "chip_usd" in panel.update["code"] and "to base" in str(panel.update["readout"])


def test_the_bars_are_the_elasticities_of_the_state(panel):
    panel.move("hbm_bytes_per_s", 3e12)
    mine = panel.update["data"]["bars"]
    now = panel.scenario.vary(weight_bits=8, tensor_parallel=2)
    worth = sensitivity.elasticities(now, ["hbm_bytes_per_s"], ["usd_per_mtok"])["usd_per_mtok"].iloc[0]
    if hbm.what_if(panel.scenario, choices=memory_panel.TRIED)["tensor_parallel"].iloc[0] == 2:
        assert mine["value"][0] == pytest.approx(worth, abs=1e-3)
    assert mine["name"][0] == "bandwidth" and f"saves {abs(mine['value'][0]):.2f}%" in panel.title


def test_the_cursor_stands_where_the_sliders_stand(panel):
    panel.move("hbm_bytes", 6e10)
    assert panel.update["data"]["cursor"] == dict(x=[7.7e12], y=[6e10])


def test_what_does_not_fit_says_why():
    panel = memory_panel.explore(ic.scenario(chip="b200-sxm", tensor_parallel=1, weight_bits=16))
    panel.move("hbm_bytes", 4e10)
    assert "does not fit" in panel.title and panel.update["data"]["mark"] == {}


def test_a_chip_without_a_bill_of_materials_has_no_slider_for_its_price():
    panel = memory_panel.explore(ic.scenario(chip="h100-sxm"))
    assert [c["name"] for c in panel.controls] == ["hbm_bytes_per_s", "hbm_bytes", "input_tokens"]


def test_the_drawing_compiles_with_what_is_pushed(panel):
    spec = json.loads(json.dumps(panel.spec))
    spec["datasets"] |= {name: [dict(zip(c, v, strict=True)) for v in zip(*c.values(), strict=True)] for name, c in panel.update["data"].items()}
    svg = theme.svg(spec)
    assert "bandwidth" in svg and "NaN" not in svg and np.isfinite(len(svg))


def test_a_move_of_memory_is_answered_in_time(panel):
    found = []
    for value in np.geomspace(2e12, 3e13, 8):
        start = time.process_time()
        panel.move("hbm_bytes_per_s", float(value))
        found.append(time.process_time() - start)
    assert min(found) < 0.15  # measured 0.05 s; others share the machine
