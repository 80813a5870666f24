"""A chart that lives: drawn once in the browser, then only columns of numbers are sent to it.

The front end is `live.js` with the Vega libraries as one bundle, made in memory when a page first asks for it and sent
as a message, so that no network is needed and no notebook stores it.
"""

from functools import cache
from pathlib import Path

import altair as alt
import anywidget
import numpy as np
import pandas as pd
import traitlets

from infertco.reasons import brief
from infertco.views import marks, theme
from infertco.views.tables import meta, text

HERE = Path(__file__).parent
USD, SPEED, TTFT, TPOT = "usd_per_mtok", "output_tokens_per_s_per_user", "ttft_s", "tpot_s"
COLUMNS = dict(x=SPEED, y=USD, low=f"{USD}_low", high=f"{USD}_high")  # of the lines
PARTS = {f"{USD}_{part}": color for part, color in theme.COST.items()}
AXIS_PX, HEIGHT, LATENCIES_PX = 44, 270, 160
SETS = ("d", "ends", "best", "limit", "parts", "rows", "a", "a_best")


@cache
def libraries() -> bytes:
    """The Vega libraries as one module that needs no network; about 0.9 MB, made in two seconds, once a process."""
    import vl_convert

    return vl_convert.javascript_bundle("export default vegaEmbed", vl_version=theme.VEGA_LITE).encode()


class LiveChart(anywidget.AnyWidget):
    """A Vega-Lite spec on named data, embedded once; `push` sends new columns.

    Without a front end (papermill, a stored page) it is its one-line text. The spec names its data sets
    (`alt.NamedData`), and takes its title from the parameter `ttl`.
    """

    _esm = HERE / "live.js"
    _css = HERE / "live.css"
    spec = traitlets.Dict().tag(sync=True)
    look = traitlets.Dict(theme.NEUTRAL | dict(font=theme.FONT)).tag(sync=True)
    update = traitlets.Dict().tag(sync=True)

    def __init__(self, spec: dict, **traits):
        super().__init__(spec=theme.tidy(spec | dict(config=theme.CONFIG)), **traits)
        self.on_msg(self._hand_over)

    def _hand_over(self, _, content, buffers):
        if content.get("kind") == "libraries":
            self.send(dict(kind="libraries"), [libraries()])

    def push(self, columns: dict, title, **more) -> None:
        """Draw these columns, `{data set: {column: list}}`, under this title (a text or its lines)."""
        lines = [title] if isinstance(title, str) else list(title)
        self.update = dict(data=columns, signals=dict(ttl=lines), **more)

    @property
    def title(self) -> str:
        return " ".join(self.update.get("signals", {}).get("ttl", [])).strip()

    def __repr__(self):
        return f"[live chart] {self.title}"


def cost_extents(states: list) -> dict:
    """Axes that hold the base and, within reason, either end of every slider; left of `named` there is room for names."""
    if not states[0]["lines"]:
        raise ValueError(f"nothing to draw: {states[0]['rows'][0]['reason']}")
    base, all_of = ({c: np.concatenate([line[c] for s in some for line in s["lines"].values()]) for c in "xy"} for some in (states[:1], states))
    slow, fast = max(all_of["x"].min(), base["x"].min() / 2), min(all_of["x"].max(), base["x"].max() * 2)
    low = max(all_of["y"].min(), base["y"].min() / 3)
    highs = [[row[f"{USD}_high"] for row in state["rows"] if row["good"]] for state in states]
    bar = max(max(high, default=0.0) for high in highs) or low
    return dict(
        speed=(slow / (fast / slow) ** 0.22, fast * 1.1), usd=(low / 1.2, min(base["y"].max(), 30 * base["y"].min())), named=slow,
        bar=1.1 * min(bar, 2 * max(highs[0], default=bar)),
    )  # fmt: skip


def cost_spec(looks: list, extents: dict, costs: list, views=("curve", "stack"), width: int = theme.WIDTH["live"]) -> dict:
    """The panel's chart: $/Mtok against tokens/s per user, a line a chip; below it, the cost of each chip by component.

    `looks` are the chips from top to bottom, `extents` the axes of `cost_extents`, `costs` the rows of the base, which
    tell the components to name. The data sets are those of `cost_columns`.
    """
    rows = pd.DataFrame(looks).assign(row=range(len(looks)))
    left, alone = max(AXIS_PX, marks.names_px(rows) * ("stack" in views)), "stack" not in views
    plot, parts = width - left - 12, {part: color for part, color in PARTS.items() if any(row[part] > 0 for row in costs)}
    made = dict(curve=lambda: _curve(extents, plot, alone), stack=lambda: _stack(rows, extents, parts, plot, left))
    what = ["US$ per million output tokens against speed, each chip at its best layout; both scales logarithmic."] * ("curve" in views)
    marked, ranged = ({v: words for v, words in of.items() if v in views} for of in (dict(curve="mark", stack="bar"), dict(curve="shade", stack="line")))
    what += [f"{' and '.join(marked.values())}: cheapest within the limits; {' and '.join(ranged.values())}: 80% interval".capitalize()]
    heading = alt.TitleParams(text=alt.expr("ttl"), subtitle=what)
    chart = alt.vconcat(*(made[view]() for view in views), spacing=26, title=heading).add_params(alt.param(name="ttl", value=[" ", " "]))
    spec = chart.to_dict(validate=False) | dict(description="Cost of a million output tokens by chip; title and the line above it tell what changes")
    return spec | dict(datasets=spec.get("datasets", {}) | {name: [] for name in SETS})


def _curve(extents, plot, alone):
    """Lines, the limit, the cheapest point of each chip; with numbers where no bars tell them."""
    line = dict(clip=True, interpolate="monotone")
    x = marks.axis(alt.X, SPEED, extents["speed"], title=f"{meta(SPEED)['label']} →")
    y = marks.axis(alt.Y, USD, extents["usd"], title="↑ US$ per million output tokens", minExtent=AXIS_PX, maxExtent=AXIS_PX)
    d, best, limit, kept, a_best = (alt.NamedData(name) for name in ("d", "best", "limit", "a", "a_best"))
    detail, color = alt.Detail("chip", type="nominal"), marks.style("color")
    looks = dict(detail=detail, color=color)
    band = alt.Chart(d).transform_filter("datum.band").mark_area(opacity=theme.BAND_OPACITY, **line)
    was = alt.Chart(kept).mark_line(color=theme.NEUTRAL["mark"], strokeWidth=2, **line)
    lines = alt.Chart(d).mark_line(strokeWidth=2.5, **line).encode(strokeDash=marks.style("dash", alt.StrokeDash), **looks)
    rule = alt.Chart(limit).mark_rule(color=theme.INK, strokeDash=theme.DASH["threshold"])
    whisker = alt.Chart(best).mark_rule(strokeWidth=1.5, clip=True).encode(color=marks.style("outline"))
    layers = [
        band.encode(x=x("x"), y=y("low"), y2="high", **looks), was.encode(x=x("x"), y=y("y"), detail=detail),
        lines.encode(x=x("x"), y=y("y")), rule.encode(x=x("x")),
    ]  # fmt: skip
    for side, dx in (("left", 7), ("right", -7)):
        layers += marks.texts(alt.NamedData("limit"), x(side), alt.value(9), align=side, dx=dx)
    layers += marks.texts(alt.NamedData("ends"), x("x"), y("at"), color="label", bold=True, dx=-7, align="right")
    layers += [marks.points(a_best, x("x"), y("y"), 60), *marks.texts(a_best, x("x"), y("y"), color=theme.NEUTRAL["muted"], dx=-8, align="right")]
    layers += [whisker.encode(x=x("x"), y=y("low"), y2="high")] * alone + [marks.points(best, x("x"), y("y"))]
    layers += marks.texts(best, x("x"), y("at"), bold=True, dx=10) * alone
    return alt.layer(*layers, width=plot, height=HEIGHT)


def _stack(rows, extents, parts, plot, left):
    """A bar a chip in its components, with names left and latencies right."""
    plot -= LATENCIES_PX
    x = marks.axis(alt.X, USD, (0, extents["bar"]), log=False, orient="top", domain=False, ticks=False, title=None, grid=True)
    band, best = marks.band(rows), alt.NamedData("rows")
    bar = alt.Chart(alt.NamedData("parts")).mark_bar(height=0.64 * theme.ROW, strokeWidth=1, clip=True)
    looks = dict(fill=marks.style("fill", alt.Fill), stroke=marks.style("stroke", alt.Stroke))
    tick = alt.Chart(alt.NamedData("a_best")).mark_tick(color=theme.NEUTRAL["muted"], thickness=2.5, height=0.86 * theme.ROW, clip=True)
    layers = [bar.encode(x=x("x"), x2="x2", y=band, **looks), tick.encode(x=x("y"), y=band)]
    for color, size in ((theme.PAPER, 4), (theme.INK, 1.5)):
        rule = alt.Chart(best).transform_filter("datum.good").mark_rule(color=color, strokeWidth=size, clip=True)
        layers.append(rule.encode(x=x("low"), x2="high", y=band))
    layers += marks.names(rows) + marks.texts(best, x("at"), band, color="label", bold=True, dx=7)
    for name, words, at in (("ttft", "TTFT, s", 96), ("tpot", "TPOT, ms", LATENCIES_PX)):
        quiet = dict(align="right", color=marks.INK2, halo=False)
        layers += marks.texts(best, alt.value(plot + at), band, name, size=theme.SIZE["cell"], **quiet)
        layers += marks.note(words, plot + at, -11, size=theme.SIZE["axis"], **quiet)
    words = [(meta(part)["label"], color, theme.NEUTRAL["axis"] if color == theme.PAPER else color) for part, color in parts.items()]
    layers += marks.key(words, left, plot + LATENCIES_PX)
    return alt.layer(*layers, width=plot, height=theme.ROW * len(rows))


# ------------------------------------------------------------------ what is pushed


def cost_columns(state: dict, a: dict | None, looks: list, extents: dict) -> dict:
    """The data sets of `cost_spec` from the rows and lines of a state, and of the state kept as A.

    A chip that is not within the limits is drawn in grey, and its row says why.
    """
    grey, lines, slo, bar = theme.NEUTRAL, state["lines"], state["now"].value("tpot_slo_s"), extents["bar"]
    rows = [row | look | dict(row=i) for i, (row, look) in enumerate(zip(state["rows"], looks, strict=True))]
    good, of = [row for row in rows if row["good"]], {row["chip"]: row for row in rows}
    was = [row[USD] if row["good"] else 0.0 for row in a["rows"]] if a else [0.0] * len(rows)
    found = {name: {} for name in SETS}

    def look(id):
        row = of[id]
        return dict(dash=row["dash"], color=row["color"] if row["good"] else grey["mark"], band=row["good"] and row["row"] == 0)

    def named(id):
        return dict(text=of[id]["name"], label=of[id]["label"] if of[id]["good"] else grey["muted"])

    def told(row):
        latencies = dict(ttft=text(TTFT, row[TTFT], bare=True), tpot=text(TPOT, row[TPOT], bare=True))
        if not row["good"]:
            return latencies | dict(row=row["row"], good=False, low=0.0, high=0.0, at=was[row["row"]], label=grey["muted"], text=brief(row["reason"]))
        words = text(USD, row[USD]) + " →" * (row[USD] > bar)
        ends = dict(low=row[COLUMNS["low"]], high=row[COLUMNS["high"]], at=min(row[COLUMNS["high"]], bar))
        return latencies | ends | dict(row=row["row"], good=True, label=theme.INK, text=words)

    found["d"], found["ends"] = _lines(lines, look), _ends(lines, extents, named)
    def within(row):
        return all(low <= row[name] <= high for name, (low, high) in ((SPEED, extents["speed"]), (USD, extents["usd"])))

    found["best"] = _columns([_place(row) | {k: row[k] for k in ("fill", "outline", "shape")} | dict(text=text(USD, row[USD])) for row in good if within(row)])
    found["best"]["at"] = _spread(found["best"].get("y", []), extents, 9)
    found["rows"] = _columns([told(row) for row in rows])
    if slo == slo:
        low, high = np.log(extents["speed"])
        side = "right" if -np.log(slo) > low + 0.55 * (high - low) else "left"  # of the words, where there is room
        words = f"meets TPOT ≤ {text(TPOT, slo, digits=None)} →"
        found["limit"] = _columns([dict(x=1 / slo, left=None, right=None, text=words) | {side: 1 / slo}])
    for row in good:
        edges = np.cumsum([0.0, *(max(row[part], 0.0) for part in PARTS)])
        for (part, color), edge in zip(PARTS.items(), edges, strict=False):
            if row[part] > 0:
                rim = grey["axis"] if color == theme.PAPER else theme.PAPER
                _append(found["parts"], dict(row=row["row"], x=float(edge), x2=float(edge) + row[part], fill=color, stroke=rim))
    if a:
        plain = dict(fill=grey["mark"], outline=grey["axis"])
        kept = [
            plain | dict(row=i, y=row[USD], x=row[SPEED] if within(row) else None, text="" if i else "A", shape=looks[i]["shape"])
            for i, row in enumerate(a["rows"])
            if row["good"]
        ]
        found |= dict(a=_lines(a["lines"]), a_best=_columns(kept))
    return found


def _place(row):
    return {c: row[name] for c, name in COLUMNS.items()}


def _append(columns, row):
    for name, x in row.items():
        columns.setdefault(name, []).append(float(f"{x:.5g}") if isinstance(x, float) else x)


def _columns(rows) -> dict:
    columns = {}
    for row in rows:
        _append(columns, row)
    return columns


def _lines(lines, more=lambda id: {}) -> dict:
    found = {c: [float(f"{x:.5g}") for line in lines.values() for x in line[c]] for c in COLUMNS}
    each = [dict(chip=id) | more(id) for id, line in lines.items() for _ in line["x"]]
    return found | {name: [row[name] for row in each] for name in (each[0] if each else ())}


def _ends(lines, extents, words) -> dict:
    """Where the name of a line stands: before its slow end, clear of the others."""
    at = _spread([line["y"][-1] for line in lines.values()], extents)
    return _columns([dict(x=max(float(line["x"][-1]), extents["named"]), at=y) | words(id) for (id, line), y in zip(lines.items(), at, strict=True)])


def _spread(values, extents, up: float = 0.0) -> list:
    """Heights of labels such that none covers another, `up` pixels above what they name."""
    if not len(values):
        return []
    there, back = marks.pixels(extents["usd"], HEIGHT, down=True)
    return [float(f"{x:.5g}") for x in back(marks.spread(there(values).clip(0, HEIGHT) - up, HEIGHT))]

