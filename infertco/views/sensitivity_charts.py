"""Charts of sensitivity: what memory buys, what moves an answer, how wide it is, who beats whom.

As in `charts`, each function takes a table (of `studies.sensitivity` or `studies.hbm`) and returns a `Figure`.
"""

import re

import altair as alt
import numpy as np
import pandas as pd

from infertco import units
from infertco.studies.ranges import LABELS
from infertco.views import figure, marks, theme
from infertco.views.tables import meta, text, unit

USD = "usd_per_mtok"
CELL = 36  # px of a row of cells
MOST_ROWS = 12
NEAR = 0.2  # of a log: how far a chip may be from the cell it is boxed in
WORDS_PX, ENDS_PX = 118, 78


def _share(x) -> str:
    return units.format(x, "share")


def _ends(low, high) -> str:
    return units.span(max(low, 0.0), high, "share", None, "–")


def _less(x) -> str:
    """A change of a cost in words: "33% less"."""
    return "nothing" if abs(x) < 0.005 else f"{_share(abs(x))} {'less' if x < 0 else 'more'}"


def said(field: str, value: float) -> str:
    """A value of an uncertain input as printed; of the model's errors as a factor."""
    return units.format(value, "ratio") if field in LABELS else text(field, value, digits=2)


# ------------------------------------------------------------------ memory


def heat(table, today, chips=None, value: str = USD, width: int = theme.WIDTH["notebook"]) -> figure.Figure:
    """Cost (or another output) over bandwidth and capacity, a number a cell; cells of real chips boxed, what is not feasible hollow.

    Parameters
    ----------
    table : DataFrame
        Rows of `hbm.what_if`, one scenario at every bandwidth and capacity.
    today : (bandwidth, capacity)
        The cell the title starts from, the nearest of the table.
    chips : DataFrame
        hbm_bytes_per_s and hbm_bytes, index = chip: boxed where a cell is near.
    """
    x_of, y_of = "hbm_bytes_per_s", "hbm_bytes"
    across, down = np.sort(table[x_of].unique()), np.sort(table[y_of].unique())[::-1]
    names = [[re.sub(r"\.0+(?=\D)", "", text(name, v, digits=3)) for v in of] for name, of in ((x_of, across), (y_of, down))]
    column, row = np.searchsorted(across, table[x_of]), len(down) - 1 - np.searchsorted(down[::-1], table[y_of])
    grid = np.full((len(down), len(across)), np.nan)
    good = (table["feasible"] & table[value].notna()).to_numpy()
    grid[row, column] = np.where(good, table[value], np.nan)
    if np.isnan(grid).all():
        return figure.nothing(table.assign(chip=""), width)
    less = meta(value)["better"] == "less"
    level = np.log(grid) * (-1 if less else 1)
    level = (level - np.nanmin(level)) / max(np.ptp(level[~np.isnan(level)]), 1e-9)
    fill = [theme.SEQUENTIAL[int(v * (len(theme.SEQUENTIAL) - 1) + 0.5)] if v == v else theme.PAPER for v in level[row, column]]
    cells = pd.DataFrame(dict(
        x=[names[0][i] for i in column], y=[names[1][i] for i in row], fill=fill, label=[theme.text_on(c) for c in fill],
        stroke=np.where(good, theme.PAPER, theme.NEUTRAL["axis"]), text=[text(value, v) if ok else "–" for v, ok in zip(table[value], good, strict=True)],
        layout=[f"{v:.0f} chips" for v in table["tensor_parallel"]], batch=[f"{v:,.0f}" for v in table["batch"]],
        bound=table["bound"].astype(str) if "bound" in table else "",
    ))  # fmt: skip
    plot, high = width - 112, CELL * len(down)
    x = alt.X(
        "x:N",
        sort=names[0],
        scale=alt.Scale(domain=names[0], padding=0),
        axis=alt.Axis(title=f"{meta(x_of)['label']} of one chip →", labelAngle=0, ticks=False),
    )
    y = alt.Y("y:N", sort=names[1], scale=alt.Scale(domain=names[1], padding=0), axis=alt.Axis(title=f"↑ {meta(y_of)['label']} of one chip", minExtent=60))
    tips = [alt.Tooltip(name, type="nominal") for name in ("text", "layout", "batch", "bound")]
    looks = dict(fill=marks.style("fill", alt.Fill), stroke=marks.style("stroke", alt.Stroke))
    layers = [alt.Chart(cells).mark_rect(strokeWidth=1).encode(x=x, y=y, tooltip=tips, **looks)]
    boxed = _boxed(chips, across, down) if chips is not None else {}
    raised = [(cells["x"] == names[0][i]) & (cells["y"] == names[1][j]) for i, j in boxed]
    lifted = np.any(raised, axis=0) if raised else np.zeros(len(cells), bool)
    for part, dy in ((cells[~lifted], 0), (cells[lifted], 6)):
        layers += marks.texts(part, x, y, color="label", halo=False, align="center", dy=dy) if len(part) else []
    if boxed:
        box = pd.DataFrame([dict(x=names[0][i], y=names[1][j], text=_fitting(found, plot / len(across))) for (i, j), found in boxed.items()])
        box["label"] = [cells["label"][(cells["x"] == b.x) & (cells["y"] == b.y)].iloc[0] for b in box.itertuples()]
        layers.append(alt.Chart(box).mark_rect(fill=None, stroke=theme.INK, strokeWidth=2).encode(x=x, y=y))
        layers += marks.texts(box, x, y, color="label", bold=True, halo=False, align="center", dy=-8, size=theme.SIZE["source"])
    i, j = int(np.abs(np.log(across / today[0])).argmin()), int(np.abs(np.log(down / today[1])).argmin())
    wider, bigger = grid[j, -1] / grid[j, i] - 1, grid[0, i] / grid[j, i] - 1
    label = figure.lower(meta(value)["label"].replace("Cost of output tokens", "cost of a token"))
    more = [units.format(v, "ratio") for v in (across[-1] / across[i], down[0] / down[j])]
    title = f"{more[0]} the bandwidth makes the {label} {_less(wider)}, {more[1]} the capacity {_less(bigger)}"
    title = title.replace("makes the cost of a token nothing", "leaves the cost of a token").replace("makes the cost of a token", "makes a token cost")
    what = f"{meta(value)['label']}, {units.PLURAL.get(unit(value), unit(value)).replace('USD', 'US$')}; layout, widths and batch chosen anew in each cell"
    lines = figure.subtitle(
        width,
        what,
        figure.scenario_line(table),
        "– = not within the limits" if not good.all() else "",
        "boxed: nearest cell of a real chip, +n: and n more" if boxed else "",
    )
    words = (f"Heat map of {label} over memory bandwidth and capacity of one chip, {figure.scenario_line(table) or 'one scenario'}. {title}. From "
             f"{text(value, np.nanmin(grid))} to {text(value, np.nanmax(grid))}. Estimates without intervals. Values in the table beside it.")  # fmt: skip
    data = table[[x_of, y_of, value, *(c for c in ("tensor_parallel", "weight_bits", "kv_bits", "batch", "bound", "batch_limit") if c in table)]].reset_index(
        drop=True
    )
    return figure.Figure(alt.layer(*layers, width=plot, height=high), title, lines, words, data)


def _fitting(names, wide) -> str:
    """Names side by side, or the first and how many more, in a cell."""
    words = " · ".join(names)
    return words if marks.px(words, theme.SIZE["source"]) < wide else names[0] + (f" +{len(names) - 1}" if len(names) > 1 else "")


def _boxed(chips, across, down):
    """{(column, row): names} of the chips that have a cell near them."""
    found = {}
    for chip in chips.assign(short=figure.looks(chips.index)["name"].str.removesuffix(" (announced)")).itertuples():
        off = [np.abs(np.log(of / at)) for of, at in ((across, chip.hbm_bytes_per_s), (down, chip.hbm_bytes))]
        if max(o.min() for o in off) < NEAR:
            found.setdefault(tuple(int(o.argmin()) for o in off), []).append(chip.short)
    return found


def memories(table, labeled=(), width: int = theme.WIDTH["notebook"], height: int = 330) -> figure.Figure:
    """Bandwidth against capacity of every chip's memory, by maker; a dotted line joins memories that are read through in the same time.

    Rows: `hbm.memories`; those in `labeled` carry their names.
    """
    rows = table.reset_index()
    rows = rows.drop(columns="name").join(figure.looks(rows["chip"]), on="chip")
    extent = (rows["hbm_bytes"].min() / 2, rows["hbm_bytes"].max() * 2.2), (rows["hbm_bytes_per_s"].min() / 2, rows["hbm_bytes_per_s"].max() * 2)
    plot = width - 66
    x = marks.axis(alt.X, "hbm_bytes", extent[0], title="Capacity of one chip, TB →")
    y = marks.axis(alt.Y, "hbm_bytes_per_s", extent[1], title="↑ Bandwidth of one chip, TB/s", minExtent=44)
    (to_x, _), (to_y, _) = marks.pixels(extent[0], plot), marks.pixels(extent[1], height, down=True)
    layers = []
    for seconds in (1e-6, 1e-3, 1e-2, 0.1, 1.0):
        low = max(extent[0][0], extent[1][0] * seconds)
        high = min(extent[0][1], extent[1][1] * seconds)
        if low < high:
            line = pd.DataFrame(dict(x=[low, high], y=[low / seconds, high / seconds]))
            layers.append(
                alt.Chart(line).mark_line(color=theme.NEUTRAL["axis"], strokeWidth=1, strokeDash=theme.DASH["drop"], clip=True).encode(x=x("x"), y=y("y"))
            )
            at = to_x(high), to_y(high / seconds)
            layers += marks.note(
                units.format(seconds, "s"), min(at[0], plot - 4) - 4, at[1] + 9, color=theme.NEUTRAL["muted"], align="right", size=theme.SIZE["axis"]
            )
    rows["opacity"] = np.where(rows["chip"].isin(labeled), 1.0, theme.DOUBTFUL_OPACITY)
    layers.append(marks.points(rows, x("hbm_bytes"), y("hbm_bytes_per_s"), 60))
    told = rows[rows["chip"].isin(labeled)].reset_index(drop=True)
    if len(told):
        told["name"] = told["chip"].map(figure.looks(told["chip"])["name"])
    if len(told):
        wide = np.array([marks.px(name) + 12 for name in told["name"]])
        at_x, at_y = to_x(told["hbm_bytes"]), to_y(told["hbm_bytes_per_s"])
        left = at_x + wide > plot
        side = marks.aside(at_y, np.where(left, at_x - wide, at_x), wide, height - 6)
        for part in (False, True):
            mine = told[left == part].assign(at=marks.pixels(extent[1], height, down=True)[1](side[left == part]))
            layers += (
                marks.texts(mine, x("hbm_bytes"), y("at"), "name", color="label", dx=-9 if part else 9, align="right" if part else "left") if len(mine) else []
            )
    median = rows.groupby("kind")["sweep_s"].median()
    shown = [kind for kind in ("SRAM", "HBM", "GDDR", "LPDDR") if kind in median]
    title = "To read the whole memory once takes " + ", ".join(f"{units.format(median[kind], 's', digits=2)} in {kind}" for kind in shown)
    lines = figure.subtitle(
        width, "Both scales logarithmic; dotted: the same time to read all of it once; title: medians", f"{len(rows)} chips"
    )
    words = (f"Scatter plot of memory bandwidth against capacity, {len(rows)} chips. {title}. From {text('hbm_bytes_per_s', rows['hbm_bytes_per_s'].min())} to "
             f"{text('hbm_bytes_per_s', rows['hbm_bytes_per_s'].max())}. Makers' figures, without intervals. Values in the table beside it.")  # fmt: skip
    data = (
        rows[rows["chip"].isin(labeled)]
        .assign(chip=lambda t: t["name"])[["chip", "kind", "hbm_bytes", "hbm_bytes_per_s", "sweep_s"]]
        .sort_values("sweep_s", ignore_index=True)
    )
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, data)


# ------------------------------------------------------------------ what moves the answer


def tornado(table, output: str = USD, width: int = theme.WIDTH["notebook"], most: int = MOST_ROWS) -> figure.Figure:
    """An output at the 10th and 90th percentile of each input, widest swing first; colored by what it does to the output.

    Rows: `sensitivity.tornado`. At the ends of a bar stands the value of the input.
    """
    known = table[table["swing"].notna()]
    rows = known[known["swing"] > 1.005].head(most).reset_index(drop=True)
    if not len(rows):
        return figure.nothing(table.assign(chip="", reason=table["reason"]), width)
    rows, base = rows.assign(row=range(len(rows))), rows["base"].iloc[0]
    color = theme.CHANGE["raises"], theme.CHANGE["lowers"]
    bars = []
    for r in rows.itertuples():
        for at, value in ((r.at_p10, r.p10), (r.at_p90, r.p90)):
            if at == at:
                bars.append(dict(row=r.row, at=at, fill=color[0] if at > base else color[1], text=said(r.field, value)))
    bars = pd.DataFrame(bars)
    left = int(max(marks.px(label, 12) for label in rows["label"])) + 12
    plot = width - left - 16
    low, high = min(bars["at"].min(), base), max(bars["at"].max(), base)
    room = (high - low) / max(plot - 2 * ENDS_PX, 100) * ENDS_PX
    extent = max(low - room, 0.0), high + room
    x = marks.axis(alt.X, output, extent, log=False, orient="top", domain=False, ticks=False, title=None)
    chart = marks.swings(rows, bars, base, text(output, base), x, extent, plot)
    first, others = rows.iloc[0], len(known) - len(rows)
    title = f"{first['label']} moves the answer most: {units.format(first['swing'], 'ratio')} from one end of its range to the other"
    if len(rows) > 1:
        title += f"; next {figure.lower(rows['label'].iloc[1])}, {units.format(rows['swing'].iloc[1], 'ratio')}"
    what = f"{meta(output)['label']} at the 10th and 90th percentile of one input at a time, layout and batch chosen anew; line = base"
    lines = figure.subtitle(
        width,
        what,
        f"{others} more inputs move it less" if others else "",
        f"{len(table) - len(known)} without a range or an end out of reach" if len(known) < len(table) else "",
    )
    words = (f"Tornado chart of {figure.lower(meta(output)['label'])} by input. {title}. "
             f"From {text(output, bars['at'].min())} to {text(output, bars['at'].max())} "
             f"around {text(output, base)}. Values in the table beside it.")  # fmt: skip
    data = rows.assign(input=rows["label"], p10=[said(f, v) for f, v in zip(rows["field"], rows["p10"], strict=True)],
                       p90=[said(f, v) for f, v in zip(rows["field"], rows["p90"], strict=True)])  # fmt: skip
    data = data[["input", "p10", "p90"]].assign(
        **{f"{output} at p10": [text(output, v) for v in rows["at_p10"]], f"{output} at p90": [text(output, v) for v in rows["at_p90"]]}
    )
    return figure.Figure(chart, title, lines, words, data)


def sobol(table, output: str = USD, width: int = theme.WIDTH["notebook"], most: int = 8) -> figure.Figure:
    """Share of the variance that each input explains: dark alone, light with the others; a whisker is the sampling error.

    Rows: `sensitivity.sobol`. Inputs whose index is within its own error are left out and counted.
    """
    sure = table[table["total"] > 2 * (table["total_high"] - table["total_low"]) / 2]
    rows = sure[sure["total"] > 0.01].head(most).reset_index(drop=True)
    rows = (rows if len(rows) else table.head(1)).assign(row=lambda t: range(len(t)))
    left = int(max(marks.px(label, 12) for label in rows["label"])) + 12
    plot, height = width - left - 16, theme.ROW * len(rows)
    extent = 0.0, float(rows["total_high"].max()) * plot / (plot - 60)
    x = marks.axis(alt.X, "share_compute", extent, log=False, orient="top", domain=False, ticks=False, title=None)
    light, dark = theme.SEQUENTIAL[2], theme.SEQUENTIAL[5]
    data = rows.assign(light=light, dark=dark, alone=rows["first"].clip(lower=0), text=[_share(v) for v in rows["total"]])
    layers = [marks.bars(data, rows, x("total"), fill="light", stroke="light"), marks.bars(data, rows, x("alone"), fill="dark", stroke="dark")]
    for color, size in ((marks.PAPER, 4), (marks.INK, 1.5)):
        layers.append(alt.Chart(data).mark_rule(color=color, strokeWidth=size).encode(x=x("total_low"), x2="total_high", y=marks.band(rows)))
    layers += marks.texts(data, x("total_high"), marks.band(rows), bold=True, dx=7) + marks.texts(
        rows, alt.value(-8), marks.band(rows), "label", align="right", halo=False
    )
    first, alone = rows.iloc[0], table["first"].clip(lower=0).sum()
    title = f"{first['label']} explains {_share(first['total'])} of how wide the answer is"
    title += f", {figure.lower(rows['label'].iloc[1])} {_share(rows['total'].iloc[1])}" if len(rows) > 1 else ""
    what = f"Share of the variance of log {figure.lower(meta(output)['label'])}; dark = alone, light = with others; whisker = 80% interval of the estimate"
    lines = figure.subtitle(width, what, f"alone they add up to {_share(alone)}", f"{len(table) - len(rows)} more below 1% or within their own error")
    words = (f"Bar chart of Sobol indices by input. {title}. First-order indices add up to {_share(alone)}. Whiskers are the error of the estimate. "
             "Values in the table beside it.")  # fmt: skip
    told = pd.DataFrame({"input": rows["label"], "alone": [_share(v) for v in data["alone"]], "with others": data["text"],
                         "with others, 80%": list(map(_ends, rows["total_low"], rows["total_high"]))})  # fmt: skip
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, told)


# ------------------------------------------------------------------ how wide it is, who wins


def spread(table, alone=None, width: int = theme.WIDTH["notebook"], most: int = MOST_ROWS) -> figure.Figure:
    """The middle of each chip's draws and the 80 % of them, cheapest first; in grey the model's own error alone; odds of being the best.

    Rows: `sensitivity.monte_carlo` of chips, one output; `alone`: the same with no fact drawn. An end that is not within
    the limits has an open whisker.
    """
    output = table["output"].iloc[0]
    rows = table[table["p50"].notna()].sort_values("p50", ascending=meta(output)["better"] == "less", kind="stable").head(most).reset_index(drop=True)
    rows = rows.join(figure.looks(rows["chip"].astype(str)), on="chip").assign(row=lambda t: range(len(t)))
    left, height = marks.names_px(rows), theme.ROW * len(rows)
    plot = width - left - WORDS_PX
    rows["high"], rows["low"] = rows["p90"].fillna(3 * rows["p50"]), rows["p10"].fillna(rows["p50"] / 3)
    extent = rows["low"].min() / 1.15, rows["high"].max() * 1.15
    x = marks.axis(alt.X, output, extent, orient="top", domain=False, ticks=False, title=None)
    layers = []
    if alone is not None:
        grey = rows.merge(alone[["chip", "p10", "p90"]].astype({"chip": str}), on="chip", suffixes=("", "_alone"))
        grey = grey[grey["p10_alone"].notna() & grey["p90_alone"].notna()]
        layers.append(
            alt.Chart(grey)
            .mark_bar(height=0.5 * theme.ROW, color=theme.NEUTRAL["mark"], opacity=0.6)
            .encode(x=x("p10_alone"), x2="p90_alone", y=marks.band(rows))
        )
    layers.append(alt.Chart(rows).mark_rule(color=marks.INK, strokeWidth=1.5).encode(x=x("low"), x2="high", y=marks.band(rows)))
    layers += [marks.points(rows, x("p50"), marks.band(rows), 90), *marks.names(rows)]
    for words, name, at in (("Median", "p50", plot + 40), ("Best, share", "best", plot + WORDS_PX - 8)):
        told = rows.assign(text=[text(output, v) if name == "p50" else percent(v) for v in rows[name]])
        layers += marks.texts(told, alt.value(at), marks.band(rows), align="right", color=marks.INK2, size=theme.SIZE["cell"], halo=False)
        layers += marks.note(words, at, -11, align="right", color=marks.INK2, size=theme.SIZE["axis"], halo=False)
    first = rows.iloc[0]
    factor = units.format(np.sqrt(first["high"] / first["low"]), "ratio")[:-1]
    winner = table.loc[table["best"].idxmax()]
    name = figure.looks([str(winner["chip"])])["name"].iloc[0].replace(" ", units.NBSP)
    known = "its cost is known to a factor of" if winner["chip"] == first["chip"] else "costs are known to a factor of about"
    title = f"{name} is the best in {percent(winner['best'])} of the draws; {known} {factor} either way"
    missed = (table["infeasible"] > 0.0005).sum()
    what = f"{meta(output)['label']}, {unit(output).replace('USD', 'US$')}, logarithmic; mark = median, whisker = 80% of the draws, prices and model"
    lines = figure.subtitle(
        width, what + ("; grey = the model's error alone" if alone is not None else ""),
        f"{missed} with draws outside the limits, up to {percent(table['infeasible'].max())}, counted as worst" if missed else "",
        f"best {len(rows)} of {len(table)}" if len(rows) < len(table) else "",
    )  # fmt: skip
    words = (f"Interval chart of {figure.lower(meta(output)['label'])} by chip. {title}. "
             f"Medians from {text(output, rows['p50'].min())} to {text(output, rows['p50'].max())}. "
             "Whiskers hold 80% of the draws. Values in the table beside it.")  # fmt: skip
    data = pd.DataFrame({"chip": rows["name"], **{name: [text(output, v) for v in rows[name]] for name in ("p10", "p50", "p90")},
                         "best": [percent(v) for v in rows["best"]], "outside the limits": [percent(v) for v in rows["infeasible"]]})  # fmt: skip
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, data)


def percent(share) -> str:
    """A share of draws in per cent, never a certain one that is not."""
    if share != share:
        return units.MISSING
    return "<1%" if 0 < share < 0.01 else ">99%" if 0.99 < share < 1 else f"{100 * share:.0f}%"


def odds(matrix, width: int = theme.WIDTH["notebook"]) -> figure.Figure:
    """Probability that the chip of a row beats that of a column, in per cent a cell; best first.

    Rows and columns: `sensitivity.odds`, at most ten.
    """
    order = matrix.mean(axis=1).sort_values(ascending=False, kind="stable").index[:10]
    grid = matrix.loc[order, order]
    named = figure.looks(order)["name"].tolist()
    cells = pd.DataFrame([
        dict(x=named[j], y=named[i], p=grid.iloc[i, j], text="" if i == j else percent(grid.iloc[i, j])) for i in range(len(order)) for j in range(len(order))
    ])  # fmt: skip
    shades = theme.DIVERGING
    cells["fill"] = [theme.PAPER if p != p else shades[int(p * (len(shades) - 1) + 0.5)] for p in cells["p"]]
    cells["label"] = [theme.text_on(c) for c in cells["fill"]]
    left = int(max(marks.px(name, 12) for name in named)) + 8
    plot = width - left - 20
    y = alt.Y("y:N", sort=named, scale=alt.Scale(domain=named, padding=0), axis=alt.Axis(title=None, minExtent=left, maxExtent=left))
    narrow = plot / len(named) < max(marks.px(name, 12) for name in named)
    number = {name: f"{i + 1}" for i, name in enumerate(named)} if narrow else {}
    shown = [number.get(name, name) for name in named]
    if narrow:
        y = alt.Y(
            "y:N",
            sort=[f"{name}  {number[name]}" for name in named],
            scale=alt.Scale(padding=0),
            axis=alt.Axis(title=None, minExtent=left + 16, maxExtent=left + 16),
        )
        cells = cells.assign(y=[f"{name}  {number[name]}" for name in cells["y"]], x=[number[name] for name in cells["x"]])
        plot -= 16
    x = alt.X("x:N", sort=shown, scale=alt.Scale(domain=shown, padding=0), axis=alt.Axis(title=None, orient="top", labelAngle=0, ticks=False, domain=False))
    rects = alt.Chart(cells).mark_rect(stroke=theme.PAPER, strokeWidth=1).encode(x=x, y=y, fill=marks.style("fill", alt.Fill))
    layers = [rects, *marks.texts(cells, x, y, color="label", halo=False, align="center")]
    upper = grid.to_numpy()[np.triu_indices(len(order), 1)]
    open_pairs = int(((upper > 0.2) & (upper < 0.8)).sum())
    title = f"Of {len(upper)} pairs of chips {open_pairs} are open: neither wins in four of five draws"
    title = title if len(upper) > 1 else f"{named[0]} beats {named[1]} in {percent(upper[0])} of the draws"
    lines = figure.subtitle(
        width, "Share of the draws in which the chip of the row costs less than that of the column; prices, shares and the model's errors drawn together"
    )
    words = (
        f"Matrix of the probability that one chip beats another, {len(named)} chips. {title}. Best first: {', '.join(named)}. Values in the table beside it."
    )
    data = grid.map(lambda p: "" if p != p else percent(p)).set_axis(shown, axis=1).reset_index(drop=True)
    data.insert(0, "chip", [f"{n}  {number[n]}" if narrow else n for n in named])
    return figure.Figure(alt.layer(*layers, width=plot, height=26 * len(named)), title, lines, words, data)
