"""How charts are put together: scales with round ticks, labels that keep their distance, text, maker marks, rows of bars."""

import altair as alt
import numpy as np
import pandas as pd

from infertco import units
from infertco.views import theme
from infertco.views.tables import format_table, meta, text, unit

INK, INK2, PAPER = theme.INK, theme.NEUTRAL["ink2"], theme.PAPER
COLUMNS_PX = 132  # of the TTFT and TPOT columns


def ticks(low: float, high: float, log: bool = True) -> list[float]:
    """Round values in a range: 1-2-5 or decades on a log axis, four to six equal steps on a linear one."""
    if log and high / low > 5:
        steps = (1, 2, 5) if high / low < 300 else (1,)
        decades = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
        return [float(f"{m * 10.0**d:.6g}") for d in decades for m in steps if low <= m * 10.0**d <= high]
    size = 10.0 ** np.floor(np.log10(high - low))
    for step in (size * m for m in (5, 2.5, 2, 1, 0.5, 0.25, 0.2, 0.1)):
        found = [float(f"{i * step:.6g}") for i in range(int(np.ceil(low / step - 1e-9)), int(high / step + 1e-9) + 1)]
        if len(found) >= 4:
            return found


def axis(channel, name: str, extent, log: bool = True, base: str | None = None, **how):
    """An x or y over that extent with ticks in the words of the column, or of the unit `base`; call it with a column to encode."""
    at = how.pop("values", None) or ticks(*extent, log)
    labels = units.axis_labels(at, base or unit(name), name)
    how = dict(values=at, grid=True, labelExpr=f"{labels!r}[indexof({at!r}, datum.value)]") | how
    scale = alt.Scale(type="log" if log else "linear", domain=list(extent), nice=False)
    return lambda column: channel(column, type="quantitative", scale=scale, axis=alt.Axis(**how))


def years(stamps) -> np.ndarray:
    """Timestamps as decimal years; numbers stay."""
    stamps = pd.Series(stamps).reset_index(drop=True)
    if pd.api.types.is_numeric_dtype(stamps):
        return stamps.to_numpy(float)
    stamps = stamps.dt
    return (stamps.year + (stamps.month - 1) / 12 + (stamps.day - 1) / 365.25).to_numpy(float)


def year_axis(extent, plot: float, last: float = np.inf, **how):
    """An x of decimal years, labeled by whole ones with room between them up to the last; call it with a column to encode."""
    whole = np.arange(np.ceil(extent[0] - 1e-9), np.floor(min(extent[1], last) + 1e-9) + 1)
    at = [float(year) for year in whole[:: next(step for step in (1, 2, 3, 5, 10, 20, 50) if len(whole) / step * 38 <= plot or step == 50)]]
    how = dict(values=at, format="d", grid=False, title=None) | how
    return lambda column: alt.X(column, type="quantitative", scale=alt.Scale(domain=list(extent), nice=False), axis=alt.Axis(**how))


def pixels(extent, size: float, log: bool = True, down: bool = False):
    """Value to pixel and back on an axis of that size; `down` for y."""
    there, back = (np.log, np.exp) if log else (np.asarray, np.asarray)
    a, b = there(np.asarray(extent[::-1] if down else extent, float))
    return (lambda v: (there(np.asarray(v, float)) - a) / (b - a) * size), (lambda p: back(a + np.asarray(p) / size * (b - a)))


def spread(y, bottom: float) -> np.ndarray:
    """Heights of labels in pixels, moved as little as keeps the label gap between them (least squares) and off the bottom."""
    order, blocks = np.argsort(y, kind="stable"), []
    for wanted in np.asarray(y, float)[order] - theme.LABEL_GAP * np.arange(len(order)):
        blocks.append([wanted])
        while len(blocks) > 1 and np.mean(blocks[-2]) > np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    out = np.empty(len(order))
    out[order] = np.concatenate([np.full(len(block), np.mean(block)) for block in blocks]) + theme.LABEL_GAP * np.arange(len(order))
    return out - max(0.0, out.max() - bottom)


def aside(y, x, wide, bottom: float) -> np.ndarray:
    """As `spread` for labels at different x: only those that share columns are pushed apart, top to bottom."""
    out, placed = np.array(y, float), []
    for i in np.argsort(out, kind="stable"):
        for j in sorted(placed, key=lambda j: out[j]):
            if x[i] < x[j] + wide[j] and x[j] < x[i] + wide[i] and abs(out[i] - out[j]) < theme.LABEL_GAP:
                out[i] = out[j] + theme.LABEL_GAP
        placed.append(i)
    return np.minimum(out, bottom)


def beside(x, y, wide, plot: float, height: float, clear=12.0, off=()) -> tuple[np.ndarray, np.ndarray]:
    """Left edges and heights of labels near points of a plot, in pixels: in it, off the points, off each other and off the
    boxes `off` (left, top, right, bottom) where there is room."""
    x, y, gap = np.asarray(x, float), np.asarray(y, float), theme.LABEL_GAP / 2
    taken = [(a - 5, b - 5, a + 5, b + 5) for a, b in zip(x, y, strict=True)] + list(off)
    places = []
    for at, of, w in zip(x, y, wide, strict=True):
        shifts = sorted((k * gap for k in range(-24, 25)), key=abs)
        found = [(side, min(max(of + dy, gap), height - gap)) for dy in shifts for side in (at + clear - 3, at - clear + 3 - w)]
        found = [(left, mid) for left, mid in found if left >= 0 and left + w <= plot] or [(min(max(at - w / 2, 0), max(plot - w, 0)), m) for _, m in found]
        boxes = [(left, mid - gap, left + w, mid + gap) for left, mid in found]
        lying = [sum(max(0, min(c, g) - max(a, e)) * max(0, min(d, h) - max(b, f)) for e, f, g, h in taken) for a, b, c, d in boxes]
        best = int(np.argmin(lying))
        places.append(found[best])
        taken.append(boxes[best])
    return tuple(np.array(places).reshape(-1, 2).T)


def px(words: str, size: float = theme.SIZE["label"]) -> float:
    """About how wide a text is drawn, on the safe side."""
    return 0.56 * size * len(words)


def style(column: str, channel=alt.Color):
    """Colors or shapes that the rows bring with them."""
    return channel(column, type="nominal", scale=None)


def _faded(data) -> dict:
    """The opacity that the rows bring with them."""
    known = isinstance(data, pd.DataFrame) and "opacity" in data
    return dict(opacity=alt.Opacity("opacity", type="quantitative", scale=None)) if known else {}


def placed(channel, at):
    """A channel, or a place in pixels as one: what is still a dict, Altair would look up among all it knows, for milliseconds."""
    return channel(at["value"]) if isinstance(at, dict) else at


def texts(data, x, y, words: str = "text", color: str = INK, bold: bool = False, halo: bool = True, size: float = theme.SIZE["label"], **mark) -> list:
    """Text in a color or in the rows' `label` color; with a white halo where it may lie over lines."""
    mark = dict(fontSize=size, fontWeight=theme.SEMIBOLD if bold else 400, baseline="middle", align="left") | mark
    base = alt.Chart(data).encode(x=placed(alt.XValue, x), y=placed(alt.YValue, y), text=alt.Text(words, type="nominal"))
    under = [base.mark_text(**mark, stroke=PAPER, strokeWidth=4, strokeJoin="round").encode(color=alt.ColorValue(PAPER))] if halo else []
    return [*under, base.mark_text(**mark).encode(color=style(color) if color == "label" else alt.ColorValue(color))]


def note(words: str, x: float, y: float, **how) -> list:
    """A phrase at a place in pixels."""
    return texts(pd.DataFrame([dict(text=words)]), alt.value(float(x)), alt.value(float(y)), **how)


def points(data, x, y, size: float = 80):
    """Marks in the maker's shape with a thin dark rim, hollow where the fill is paper."""
    looks = dict(fill=style("fill", alt.Fill), stroke=style("outline", alt.Stroke), shape=style("shape", alt.Shape))
    place = dict(x=placed(alt.XValue, x), y=placed(alt.YValue, y))
    return alt.Chart(data).mark_point(size=size, strokeWidth=1, opacity=1).encode(**place, **looks, **_faded(data))


def hover(data, x, y, columns):
    """Unseen marks that tell a row's figures to the pointer."""
    words = format_table(data[list(columns)], rows=len(data)).rename(columns=lambda name: name.replace(".", ""))
    shown = pd.concat([data.loc[:, ~data.columns.isin(words.columns)], words], axis=1)
    return alt.Chart(shown).mark_point(opacity=0, size=120).encode(x=x, y=y, tooltip=[alt.Tooltip(name, type="nominal") for name in words])


# Rows of lying bars: names and maker marks left, bar with interval, TTFT and TPOT right


def band(rows):
    """The y of a row."""
    return alt.Y("row:O", axis=None, scale=alt.Scale(domain=rows["row"].tolist(), paddingInner=0, paddingOuter=0))


def bars(data, rows, x, x2=None, fill="fill", stroke="stroke"):
    """Bars from zero, or from x to x2."""
    ends = dict(x=x) if x2 is None else dict(x=x, x2=x2)
    looks = dict(fill=style(fill, alt.Fill), stroke=style(stroke, alt.Stroke))
    return alt.Chart(data).mark_bar(height=0.64 * theme.ROW, strokeWidth=1).encode(y=band(rows), **looks, **ends, **_faded(data))


def names_px(rows) -> int:
    """Width of the names and marks left of the bars."""
    return int(max(px(name, 12) for name in rows["name"])) + 26


def names(rows) -> list:
    """Name and maker mark left of each bar."""
    return [*texts(rows, alt.value(-20), band(rows), "name", align="right", halo=False), points(rows, alt.value(-9), band(rows), 60)]


def interval(rows, x, name: str) -> list:
    """The interval as a line with a white halo, and the text `text` at its end."""
    ends = dict(x=x(f"{name}_low"), x2=f"{name}_high", y=band(rows))
    rules = [alt.Chart(rows).mark_rule(color=c, strokeWidth=w).encode(**ends) for c, w in ((PAPER, 4), (INK, 1.5))]
    return rules + texts(rows, x(f"{name}_high"), band(rows), bold=True, dx=7)


def swings(rows, ends, base: float, said: str, x, extent, plot: float):
    """Bars from the base to what each row does at its ends, the words `text` beyond them; `said` names the base.

    `ends`: row, at, fill and text, one or two a row; where both lie on one side of the base the farther one has its words.
    """
    bars_ = ends.assign(x=base, x2=ends["at"], end=ends["at"] > base, stroke=ends["fill"])
    off = (bars_["at"] - base).abs()
    told = (bars_.groupby("row")["end"].transform("nunique") == 2) | (off == off.groupby(bars_["row"]).transform("max"))
    rule = alt.Chart(pd.DataFrame([dict(x=base)])).mark_rule(color=INK, strokeWidth=1.5).encode(x=x("x"))
    layers = [bars(bars_, rows, x("x"), "x2"), rule]
    for end, align, dx in ((True, "left", 5), (False, "right", -5)):
        part = bars_[(bars_["end"] == end) & told]
        layers += texts(part, x("at"), band(rows), align=align, dx=dx, color=INK2, size=theme.SIZE["cell"]) if len(part) else []
    layers += texts(rows, alt.value(-8), band(rows), "label", align="right", halo=False)
    height = theme.ROW * len(rows)
    layers += note(said, float(pixels(extent, plot, log=False)[0](base)), height + 11, bold=True, align="center")
    return alt.layer(*layers, width=plot, height=height)


def latencies(rows, left: float) -> list:
    """TTFT and TPOT as right-aligned columns, with heads."""
    layers = []
    for name, x in (("ttft_s", left + 62), ("tpot_s", left + 120)):
        column = rows.assign(text=[text(name, v, bare=True) for v in rows[name]])
        layers += texts(column, alt.value(x), band(rows), align="right", color=INK2, size=theme.SIZE["cell"], halo=False)
        layers += note(f"{meta(name)['label']}, {units.word(1, 's', name)[1]}", x, -11, align="right", color=INK2, size=theme.SIZE["axis"], halo=False)
    return layers


def key(entries, left: float, right: float) -> list:
    """A key line over the bars: squares and words in the order of the marks, as (words, fill, outline)."""
    layers, at = [], 0.0
    shift = max(0.0, min(left - 4.0, sum(px(words, 11) + 24 for words, *_ in entries) - right))
    for words, fill, outline in entries:
        square = pd.DataFrame([dict(fill=fill, outline=outline, shape="square")])
        layers.append(points(square, alt.value(at - shift + 5), alt.value(-42), 90))
        layers += note(words, at - shift + 15, -42, color=INK2, size=theme.SIZE["axis"], halo=False)
        at += px(words, 11) + 24
    return layers
