"""How everything looks: colors, shapes, type and sizes as tables, the Vega-Lite config, the renderer that fetches nothing.

Hue and shape are the maker, shade is the generation; each family of meanings has its own fixed colors. No color, font
name or size is written anywhere else in the package. `enable()` makes Altair draw by these tables.
"""

import os
import re
from collections import namedtuple
from functools import cache
from importlib.resources import files

import vl_convert

FONT = "Source Sans Pro, Segoe UI, Helvetica Neue, Arial, sans-serif"  # a name with a digit would need quotes of its own
SERIF = "Source Serif Pro, Georgia, Cambria, serif"
FONT_WHEELS = ("font_source_sans_pro", "font_source_serif_pro")
VEGA_LITE = "6.4"  # drawn to SVG by this version, in a notebook by the 5.6 of JupyterLab: keep to what both know
MIME = "application/vnd.vegalite.v5+json"
UNDRAWN = "INFERTCO_UNDRAWN"  # set in the environment: no SVG beside a spec, as who reads it draws it anyway

NEUTRAL = dict(
    ink="#16212B", ink2="#46535F", muted="#66727D", axis="#868F98", mark="#B9C1C8", hair="#D5DADE", grid="#E3E7EA",
    wash="#F5F6F3", paper="#FFFFFF", land="#E9ECEA", accent="#0E5A70",
)  # fmt: skip
INK, PAPER = NEUTRAL["ink"], NEUTRAL["paper"]

MAKERS = {  # maker: (four shades, pale to dark; shade of its label; shape)
    "NVIDIA": (("#AAC9A4", "#70A06A", "#4A8245", "#296127"), 3, "circle"),
    "AMD": (("#FAA290", "#D55947", "#A81414", "#800000"), 3, "square"),
    "Google": (("#A8BBED", "#6088D1", "#1061B2", "#00438F"), 3, "triangle-up"),
    "AWS": (("#F4BE84", "#DF973C", "#D18306", "#A96200"), 4, "diamond"),
    "Intel": (("#9CCDDA", "#54A9BE", "#1193AB", "#007189"), 4, "triangle-down"),
    "Microsoft": (("#9DBEB7", "#54877E", "#17584F", "#003932"), 3, "triangle-right"),
    "Meta": (("#C1A9DA", "#8665AC", "#4D2C7A", "#2C0E59"), 3, "triangle-left"),
    "others": (("#E1B0C8", "#BE769C", "#9D4C79", "#7A2B59"), 3, "cross"),
    "edge": (("#A8B0B9", "#5F6B78", "#22303D", "#13212D"), 3, "M-1,-0.45H1V0.45H-1Z"),
    "cpu": (("#CBC6C2", "#A9A29B", "#968F87", "#756E66"), 4, "M-0.45,-1H0.45V1H-0.45Z"),
}

COST = dict(
    accelerator="#21405F", host="#5679A0", network="#9DBAD3", facility="#86735F", electricity="#E3AB32",
    operations="#8C4038", rent=PAPER,
)  # fmt: skip
TIERS = dict(
    training="#B98B3C", premium="#0E5A70", cost_optimized="#3F97A8", batch="#9CCBCD", edge="#97493D", spare=PAPER,
    retired="#B9C1C8",
)  # fmt: skip
PIVOT = dict(training="#B98B3C", inference="#0E5A70")
BOUNDS = dict(compute="#BC4B1A", memory="#2B5C9B", network="#5C9A7B", overhead="#C1C7CD", queueing="#E3AB32", capacity=PAPER)
CHANGE = dict(lowers="#2A7488", raises="#B5552A", total=NEUTRAL["ink2"])
SEQUENTIAL = ("#F4F2E8", "#D5E3D3", "#A4CCC3", "#69AEB3", "#388CA0", "#1F6685", "#173F63", "#13203F")
DIVERGING = ("#7A3010", "#B5552A", "#DB9368", "#F0CDB4", "#F6F4EF", "#C3DCE0", "#73AEBB", "#2A7488", "#0E4658")
FAN = {95: 0.13, 80: 0.17, 50: 0.24}  # opacity of the inference hue, laid over each other

SIZE = dict(title=17, subtitle=13.5, label=12.5, axis=12, row=12.5, note=12, cell=12, source=11)
SEMIBOLD = 600
LABEL_GAP = 14  # px between two labels, baseline to baseline
ROW = 28  # px of a lying bar with its gap
DASH = dict(twin=[6, 3], announced=[2, 3], threshold=[4, 3], drop=[1, 3])
WIDTH = dict(notebook=640, live=720, report=627, column=423)
TITLE_CHARACTERS = 60
DOUBTFUL_OPACITY = 0.45
BAND_OPACITY = 0.13

_axis_text = dict(labelFont=FONT, titleFont=FONT, labelFontSize=SIZE["axis"], titleFontSize=SIZE["axis"], titleFontWeight=400)
CONFIG = {
    "background": PAPER,
    "font": FONT,
    "padding": {"left": 4, "right": 12, "top": 6, "bottom": 4},
    "view": {"stroke": None},
    "title": {
        "anchor": "start", "frame": "bounds", "font": FONT, "fontSize": SIZE["title"], "fontWeight": SEMIBOLD, "color": INK,
        "lineHeight": 21, "offset": 16, "subtitleFont": FONT, "subtitleFontSize": SIZE["subtitle"],
        "subtitleColor": NEUTRAL["ink2"], "subtitleLineHeight": 18, "subtitlePadding": 5,
    },
    "axis": _axis_text | {
        "labelColor": NEUTRAL["ink2"], "titleColor": NEUTRAL["ink2"], "gridColor": NEUTRAL["grid"],
        "domainColor": NEUTRAL["axis"], "tickColor": NEUTRAL["axis"], "tickSize": 4, "labelPadding": 5,
        "labelOverlap": "greedy", "labelFlush": False,
    },
    "axisX": {"grid": False, "titleAnchor": "end", "titleAlign": "right", "titlePadding": 8},
    "axisY": {
        "domain": False, "ticks": False, "titleAngle": 0, "titleAlign": "left", "titleAnchor": "end",
        "titleBaseline": "bottom", "titleX": 0, "titleY": -8,
    },
    "axisBand": {"grid": False, "domain": False, "ticks": False, "labelColor": INK, "labelFontSize": SIZE["row"]},
    "header": {"labelFontSize": 13, "labelFontWeight": SEMIBOLD, "labelAnchor": "start", "title": None},
    "text": {"font": FONT, "fontSize": SIZE["note"], "color": INK},
    "point": {"filled": True, "size": 60},
    "rule": {"color": NEUTRAL["ink2"]},
    "scale": {"bandPaddingInner": 0.28, "bandPaddingOuter": 0.14},
    "concat": {"spacing": 14},
}  # fmt: skip

Look = namedtuple("Look", "maker color label outline shape hollow")


def look(vendor: str, kind: str = "", generation: float = 3, status: str = "available") -> Look:
    """Color, label color, outline and shape of a chip; hollow if it cannot be had yet."""
    maker = kind if kind in ("edge", "cpu") else vendor if vendor in MAKERS else "others"
    shades, label, shape = MAKERS[maker]
    shade = int(generation) - 1 if generation in (1, 2, 3, 4) else 2
    return Look(maker, shades[shade], shades[label - 1], shades[3], shape, status == "announced")


def luminance(color: str) -> float:
    """Relative luminance of `#RRGGBB` (WCAG), 0 to 1."""
    rgb = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def lightness(color: str) -> float:
    """CIE L* of `#RRGGBB`, 0 to 100."""
    y = luminance(color)
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


def text_on(fill: str) -> str:
    """Color of text on a fill: white up to L* 50, else ink."""
    return PAPER if lightness(fill) <= 50.5 else INK


@cache
def fonts() -> tuple[str, ...]:
    """Folders of the font files, made known to the SVG converter."""
    folders = tuple(str(files(wheel) / "files") for wheel in FONT_WHEELS)
    for folder in folders:
        vl_convert.register_font_directory(folder)
    return folders


def tidy(spec):
    """The spec with floats at 6 significant digits and data sets named in order: the same bytes on every machine."""
    names = {name: f"data{i}" for i, name in enumerate(spec.get("datasets", {})) if name.startswith("data-")}

    def walk(node, key=None):
        if isinstance(node, dict):
            return {names.get(k, k) if key == "datasets" else k: walk(v, k) for k, v in node.items()}
        if isinstance(node, (list, tuple)):
            return [walk(v) for v in node]
        if isinstance(node, float):
            return float(f"{node:.6g}")
        return names.get(node, node) if key == "name" else node

    return walk(spec) | {"$schema": "https://vega.github.io/schema/vega-lite/v5.json"}


def svg(spec) -> str:
    """The chart as SVG text; clip paths are numbered from 0, not from the converter's own running count."""
    fonts()
    text = vl_convert.vegalite_to_svg(spec, vl_version=VEGA_LITE)
    known = {name: f"clip{i}" for i, name in enumerate(dict.fromkeys(re.findall(r'id="(clip\d+)"', text)))}
    return re.sub(r"\bclip\d+\b", lambda found: known.get(found[0], found[0]), text) if known else text


def png(spec, scale: float = 2) -> bytes:
    """The chart as a PNG picture."""
    fonts()
    return vl_convert.vegalite_to_png(spec, vl_version=VEGA_LITE, scale=scale)


def bundle(spec, text: str = ""):
    """MIME bundle and metadata of a spec: live in JupyterLab without a network, SVG elsewhere, else words."""
    spec = tidy({"config": CONFIG} | spec)
    title = spec.get("title", "")
    title = title.get("text", "") if isinstance(title, dict) else title
    text = text or f"[chart] {title if isinstance(title, str) else ' '.join(title)}"
    still = {} if os.environ.get(UNDRAWN) else {"image/svg+xml": svg(spec)}
    return {MIME: spec, **still, "text/plain": text}, {MIME: {"embed_options": {"renderer": "svg", "actions": False}}}


def enable() -> None:
    """Make Altair draw every chart by this theme and renderer."""
    import altair as alt

    alt.theme.register("infertco", enable=True)(lambda: alt.theme.ThemeConfig(config=CONFIG))
    alt.renderers.register("infertco", lambda spec, **_: bundle(spec))
    alt.renderers.enable("infertco")
