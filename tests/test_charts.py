"""Charts say what their table says: titles, alt text, what is left out, where labels stand; drawn offline, in known features."""

import re
import struct
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import infertco as ic
from infertco import units, values
from infertco.views import charts, figure, marks, tables, theme

CHIPS = {  # bandwidth TB/s, peak TFLOP/s, $/h, W
    "b200-sxm": (8.0, 2250, 4.2, 1000), "mi355x": (8.0, 2300, 3.6, 1400), "tpu-v6e": (1.64, 918, 1.6, 400), "h200-sxm": (4.8, 989, 2.6, 700),
    "h100-sxm": (3.35, 989, 2.2, 700), "gaudi3": (3.7, 1835, 1.8, 900), "mi300x": (5.3, 1307, 2.4, 750),
}  # fmt: skip
PARTS = dict(accelerator=0.5, host=0.13, network=0.08, facility=0.12, electricity=0.1, operations=0.07)
INTERVALS = (charts.USER, charts.CHIP, charts.USD, "tokens_per_usd", "provisioned_j_per_request", "ttft_s", "tpot_s")


def sweep(chips=tuple(CHIPS), spread=1.15, layouts=(2, 4, 8), batches=(1, 4, 16, 64, 256), **also):
    """Rows with the columns of the contract, by a toy model: one bandwidth-bound step."""
    rows = []
    for chip in chips:
        bandwidth, peak, usd, watts = CHIPS[chip]
        for tp in layouts:
            for batch in batches:
                moved = (140e9 + batch * 4e8) / tp
                step = moved / (bandwidth * 0.75e12) + 140e9 * batch / tp / (peak * 0.6e12) + 0.003
                row = dict(chip=chip, model="llama-3.1-70b", workload="chat", site="us-average", tensor_parallel=tp, batch=batch, compute_format="bf16",
                           meets_slo=step <= 0.04, extrapolated=False, reason="" if step <= 0.04 else "misses TPOT", ttft_s=0.2 + batch * 1e-3, tpot_s=step,
                           usd_per_mtok=usd / 3600 * step * tp / batch * 1e6, decode_flop_per_byte=140e9 * batch / tp / moved,
                           decode_flop_per_s_per_chip=140e9 * batch / tp / step, prefill_flop_per_byte=1500.0, prefill_flop_per_s_per_chip=peak * 0.55e12,
                           ridge_flop_per_byte=peak / bandwidth, peak_flop_per_s=peak * 1e12) | also  # fmt: skip
                row |= {charts.USER: 1 / step, charts.CHIP: batch / step / tp, "tokens_per_usd": 1e6 / row["usd_per_mtok"]}
                row |= dict(provisioned_j_per_request=watts * 400 / row[charts.CHIP]) | {f"usd_per_mtok_{p}": row["usd_per_mtok"] * s for p, s in PARTS.items()}
                row |= {f"{n}_{end}": row[n] * f for n in INTERVALS for end, f in (("low", 1 / spread), ("high", spread))}
                rows.append(row)
    return pd.DataFrame(rows).astype({"chip": "category"})


TABLE = sweep()
FIGURES = dict(
    roofline=lambda t=TABLE, **how: charts.roofline(t[t["tensor_parallel"] == 8], **how),
    frontier=lambda t=TABLE, **how: charts.frontier(t, tpot_slo_s=0.03, reference="h100-sxm", **how),
    frontier_usd=lambda t=TABLE, **how: charts.frontier(t, y="usd_per_mtok", tpot_slo_s=0.03, reference="h100-sxm", **how),
    cost_stack=lambda t=TABLE, **how: charts.cost_stack(t, reference="h100-sxm", **how),
    ranking=lambda t=TABLE, **how: charts.ranking(t, reference="h100-sxm", **how),
)  # fmt: skip


@pytest.fixture(scope="module", params=FIGURES)
def drawn(request):
    return FIGURES[request.param]()


def plain(text):
    return text.replace(units.NBSP, " ")


def best(by, less, table=TABLE):
    rows = table[table["meets_slo"]].sort_values(by, ascending=less)
    return rows.drop_duplicates("chip").set_index("chip")


# ------------------------------------------------------------------ titles


def test_the_title_of_the_cost_stack_is_the_ratio_in_the_table():
    rows, title = best("usd_per_mtok", less=True), plain(FIGURES["cost_stack"]().title)
    ratio = rows.loc["h100-sxm", "usd_per_mtok"] / rows["usd_per_mtok"].iloc[0]
    assert title == f"A token from H100 SXM5 costs {ratio:.1f} times one from Gaudi3; accelerator takes 50% of each bill" and rows.index[0] == "gaudi3"


def test_the_title_of_the_ranking_holds_both_measures():
    rows, title = best("tokens_per_usd", less=False), plain(FIGURES["ranking"]().title)
    first, other = rows.iloc[0], rows.loc["h100-sxm"]
    assert f"{first['tokens_per_usd'] / other['tokens_per_usd']:.1f} times the tokens per dollar of H100 SXM5" in title
    power = first["provisioned_j_per_request"] / other["provisioned_j_per_request"]
    assert (f"at {power:.0%} of its TDP per request" in title) == (first["provisioned_j_per_request"] * 1.15 < other["provisioned_j_per_request"] / 1.15)


def test_a_ranking_of_what_less_is_better_of_says_who_takes_more():
    rows = best("provisioned_j_per_request", less=True)["provisioned_j_per_request"]
    title = plain(charts.ranking(TABLE, measures=("provisioned_j_per_request", "tokens_per_usd"), reference="h100-sxm").title)
    assert title == f"H100 SXM5 takes {rows['h100-sxm'] / rows.iloc[0]:.1f} times the TDP per request of {figure.looks(rows.index[:1])['name'].iloc[0]}"


def test_the_title_of_the_frontier_compares_at_the_limit():
    data = FIGURES["frontier"]().data.set_index("chip")
    assert data[charts.USER].round(6).eq(round(1 / 0.03, 6)).all()
    ratio = data[charts.CHIP].iloc[0] / data.loc["H100 SXM5", charts.CHIP]
    assert plain(FIGURES["frontier"]().title) == f"At 30 ms per token {data.index[0]} serves {ratio:.1f} times as much as H100 SXM5"
    costs = FIGURES["frontier_usd"]().data.set_index("chip")["usd_per_mtok"]
    assert f"costs {costs['H100 SXM5'] / costs.iloc[0]:.1f} times as much per token as {costs.index[0]}" in plain(FIGURES["frontier_usd"]().title)


def test_the_crossing_lies_on_the_line_between_two_rows():
    row = FIGURES["frontier"]().data.set_index("chip").loc["H100 SXM5"]
    h100 = TABLE[TABLE["chip"] == "h100-sxm"]
    faster, slower = h100[h100["tpot_s"] <= 0.03], h100[h100["tpot_s"] > 0.03]
    assert faster[charts.CHIP].max() <= row[charts.CHIP] <= slower[charts.CHIP].max()


def test_the_title_of_the_roofline_holds_the_shares():
    table = TABLE[(TABLE["tensor_parallel"] == 8) & TABLE["chip"].isin(list(CHIPS)[:4])]
    share = (table["decode_flop_per_s_per_chip"] / table["peak_flop_per_s"])[table["batch"] == 1].max()
    assert charts.roofline(table).title == f"Decode at batch 1 uses at most {units.format(share, 'share')} of peak arithmetic; prefill uses 55%"


@pytest.mark.parametrize("name", ["frontier", "frontier_usd", "cost_stack", "ranking"])
def test_overlapping_intervals_take_the_fallback_title(name):
    title = FIGURES[name](sweep(spread=9.0)).title
    assert re.search(r"(best|cheapest) (two|three|four|five|six|seven) cannot be told apart: .+ to ", title) and "times" not in title


def test_decode_as_busy_as_prefill_takes_the_fallback_title():
    table = TABLE.assign(prefill_flop_per_s_per_chip=TABLE["decode_flop_per_s_per_chip"].min())
    assert charts.roofline(table).title == "Decode and prefill use the peak arithmetic alike"


def test_a_single_chip_is_no_comparison():
    assert plain(charts.cost_stack(sweep(["h100-sxm"])).title).startswith("H100 SXM5 reaches $")


def test_only_the_tied_chips_are_counted():
    """A 2.0 +- 10%, B 2.1 +- 10%, C 4.0 +- 10%: the first two."""
    rows = pd.DataFrame(dict(chip=["a", "b", "c"], name=["A", "B", "C"], usd_per_mtok=[2.0, 2.1, 4.0]))
    rows = rows.assign(usd_per_mtok_low=rows["usd_per_mtok"] * 0.9, usd_per_mtok_high=rows["usd_per_mtok"] * 1.1)
    say = lambda a, b, times: f"{b['name']} costs {times} times {a['name']}"  # noqa: E731
    tied = lambda n, span: f"{n}: {span}"  # noqa: E731
    assert plain(figure.finding(rows, "usd_per_mtok", "c", say, tied)) == "C costs 2.0 times A"
    assert plain(figure.finding(rows, "usd_per_mtok", None, say, tied)) == "C costs 2.0 times A"
    assert figure.finding(rows, "usd_per_mtok", "b", say, tied) == "two: $2.0 to $2.1 per million tokens"


def test_titles_are_two_balanced_lines_that_keep_names_whole(drawn):
    lines = figure.title_lines(drawn.title)
    assert len(lines) <= 2 and max(map(len, lines)) <= theme.TITLE_CHARACTERS
    assert not any(line.endswith(("H100", "TPU", "Instinct")) for line in lines)


# ------------------------------------------------------------------ words around


def test_alt_text_says_kind_finding_range_and_uncertainty(drawn):
    words = drawn.description
    assert 40 <= len(words.split()) <= 80 and drawn.title in words and "llama-3.1-70b" in words and "From " in words
    assert "interval" in words and words.endswith("Values in the table beside it.") and "chart showing" not in words


def test_subtitles_name_interval_and_scale(drawn):
    words = " ".join(drawn.subtitle)
    assert "80% interval" in words or "Attainable" in words
    assert ("logarithmic" in words) == ("log" in str(drawn.spec()["layer"][0] if "layer" in drawn.spec() else ""))
    assert max(map(len, drawn.subtitle)) <= 640 / 6


def test_what_is_left_out_is_counted():
    table = TABLE.copy()
    table.loc[table["chip"] == "gaudi3", "usd_per_mtok"] = np.nan
    table.loc[table["chip"] == "mi300x", "meets_slo"] = False
    shown = charts.cost_stack(table)
    assert "2 of 7 chips left out" in " ".join(shown.subtitle)
    assert not {"Gaudi3", "Instinct MI300X"} & set(shown.data["chip"])
    cut = charts.cost_stack(TABLE, reference="h100-sxm", most=2)
    assert "best 2 of 7 and H100 SXM5" in " ".join(cut.subtitle) and len(cut.data) == 3


def test_extrapolated_rows_are_marked_unless_all_are():
    some = charts.cost_stack(TABLE.assign(extrapolated=TABLE["chip"] == "gaudi3"))
    assert "Gaudi3 †" in set(some.data["chip"]) and "† extrapolated" in " ".join(some.subtitle)
    every = charts.cost_stack(TABLE.assign(extrapolated=True))
    assert "all extrapolated" in " ".join(every.subtitle) and not every.data["chip"].str.contains("†").any()


@pytest.mark.parametrize("name", FIGURES)
def test_where_nothing_can_be_drawn_the_reason_stands(name):
    empty = TABLE.assign(meets_slo=False, reason="does not fit: 141 GB needed", **{c: np.nan for c in ("usd_per_mtok", charts.USER, "ridge_flop_per_byte")})
    shown = FIGURES[name](empty)
    assert shown.title == "None of 7 chips can be drawn" and "does not fit: 141 GB needed" in shown.svg()


def test_missing_intervals_are_drawn_without_width():
    bare = TABLE[[c for c in TABLE if not c.endswith(("_low", "_high"))]]
    assert "No intervals are known" in charts.cost_stack(bare).description


def test_a_rented_chip_has_one_component_and_no_share():
    rented = TABLE.assign(**{f"usd_per_mtok_{p}": 0.0 for p in PARTS}, usd_per_mtok_rent=TABLE["usd_per_mtok"])
    shown = charts.cost_stack(rented)
    assert "Cloud rent" in shown.svg() and "Operations" not in shown.svg() and "bill" not in shown.title


def test_components_under_two_percent_go_with_the_last():
    thin = TABLE.assign(usd_per_mtok_network=TABLE["usd_per_mtok"] * 0.01, usd_per_mtok_operations=TABLE["usd_per_mtok"] * 0.14)
    svg = charts.cost_stack(thin).svg()
    assert "Network and storage" not in svg and "Operations" in svg


def test_a_limit_taken_away_is_not_drawn():
    free = TABLE.assign(tpot_slo_s=np.nan)
    assert charts.frontier(free).title.startswith("At the largest batch") and "meets TPOT" not in charts.frontier(free).svg()
    assert "meets TPOT" in charts.frontier(TABLE).svg()  # the workload's own


def test_the_latency_stands_beside_every_cost():
    for shown in (FIGURES["cost_stack"](), FIGURES["ranking"]()):
        assert {"ttft_s", "tpot_s"} <= set(shown.data) and {"TTFT, s", "TPOT, ms"} <= set(shown.table)


# ------------------------------------------------------------------ tables and names


def test_a_table_is_text_with_units_in_the_head():
    frame = pd.DataFrame(dict(chip=["a", "b"], hbm_bytes=[80e9, 141e9], utilization=[0.7, 0.35], ttft_s=[0.312, np.nan], ttft_s_low=[0.2, np.nan],
                              ttft_s_high=[0.5, np.nan], usd_per_mtok=[0.1234, 12.34], meets_slo=[True, False], batch=[8.0, 1024.0]))  # fmt: skip
    words = tables.format_table(frame)
    assert words.to_dict("list") == {
        "Chip": ["a", "b"], "Memory, GB": ["80", "141"], "Utilization": ["70%", "35%"], "TTFT, s": ["0.31", "n/a"], "TTFT, 80%": ["0.20–0.50", "n/a"],
        "Cost of output tokens, US$/Mtok": ["$0.12", "$12"], "Meets the limits": ["yes", "no"], "Batch": ["8", "1,024"],
    }  # fmt: skip
    assert len(tables.format_table(pd.concat([frame] * 20))) == 12


@pytest.mark.parametrize("name", [*values.FIELDS, *values.OUTPUTS])
def test_every_field_and_column_has_a_head_and_prints(name):
    assert tables.head(name) and tables.text(name, "x" if tables.unit(name) == "text" else True if tables.unit(name) == "bool" else 0.5)


def test_names_are_short_but_tell_chips_apart():
    looks = figure.looks(["h100-sxm", "a100-40-sxm", "a100-80-sxm", "gb200", "no-such-chip"])
    assert looks["name"].tolist() == ["H100 SXM5", "A100 SXM4 40GB", "A100 SXM4 80GB", "GB200 NVL72", "no-such-chip"]
    assert looks.loc["a100-80-sxm", "fill"] == theme.PAPER and looks.loc["a100-80-sxm", "dash"] == theme.DASH["twin"]
    assert looks.loc["no-such-chip", "maker"] == "others"


def test_an_announced_chip_is_hollow_and_says_so():
    look = figure.looks(["rubin"]).iloc[0]
    assert look["hollow"] and look["name"].endswith("(announced)") and look["fill"] == theme.PAPER and look["dash"] == theme.DASH["announced"]


# ------------------------------------------------------------------ places and pixels


def test_labels_keep_their_distance_and_move_little():
    y = marks.spread([100, 101, 102, 300], 400)
    assert min(np.diff(np.sort(y))) >= theme.LABEL_GAP - 1e-9 and y[3] == 300 and y[:3].mean() == pytest.approx(101)
    assert marks.spread([398, 399], 400).max() <= 400
    assert marks.aside([100, 101], [0, 200], [50, 50], 400).tolist() == [100, 101]
    assert marks.aside([100, 101], [0, 20], [50, 50], 400).tolist() == [100, 114]


def test_ticks_are_round_and_few():
    assert marks.ticks(0.5, 2e4) == [1, 10, 100, 1e3, 1e4]
    assert marks.ticks(3, 60) == [5, 10, 20, 50]
    assert marks.ticks(6, 9) == [6, 7, 8, 9] and len(marks.ticks(6, 19)) >= 2
    for high in (0.13, 0.9, 1.7, 3.3, 7, 48, 1234):
        assert 4 <= len(marks.ticks(0, high, log=False)) <= 10


@cache
def advances(weight):
    """Width of every character of a font file, in font sizes: its cmap (format 4) and hmtx tables read."""
    data = (Path(theme.fonts()[0]) / f"SourceSansPro-{weight}.ttf").read_bytes()
    tables_at = {data[i : i + 4]: struct.unpack(">I", data[i + 8 : i + 12])[0] for i in range(12, 12 + 16 * struct.unpack(">H", data[4:6])[0], 16)}
    numbers = lambda at, n, kind="H": struct.unpack(f">{n}{kind}", data[at : at + n * (2 if kind in "Hh" else 4)])  # noqa: E731
    (em,), (metrics,) = numbers(tables_at[b"head"] + 18, 1), numbers(tables_at[b"hhea"] + 34, 1)
    width = [numbers(tables_at[b"hmtx"] + 4 * i, 1)[0] / em for i in range(metrics)]
    cmap = tables_at[b"cmap"]
    offsets = [numbers(cmap + 4 + 8 * i + 4, 1, "I")[0] for i in range(numbers(cmap + 2, 1)[0])]
    at = next(cmap + o for o in offsets if numbers(cmap + o, 1)[0] == 4)
    n = numbers(at + 6, 1)[0] // 2
    ends, starts = numbers(at + 14, n), numbers(at + 16 + 2 * n, n)
    deltas, ranges = numbers(at + 16 + 4 * n, n), numbers(at + 16 + 6 * n, n)
    found = {}
    for i in range(n):
        for code in range(starts[i], min(ends[i], 0xFFFE) + 1):
            glyph = code if not ranges[i] else numbers(at + 16 + 6 * n + 2 * i + ranges[i] + 2 * (code - starts[i]), 1)[0]
            found[chr(code)] = width[min((glyph + deltas[i]) % 65536, metrics - 1)] if glyph or not ranges[i] else 0.5
    return found


def wide(words, size, bold):
    return size * sum(advances("Semibold" if bold else "Regular").get(c, 0.5) for c in words)


def test_the_drawing_code_thinks_texts_no_narrower_than_they_are():
    for words in ("Instinct MI355X", "TPU v7 Ironwood", "meets TPOT ≤ 30 ms →", "Network and storage", "WWW"):
        assert marks.px(words) >= 0.97 * wide(words, 12.5, bold=True) or words == "WWW"


def boxes(svg):
    """(left, top, right, bottom, text) of every visible text without halo, in pixels."""
    found = []

    def walk(node, dx, dy):
        for x, y in re.findall(r"translate\(([-\d.]+)[, ]+([-\d.]+)\)", node.get("transform", "")):
            dx, dy = dx + float(x), dy + float(y)
        lines = [t for t in node.iter() if t.tag.endswith("tspan")] if node.tag.endswith("text") else []
        if node.tag.endswith("}text") and node.get("stroke") is None and node.get("opacity") != "0":
            size = float(node.get("font-size", "12px")[:-2])
            for i, words in enumerate([t.text for t in lines] or [node.text or ""]):
                length = wide(words.strip(), size, node.get("font-weight") == "600")
                left = dx - dict(end=1.0, middle=0.5).get(node.get("text-anchor"), 0.0) * length
                if words.strip():
                    found.append((left, dy + i * 18 - 0.72 * size, left + length, dy + i * 18, words))
        for child in node:
            walk(child, dx, dy)

    walk(ElementTree.fromstring(svg), 0.0, 0.0)
    return found


def check_words(drawn, most):
    """The chart keeps to the schema, the title is two lines at most, and the description, `most` words at most, says where the table is."""
    drawn.chart.to_dict(validate=True)
    lines = figure.title_lines(drawn.title)
    assert len(lines) <= 2 and max(map(len, lines)) <= theme.TITLE_CHARACTERS
    assert drawn.title in drawn.description and 40 <= len(drawn.description.split()) <= most and "table beside it" in drawn.description


def check_spec(spec):
    """Small, and free of gaps."""
    assert sum(len(rows) for rows in spec["datasets"].values()) <= 500 and "NaN" not in str(spec)


def check_texts(svg, width):
    total, high = (float(re.search(rf'<svg[^>]* {side}="([\d.]+)"', svg)[1]) for side in ("width", "height"))
    assert width - 40 <= total <= width
    found = boxes(svg)
    assert len(found) > 12
    for i, (left, top, right, bottom, words) in enumerate(found):
        assert left >= 0 and right <= total and top >= 0 and bottom <= high, f"{words!r} is cut"
        for left2, top2, right2, bottom2, other in found[i + 1 :]:
            apart = right <= left2 or right2 <= left or bottom <= top2 or bottom2 <= top
            assert apart, f"{words!r} and {other!r} meet"


class EveryFigure:
    """What holds of every figure of a module, for a class of its tests: FIGURES draw by name, its `drawn` draws each."""

    most: int  # words of a description

    def pytest_generate_tests(self, metafunc):
        if "name" in metafunc.fixturenames:
            metafunc.parametrize("name", metafunc.module.FIGURES)

    def test_titles_are_two_lines_and_the_description_says_where_the_table_is(self, drawn):
        check_words(drawn, self.most)

    @pytest.mark.parametrize("width", [theme.WIDTH["report"], theme.WIDTH["notebook"]])
    def test_texts_do_not_meet_and_nothing_is_cut(self, request, name, width):
        check_texts(request.module.FIGURES[name](width=width).svg(title=False), width)

    def test_the_spec_is_small_and_free_of_gaps(self, drawn):
        check_spec(drawn.spec())

    def test_every_chart_compiles_with_an_older_vega_lite(self, drawn):
        import vl_convert

        assert vl_convert.vegalite_to_svg(drawn.spec(), vl_version="5.8").count("<text") == drawn.svg().count("<text")


@pytest.mark.parametrize("chips", [tuple(CHIPS)[:3], tuple(CHIPS)])
@pytest.mark.parametrize("width", [theme.WIDTH["report"], theme.WIDTH["notebook"]])
@pytest.mark.parametrize("name", FIGURES)
def test_texts_do_not_meet_and_nothing_is_cut(name, width, chips):
    check_texts(FIGURES[name](TABLE[TABLE["chip"].isin(chips)], width=width).svg(title=False), width)


# ------------------------------------------------------------------ renderer


def test_a_figure_shows_itself_offline_and_alike_each_time(drawn):
    data, about = drawn._repr_mimebundle_()
    assert set(data) == {theme.MIME, "image/svg+xml", "text/plain"} and theme.MIME in about
    assert data["text/plain"] == f"[chart] {drawn.title}" and data == drawn._repr_mimebundle_()[0]
    assert set(re.findall(r"https?://[^\s\"']+", str(data[theme.MIME]))) == {"https://vega.github.io/schema/vega-lite/v5.json"}
    assert data[theme.MIME]["description"] == drawn.description
    assert sum(len(rows) for rows in data[theme.MIME]["datasets"].values()) <= 1500 and len(str(data[theme.MIME])) < 400_000


def test_the_page_can_take_the_title_off_and_finds_the_table(drawn):
    spec = drawn.spec(title=False)
    drawn.chart.to_dict(validate=True)  # `spec` does not check
    assert "title" not in spec and spec["usermeta"]["infertco"]["table"][0]["chip"] == drawn.data["chip"].iloc[0]
    assert "NaN" not in str(spec)


def test_every_chart_compiles_with_an_older_vega_lite(drawn):
    import vl_convert

    old = vl_convert.vegalite_to_svg(drawn.spec(), vl_version="5.8")
    assert old.count("<text") == drawn.svg().count("<text")


@pytest.fixture(scope="module")
def real():
    """Every chip at four layouts, and many at many batches: the longest names, twelve rows and more."""
    base = ic.scenario()
    layouts = ic.sweep(base, chip=list(ic.chips().index), tensor_parallel=[1, 2, 4, 8], outputs="all")
    chips = ["h100-sxm", "h200-sxm", "b200-sxm", "gb200", "mi300x", "mi355x", "gaudi3", "rtx-pro-6000", "tpu-v6e", "trainium2", "l40s", "a100-80-sxm"]
    free = base.vary(tpot_slo_s=np.nan, ttft_slo_s=np.nan)
    return layouts, ic.sweep(free, chip=chips, tensor_parallel=[1, 2, 4, 8], batch=[1, 2, 4, 8, 16, 32, 64, 128, 256], outputs="all")


def test_the_real_model_is_drawn(real):
    layouts, batches = real
    for shown in (
        charts.cost_stack(layouts, reference="h100-sxm"),
        charts.ranking(layouts, reference="h100-sxm"),
        charts.frontier(batches, tpot_slo_s=0.04),
        charts.frontier(batches, y="usd_per_mtok", tpot_slo_s=0.04, reference="h100-sxm"),
        charts.frontier(batches),
        charts.roofline(batches[(batches["tensor_parallel"] == 8) & (batches["batch"] <= 64)]),
    ):
        assert not shown.title.startswith("None") and 40 <= len(shown.description.split()) <= 80
        check_texts(shown.svg(title=False), 640)
