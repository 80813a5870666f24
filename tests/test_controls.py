"""Controls as functions: what a slider offers, what a move changes, what is said where nothing can be; and how fast."""

import json
import statistics
import time

import numpy as np
import pytest

import infertco as ic
from infertco.values import FIELDS
from infertco.views import controls, live, theme

CHIPS = ["h200-sxm", "b200-sxm"]


@pytest.fixture(scope="module")
def base():
    return ic.scenario()


@pytest.fixture
def panel(base):
    return controls.explore(base, chips=CHIPS)


def columns(panel, name="d"):
    return panel.update["data"][name]


def readout(panel):
    return " · ".join(words for _, words in panel.update["readout"] if words)


def control(panel, name):
    return next(c for c in panel.controls if c["name"] == name)


# ------------------------------------------------------------------ what a control offers
@pytest.mark.parametrize("name", ["usd_per_kwh", "utilization", "chip_usd", "input_tokens", "tpot_slo_s", "hbm_bytes_per_s", "tdp_w", "pue"])
def test_stops_rise_hold_the_base_and_are_about_fifty(base, name):
    stops = controls.stops(base, name)
    assert stops == sorted(set(stops)) and base.value(name) in stops
    assert 25 <= len(stops) <= 55
    low, high = FIELDS[name].metadata["usual"]
    assert low <= stops[0] and stops[-1] <= high


def test_every_stop_of_every_usual_control_can_be_evaluated(base):
    for name in controls.USUAL:
        for stop in controls.stops(base, name):
            base.vary(**{name: stop})


def test_the_scale_is_logarithmic_where_the_range_is_wide(base):
    wide, narrow = controls.stops(base, "usd_per_kwh", (0.01, 0.5)), controls.stops(base, "usd_per_kwh", (0.05, 0.15))
    ratios, steps = np.diff(np.log(wide)), np.diff(narrow)
    assert ratios.max() < 0.2 and len(wide) > 40
    assert np.median(steps) == pytest.approx(0.002)


def test_batch_and_layout_snap_to_powers_of_two_and_bits_to_formats(base):
    assert controls.stops(base, "batch") == [None, *(2.0**i for i in range(11))]
    assert controls.stops(base, "tensor_parallel", (2, 16)) == [None, 2, 4, 8, 16]
    assert controls.stops(base, "weight_bits") == [4, 8, 16]
    assert controls.stops(base.vary(weight_bits=4.25), "weight_bits") == [4, 4.25, 8, 16]
    assert controls.stops(base, "input_tokens", (512, 1024, 2048)) == [512, 1024, 2048, base.workload.input_tokens]


def test_a_control_speaks_the_words_of_its_field(base):
    price = controls.control(base, "chip_usd")
    fact = ic.catalog.fact("chip", "h100-sxm", "chip_usd")
    low, high = (np.interp(at, range(len(price["stops"])), price["stops"]) for at in price["sourced"])
    assert (low, high) == pytest.approx((fact.low, fact.high))
    assert price["label"] == FIELDS["chip_usd"].metadata["label"] and price["texts"][price["base"]] == "$25k"
    limit = controls.control(base, "tpot_slo_s")
    assert limit["kind"] == "slider" and limit["factor"] == 1e-3 and limit["texts"][limit["base"]] == "40\u00a0ms"
    assert controls.control(base, "weight_bits")["kind"] == controls.control(base, "ownership")["kind"] == "toggle"
    assert controls.control(base, "engine")["kind"] == "list" and controls.control(base, "engine")["texts"][0] == "usual"
    assert controls.control(base, "batch")["texts"][:2] == ["largest", "1"]


# ------------------------------------------------------------------ what a move changes
def test_every_stop_changes_data_readout_and_state(panel):
    price = control(panel, "usd_per_kwh")
    seen, costs = set(), []
    for stop in price["stops"]:
        panel.move("usd_per_kwh", stop)
        seen.add(json.dumps(columns(panel)))
        costs.append(columns(panel, "best")["y"][0])
        assert panel.scenario.value("usd_per_kwh") == stop
    assert len(seen) == len(price["stops"])
    assert costs == sorted(costs)


def test_the_mark_is_what_best_finds(panel, base):
    now = panel.scenario
    for moved in ({}, {"weight_bits": 8.0, "utilization": 0.5, "tpot_slo_s": 0.03}):
        panel.moved = moved
        now = base.vary(**moved)
        table = ic.sweep(now, chip=panel.chips, tensor_parallel=[None, *controls.LAYOUTS], outputs=["usd_per_mtok", "tpot_s", "fits_memory", "meets_slo"])
        best = ic.best(table, by="chip", minimise="usd_per_mtok")
        assert columns(panel, "best")["y"] == pytest.approx(best["usd_per_mtok"].tolist(), rel=1e-4)
        assert columns(panel, "rows")["tpot"] == [ic.units.format(x, "s", 2, name="tpot_s", bare=True) for x in best["tpot_s"]]


def test_the_components_add_up_to_the_cost(panel):
    parts, rows = columns(panel, "parts"), columns(panel, "best")["y"]
    ends = [max(end for end, row in zip(parts["x2"], parts["row"], strict=True) if row == i) for i in range(len(rows))]
    assert ends == pytest.approx(rows, rel=1e-3)


def test_a_field_of_the_chip_is_varied_for_the_scenarios_own_chip_alone(panel):
    before = columns(panel, "best")["y"]
    panel.move("chip_usd", 50_000.0)
    after = columns(panel, "best")["y"]
    assert after[0] > before[0] and after[1:] == before[1:]
    assert control(panel, "chip_usd")["label"].endswith("H100 SXM5")


def test_the_title_names_the_limit_and_never_claims_what_the_intervals_do_not_bear(panel):
    assert "At 40\u00a0ms per token H100" in panel.title and "times as much per token as B200" in panel.title
    panel.move("tpot_slo_s", 0.05)
    assert "At 50\u00a0ms per token" in panel.title
    state = panel._solve({})
    for row in state["rows"]:
        row["usd_per_mtok_low"], row["usd_per_mtok_high"] = 0.1, 100.0
    assert "the cheapest three cannot be told apart" in controls._title(state)


def test_one_chip_has_a_title_of_its_own(base):
    alone = controls.explore(base, ["utilization"], view="curve")
    assert alone.title.endswith("serves a million tokens for " + columns(alone, "best")["text"][0])
    assert control(alone, "utilization")["label"] == "Utilization"


def test_a_given_batch_moves_the_mark_along_the_line(base):
    panel = controls.explore(base.vary(tpot_slo_s=float("nan"), ttft_slo_s=float("nan")), ["batch"])
    costs = []
    for batch in (1.0, 8.0, 64.0):
        panel.move("batch", batch)
        costs.append(columns(panel, "best")["y"][0])
        assert f"batch {batch:.0f} on" in readout(panel)
    assert costs == sorted(costs, reverse=True)
    assert panel.title.startswith("At the largest batch") and columns(panel, "limit") == {}


def test_back_at_the_base_nothing_is_moved_and_reset_restores_the_first_drawing(panel):
    first = panel.update
    panel.move("utilization", 0.3)
    panel.move("weight_bits", 8.0)
    assert panel.moved == {"utilization": 0.3, "weight_bits": 8.0}
    panel.move("utilization", panel._base.value("utilization"))
    assert panel.moved == {"weight_bits": 8.0}
    panel.reset()
    assert panel.moved == {} and panel.update == first
    assert "as base" in readout(panel)


def test_a_is_kept_in_grey_and_compared(panel):
    panel.move("utilization", 0.5)
    assert columns(panel, "a") == {}
    panel.keep()
    kept = columns(panel, "a")["y"]
    panel.move("usd_per_kwh", 0.2)
    assert columns(panel, "a")["y"] == kept != columns(panel)["y"]
    assert set(columns(panel, "a_best")["fill"]) == {theme.NEUTRAL["mark"]}
    a, b = columns(panel, "a_best")["y"][0], columns(panel, "best")["y"][0]
    assert f"+{ic.units.format(b - a, 'USD/Mtok', digits=2)} to A" in readout(panel)
    panel.clear()
    assert columns(panel, "a") == {} and "to A" not in readout(panel)


def test_the_state_can_be_copied_as_code(panel):
    panel.move("weight_bits", 8.0)
    panel.move("chip_usd", 30_000.0)
    again = eval(panel.update["code"], {"ic": ic})
    assert again.fields() == panel.scenario.fields()


# ------------------------------------------------------------------ what cannot be
def test_a_missed_limit_is_said_in_the_title_and_the_line_stays_in_grey(panel):
    lines = columns(panel)
    panel.move("tpot_slo_s", 0.01)
    assert panel.title.startswith("H100 SXM5: misses the TPOT limit; at best")
    drawn = columns(panel)
    assert set(drawn["chip"]) == set(lines["chip"]) and (min(drawn["y"]), max(drawn["y"])) == (min(lines["y"]), max(lines["y"]))
    assert {color for color, chip in zip(drawn["color"], drawn["chip"], strict=True) if chip == "h100-sxm"} == {theme.NEUTRAL["mark"]}
    assert columns(panel, "rows")["text"][0] == "misses the TPOT limit"
    panel.reset()
    assert theme.NEUTRAL["mark"] not in columns(panel)["color"]


def test_what_does_not_fit_keeps_the_last_line_and_says_why(base):
    panel = controls.explore(base.vary(tensor_parallel=1), ["weight_bits"], chips=["b200-sxm"])
    assert "h100-sxm" not in columns(panel)["chip"]
    assert "does not fit" in panel.title
    panel.move("weight_bits", 4.0)
    assert "h100-sxm" in columns(panel)["chip"] and "fit" not in panel.title
    panel.move("weight_bits", 16.0)
    assert "does not fit" in panel.title and "no figure" in readout(panel)
    assert "h100-sxm" in columns(panel)["chip"]


def test_a_typed_value_that_is_not_allowed_is_answered_in_the_title(panel):
    panel.move("utilization", 1.7)
    assert panel.title == "utilization must be above 0 and at most 1, got 1.7"
    assert set(columns(panel)["color"]) == {theme.NEUTRAL["mark"]} and columns(panel)["y"]
    panel.move("utilization", 0.6)
    assert "per token" in panel.title


def test_a_chip_without_a_price_has_its_reason(base):
    unpriced = next(id for id, usd in ic.chips()["chip_usd"].items() if usd != usd)
    panel = controls.explore(base, ["utilization"], chips=[unpriced])
    assert columns(panel, "rows")["text"][1] not in ("", "n/a")


@pytest.mark.parametrize(
    "how, said",
    [
        (dict(fields=["usd_per_kw"]), "did you mean"),
        (dict(fields=["chip"]), "neither a number nor a choice"),
        (dict(fields=["vendor"]), "cannot be varied"),
        (dict(fields=["demand_requests_per_s"]), "has no usual range; give one"),
        (dict(chips=["h100"]), "unknown chip 'h100'"),
        (dict(view="pie"), "view is 'curve', 'stack' or both"),
    ],
)
def test_what_cannot_be_made_is_refused_in_words(base, how, said):
    with pytest.raises(ValueError, match=said):
        controls.explore(base, **how)


def test_a_scenario_of_many_rows_is_refused(base):
    with pytest.raises(ValueError, match="one scenario"):
        controls.explore(base.vary(usd_per_kwh=np.array([0.1, 0.2])))


# ------------------------------------------------------------------ what is stored and drawn
def test_without_a_front_end_there_is_one_stable_line_and_no_megabytes(panel, base):
    bundle = panel._repr_mimebundle_()
    bundle = bundle[0] if isinstance(bundle, tuple) else bundle
    line = bundle["text/plain"]
    assert line == repr(controls.explore(base, chips=CHIPS)) and "0x" not in line and "\n" not in line
    assert line.startswith("[live chart] At 40\u00a0ms per token") and "Electricity $0.0813/kWh" in line
    assert set(bundle) == {"text/plain", "application/vnd.jupyter.widget-view+json"}
    assert len(json.dumps(panel.get_state(), default=str)) < 100_000


def test_what_is_pushed_is_json_and_small(panel):
    panel.keep()
    pushed = json.dumps(panel.update, allow_nan=False)
    assert len(pushed) < 30_000
    for name, data in panel.update["data"].items():
        assert len({len(column) for column in data.values()}) <= 1, name


def test_no_mark_leaves_the_fixed_axes_and_the_title_keeps_two_lines(panel):
    low, high = panel._extents["usd"]
    for name in controls.USUAL:
        for stop in (control(panel, name)["stops"][i] for i in (0, -1)):
            panel.keep()
            panel.move(name, stop)
            assert all(low <= y <= high for y in columns(panel, "best").get("y", []))
            assert max(columns(panel, "rows")["at"]) <= panel._extents["bar"] * 1.001
            lines = panel.update["signals"]["ttl"]
            assert len(lines) == 2 and max(map(len, lines)) <= controls.LINE
        panel.reset()


@pytest.mark.parametrize("view", ["curve", "stack", ("curve", "stack")])
def test_the_spec_draws_what_is_pushed(base, view):
    panel = controls.explore(base, ["utilization"], chips=CHIPS, view=view)
    data = {name: [dict(zip(c, row, strict=True)) for row in zip(*c.values(), strict=True)] for name, c in panel.update["data"].items()}
    spec = panel.spec | dict(datasets=panel.spec["datasets"] | data, params=[dict(name="ttl", value=["The", "title"])])
    drawn = theme.svg(spec)
    assert "The" in drawn and "B200 SXM" in drawn
    assert ("meets TPOT" in drawn) == ("curve" in view) and ("Electricity" in drawn) == ("stack" in view)


def test_the_libraries_are_one_module_that_fetches_nothing():
    text = live.libraries().decode()
    assert 500_000 < len(text) < 1_500_000 and "import " not in text[:200]
    assert live.libraries() is live.libraries()


def test_the_front_end_takes_its_colors_from_the_theme():
    import re

    for name in ("live.js", "live.css"):
        assert not re.search(r"#[0-9A-Fa-f]{3,8}\b", (live.HERE / name).read_text(encoding="utf-8"))


def test_a_move_is_answered_in_time(panel):
    stops = control(panel, "usd_per_kwh")["stops"]
    times = []
    for stop in stops:
        start = time.process_time()
        panel.move("usd_per_kwh", stop)
        times.append(1e3 * (time.process_time() - start))
    print(f"\na move of a slider in Python: median {statistics.median(times):.1f} ms (target 15 ms)")
    assert statistics.median(times) <= 30
