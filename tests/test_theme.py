"""The tables of the theme hold what they promise: contrast, distance under color deficiencies, order in grey; numbers as text."""

import math
import re
from itertools import combinations, pairwise
from pathlib import Path

import altair as alt
import numpy as np
import pandas as pd
import pytest

from infertco import units
from infertco.views import theme

PACKAGE = Path(__file__).parent.parent / "infertco"
BASES = {maker: shades[2] for maker, (shades, _, _) in theme.MAKERS.items()}

# ------------------------------------------------------------------ colors, measured

DEFICIENCY = {  # Machado et al. 2009, severity 100, on linear RGB
    "normal": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
CAT02 = np.array([[0.7328, 0.4296, -0.1624], [-0.7036, 1.6975, 0.0061], [0.0030, 0.0136, 0.9834]])
HPE = np.array([[0.38971, 0.68898, -0.07868], [-0.22981, 1.18340, 0.04641], [0.0, 0.0, 1.0]])


def linear(color):
    c = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def cam02_ucs(color, sight="normal"):
    """J', a', b' of CAM02-UCS under the viewing conditions of sRGB."""
    xyz = 100 * TO_XYZ @ np.clip(np.array(DEFICIENCY[sight]) @ linear(color), 0, 1)
    white = np.array([95.047, 100.0, 108.883])
    adapting, background, c, n_c = 64 / math.pi / 5, 20.0, 0.69, 1.0
    k = 1 / (5 * adapting + 1)
    f_l = 0.2 * k**4 * 5 * adapting + 0.1 * (1 - k**4) ** 2 * (5 * adapting) ** (1 / 3)
    n = background / white[1]
    n_bb, z = 0.725 * n**-0.2, 1.48 + math.sqrt(n)
    d = 1 - math.exp((-adapting - 42) / 92) / 3.6

    def responses(v):
        cone = HPE @ np.linalg.inv(CAT02) @ ((d * white[1] / (CAT02 @ white) + 1 - d) * (CAT02 @ v))
        p = (f_l * np.abs(cone) / 100) ** 0.42
        return np.sign(cone) * 400 * p / (p + 27.13) + 0.1

    (r, g, b), (rw, gw, bw) = responses(xyz), responses(white)
    red, yellow = r - 12 * g / 11 + b / 11, (r + g - 2 * b) / 9
    hue = math.atan2(yellow, red)
    j = 100 * (((2 * r + g + b / 20 - 0.305) * n_bb) / ((2 * rw + gw + bw / 20 - 0.305) * n_bb)) ** (c * z)
    e = (math.cos(hue + 2) + 3.8) / 4
    t = 50000 / 13 * n_c * n_bb * e * math.hypot(red, yellow) / (r + g + 21 * b / 20)
    m = t**0.9 * math.sqrt(j / 100) * (1.64 - 0.29**n) ** 0.73 * f_l**0.25
    m = math.log1p(0.0228 * m) / 0.0228
    return np.array([1.7 * j / (1 + 0.007 * j), m * math.cos(hue), m * math.sin(hue)])


def distance(a, b, sight="normal"):
    return float(np.linalg.norm(cam02_ucs(a, sight) - cam02_ucs(b, sight)))


def contrast(a, b="#FFFFFF"):
    dark, light = sorted((theme.luminance(a), theme.luminance(b)))
    return (light + 0.05) / (dark + 0.05)


def near(x, digits=1):
    return pytest.approx(x, abs=0.5001 * 10.0**-digits)


def test_the_measure_itself():
    """White, black and an L* known by hand: middle grey #777777 is L* 50."""
    assert theme.lightness("#FFFFFF") == pytest.approx(100) and theme.lightness("#000000") == 0
    assert theme.lightness("#777777") == pytest.approx(50, abs=0.1)
    assert contrast("#000000") == pytest.approx(21)
    assert cam02_ucs("#FFFFFF")[0] == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize("token, ratio", [("ink", 16.3), ("ink2", 7.9), ("muted", 4.9), ("axis", 3.3), ("mark", 1.8), ("hair", 1.4),
                                          ("grid", 1.2), ("wash", 1.1), ("accent", 7.7)])  # fmt: skip
def test_neutrals_have_their_contrast_on_white(token, ratio):
    assert contrast(theme.NEUTRAL[token]) == near(ratio)


def test_the_lightest_text_is_readable_on_the_wash():
    assert contrast(theme.NEUTRAL["muted"], theme.NEUTRAL["wash"]) >= 4.45


@pytest.mark.parametrize(
    "maker, lightness, ratio",
    [("NVIDIA", 49, 4.6), ("AMD", 36, 7.6), ("Google", 41, 6.2), ("AWS", 61, 3.0), ("Intel", 56, 3.6), ("Microsoft", 33, 8.3),
     ("Meta", 26, 10.7), ("others", 44, 5.6), ("edge", 19, 13.5), ("cpu", 60, 3.2)],
)  # fmt: skip
def test_maker_bases_have_their_lightness_and_contrast(maker, lightness, ratio):
    assert theme.lightness(BASES[maker]) == near(lightness, 0)
    assert contrast(BASES[maker]) == near(ratio)


@pytest.mark.parametrize("maker", theme.MAKERS)
def test_label_colors_can_be_read_and_shades_darken(maker):
    shades, label, _ = theme.MAKERS[maker]
    assert contrast(shades[label - 1]) >= 4.45
    assert all(theme.lightness(a) > theme.lightness(b) for a, b in pairwise(shades))


@pytest.mark.parametrize("sight, least", [("normal", 19), ("deutan", 12.6), ("protan", 13.1), ("tritan", 11.3)])
def test_makers_stay_apart_under_every_sight(sight, least):
    """Distances in CAM02-UCS; 10 is plainly different side by side."""
    assert min(distance(a, b, sight) for a, b in combinations(BASES.values(), 2)) >= least - 0.6


def test_the_most_compared_makers_step_in_grey_and_shapes_differ():
    greys = [theme.lightness(BASES[m]) for m in ("AMD", "Google", "NVIDIA", "Intel", "AWS")]
    assert min(b - a for a, b in pairwise(greys)) >= 4.5
    assert len({shape for _, _, shape in theme.MAKERS.values()}) == len(theme.MAKERS)


FILLED = dict(
    cost=[c for c in theme.COST.values() if c != theme.PAPER],
    tiers=[theme.TIERS[t] for t in ("training", "premium", "cost_optimized", "batch", "edge")],
    bounds=[theme.BOUNDS[b] for b in ("compute", "memory", "network", "overhead")],
)


@pytest.mark.parametrize("family", FILLED)
def test_stacks_read_in_grey_and_under_every_deficiency(family):
    colors = FILLED[family]
    steps = [abs(theme.lightness(a) - theme.lightness(b)) for a, b in pairwise(colors)]
    assert min(steps[1:] if family == "bounds" else steps) >= 19.5 and steps[0] >= 7.5
    for sight in DEFICIENCY:
        assert min(distance(a, b, sight) for a, b in combinations(colors, 2)) >= 11.5
        assert min(distance(a, b, sight) for a, b in pairwise(colors)) >= 18.5


def test_sequential_is_dark_for_more_and_numbers_can_be_printed_on_seven():
    assert [round(theme.lightness(c)) for c in theme.SEQUENTIAL] == [95, 89, 79, 67, 54, 40, 26, 13]
    for fill in (*theme.SEQUENTIAL[:7], *FILLED["cost"], *FILLED["tiers"], *FILLED["bounds"]):
        assert contrast(theme.text_on(fill), fill) >= 4.0  # 4.5 wherever L* is not within a step of 50


def test_change_is_equal_in_grey_so_sign_must_carry_it():
    assert abs(theme.lightness(theme.CHANGE["lowers"]) - theme.lightness(theme.CHANGE["raises"])) < 4


def test_a_chip_looks_like_its_maker_and_generation():
    assert theme.look("NVIDIA", "gpu", 2).color == theme.MAKERS["NVIDIA"][0][1]
    assert theme.look("NVIDIA", "edge", 3).maker == "edge" and theme.look("Intel", "cpu").maker == "cpu"
    assert theme.look("Groq", "asic", float("nan")).color == BASES["others"]
    assert theme.look("AWS", "asic", 3).label == theme.MAKERS["AWS"][0][3]
    assert theme.look("AMD", "gpu", 4, "announced").hollow and not theme.look("AMD", "gpu", 3).hollow


def test_no_color_outside_the_theme():
    found = [path.name for path in PACKAGE.rglob("*") if path.suffix in (".py", ".js", ".css", ".html", ".typ") and path.name != "theme.py"
             and re.search(r"#[0-9A-Fa-f]{6}\b", path.read_text(encoding="utf-8"))]  # fmt: skip
    assert found == []


# ------------------------------------------------------------------ type and renderer


def test_fonts_are_there_and_need_no_quotes():
    assert all(list(Path(folder).glob("*-Semibold.ttf")) for folder in theme.fonts())
    assert not re.search(r"\d", theme.FONT)  # an unquoted digit makes every text vanish


def test_no_text_is_under_the_smallest_size():
    assert min(theme.SIZE.values()) >= 11


@pytest.fixture
def chart():
    frame = pd.DataFrame(dict(x=[0.1, 0.2, 1 / 3], y=[1, 2, 3]))
    return alt.Chart(frame, title="Three points").mark_point().encode(x="x", y="y").configure(**theme.CONFIG)


def test_a_bundle_is_drawn_offline_everywhere(chart):
    data, about = theme.bundle(chart.to_dict())
    assert set(data) == {"application/vnd.vegalite.v5+json", "image/svg+xml", "text/plain"}
    assert data["text/plain"] == "[chart] Three points"
    assert about[theme.MIME]["embed_options"] == {"renderer": "svg", "actions": False}
    assert set(re.findall(r"https?://[^\s\"']+", str(data[theme.MIME]))) == {"https://vega.github.io/schema/vega-lite/v5.json"}
    assert all("www.w3.org" in url for url in re.findall(r"https?://[^\s\"']+", data["image/svg+xml"]))
    assert "Source Sans Pro" in data["image/svg+xml"]


def test_a_bundle_has_the_same_bytes_for_the_last_bit_of_data(chart):
    other = chart.copy(deep=True)
    other.data = chart.data.assign(x=chart.data["x"] * (1 + 1e-13))
    assert theme.bundle(chart.to_dict()) == theme.bundle(other.to_dict())
    assert theme.bundle(chart.to_dict())[0][theme.MIME]["datasets"]["data0"][2]["x"] == 0.333333


def test_text_reaches_the_picture():
    with_text = alt.Chart(pd.DataFrame([dict(t="words")])).mark_text(fontSize=40).encode(text="t").to_dict()
    blank = alt.Chart(pd.DataFrame([dict(t="")])).mark_text(fontSize=40).encode(text="t").to_dict()
    assert len(theme.png(theme.tidy(with_text | dict(config=theme.CONFIG)))) > len(theme.png(theme.tidy(blank | dict(config=theme.CONFIG)))) + 300


def test_enable_makes_altair_draw_by_the_theme():
    chart = alt.Chart(pd.DataFrame(dict(x=[1, 2]))).mark_point().encode(x="x")
    before, drawn_by = alt.theme.active, alt.renderers.active
    try:
        theme.enable()
        data, _ = chart._repr_mimebundle_()
        assert data[theme.MIME]["config"]["title"]["fontSize"] == 17
    finally:
        alt.theme.enable(before)
        alt.renderers.enable(drawn_by)


# ------------------------------------------------------------------ numbers

S = units.NBSP


@pytest.mark.parametrize(
    "args, text",
    [
        ((0.1234, "USD/Mtok", 2), "$0.12"), ((4912, "token/s", 2), f"4,900{S}tokens/s"), ((3.31, "ratio"), "3.3×"),
        ((3.35e12, "byte/s"), f"3.35{S}TB/s"), ((80e9, "byte"), f"80{S}GB"), ((8e12, "byte/s"), f"8.0{S}TB/s"),
        ((0.0624, "USD/Mtok"), "$0.062"), ((0.25, "USD/Mtok"), "$0.25"), ((13.42, "USD/Mtok"), "$13.4"), ((140.2, "USD/Mtok"), "$140"),
        ((0.0999, "USD/Mtok"), "$0.10"), ((9.999, "USD/Mtok"), "$10.0"), ((-0.05, "USD/Mtok"), "−$0.05"),
        ((26_000, "USD"), "$26k"), ((1.4e6, "USD"), "$1.4m"), ((87e9, "USD"), "$87bn"), ((1999, "USD"), "$1,999"), ((999_960, "USD"), "$1m"),
        ((1.95, "USD/h"), "$1.95/h"), ((0.0543, "USD/kWh"), "$0.0543/kWh"), ((0, "USD/Mtok"), "$0"), ((0.0, "token/s"), f"0{S}tokens/s"),
        ((0.018, "s"), f"18{S}ms"), ((0.31, "s"), f"310{S}ms"), ((90, "s"), f"1.5{S}min"), ((0.9999, "s", 2), f"1.0{S}s"),
        ((0.31, "s", 2, "ttft_s"), f"0.31{S}s"), ((1.2, "s", 2, "tpot_s"), f"1,200{S}ms"), ((141e9, "byte"), f"141{S}GB"),
        ((989e12, "FLOP/s"), f"989{S}TFLOP/s"), ((2250e12, "FLOP/s"), f"2,250{S}TFLOP/s"), ((0.35, "share"), "35%"), ((0.3478, "share"), "35%"),
        ((0.065, "share"), "6.5%"), ((0.9995, "share"), "99.95%"), ((0.002, "share"), "0.2%"), ((0.08, "1/year"), "8%/year"), ((1, "share"), "100%"),
        ((2025.9, "date"), "Q4 2025"), ((2025.0, "date"), "Q1 2025"), ((float("nan"), "USD"), "n/a"), ((None, "s"), "n/a"), ((8, "1"), "8"),
        ((1.09, "1"), "1.09"), ((70.55e9, "1"), "70.55bn"), ((24_576, "token"), f"24,576{S}tokens"), ((1, "year"), f"1{S}year"), ((4, "year"), f"4{S}years"),
        ((4.25, "bit"), f"4.25{S}bit"), ((1200, "W"), f"1,200{S}W"), ((23_000, "W"), f"23{S}kW"), ((12_345, "J", 2), f"12{S}kJ"),
    ],
)  # fmt: skip
def test_numbers_as_printed(args, text):
    assert units.format(*args) == text


def test_bare_numbers_ranges_and_axes():
    assert units.format(3.35e12, "byte/s", bare=True, as_word=(1e9, "GB/s")) == "3,350"
    assert units.span(22, 36) == "22 to 36" and units.span(22e3, 36e3, "USD", joint="–") == "$22k–$36k"
    assert units.span(0.018, 0.03, "s", name="tpot_s") == f"18 to 30{S}ms"
    assert units.axis_labels([0, 0.1, 0.2], "USD/Mtok") == ["$0", "$0.10", "$0.20"]
    assert units.axis_labels([0.5, 1, 10, 100], "USD/Mtok") == ["$0.50", "$1", "$10", "$100"]
    assert units.axis_labels([100, 1000, 20000], "token/s") == ["100", "1,000", "20k"]
    assert units.axis_labels([1e12, 1e13, 1e15], "FLOP/s") == ["1", "10", "1,000"]
    assert units.axis_labels([0.01, 0.02], "s", "tpot_s") == ["10", "20"]


@pytest.mark.parametrize("unit", sorted({base for _, base in units.WORDS.values()} | {"share", "ratio", "FLOP/byte"}))
def test_every_unit_prints_every_size(unit):
    for value in 10.0 ** np.arange(-9, 16):
        text = units.format(value, unit, digits=2)
        assert text and "e" not in text.split(S)[0].replace("year", "") and units.format(-value, unit, digits=2) == units.MINUS + text
