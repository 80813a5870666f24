"""Charts of what moves the pivot: the date over one driver and over two, and the size of model that serving makes cheapest.

As in `charts`, each function takes a table (of `studies.pivot`) and returns a `Figure`. Dates are decimal years; one that
is never reached within the horizon is NaN.
"""

import altair as alt
import numpy as np
import pandas as pd

from infertco import units
from infertco.studies.ranges import LABELS
from infertco.views import figure, marks, tables, theme
from infertco.views.pivot_charts import Y_AXIS_PX, date


def said(field: str, value: float) -> str:
    """A value of a driver as printed; of the model's errors as a factor."""
    return units.format(value, "ratio") if field in LABELS else tables.text(field, value, digits=2)


# ------------------------------------------------------------------ what moves the date


def drivers(table, measure: str = "spend", horizon: float | None = None, width: int = theme.WIDTH["notebook"], most: int = 12) -> figure.Figure:
    """Date of the crossing at the 10th and 90th percentile of each driver, the one that moves it most first.

    Rows: field, label, date (of the base), date_low and date_high (at the ends), and the ends themselves as low and high or,
    in words, low_text and high_text. `horizon` is where a date that is never reached is drawn; if None the table's own, or the latest known.
    """
    known = pd.concat([table[name] for name in ("date", "date_low", "date_high")]).dropna()
    last = horizon or (float(table["horizon"].iloc[0]) if "horizon" in table and len(table) else float(known.max()) + 0.1 if len(known) else np.nan)
    at = {name: table[name].fillna(last) for name in ("date", "date_low", "date_high")}
    swing = (at["date_high"] - at["date_low"]).abs()
    rows = table.assign(swing=swing)[swing > 1 / 13].sort_values("swing", ascending=False, kind="stable").head(most).reset_index(drop=True)
    if not len(rows):
        return figure.nothing(table.assign(chip="", reason="no driver moves the date by a month"), width)
    rows, base = rows.assign(row=range(len(rows))), float(at["date"].iloc[0])
    ends = []
    for r in rows.to_dict("records"):
        for end in ("low", "high"):
            when, words = r[f"date_{end}"], r[f"{end}_text"] if f"{end}_text" in r else said(r["field"], r[end])
            where = last if np.isnan(when) else when
            if abs(where - base) > 1e-6:
                ends.append(
                    dict(row=r["row"], at=where, text=words + (": never" if np.isnan(when) else ""), fill=theme.CHANGE["raises" if where > base else "lowers"])
                )
    ends = pd.DataFrame(ends)
    left = int(max(marks.px(label, 12) for label in rows["label"])) + 12
    plot, room_px = width - left - 16, [max([marks.px(w, 12) for w in ends["text"][(ends["at"] > base) == side]], default=20) + 12 for side in (False, True)]
    low, high = min(ends["at"].min(), base), max(ends["at"].max(), base)
    year = max(high - low, 0.5) / max(plot - sum(room_px), 100)
    extent = low - room_px[0] * year, high + room_px[1] * year
    x = marks.year_axis(extent, plot, last=high, orient="top", domain=False, ticks=False, grid=True)
    word = "never" if table["date"].isna().iloc[0] else date(base)
    chart = marks.swings(rows, ends, base, word, x, extent, plot)
    open_ended = rows[["date_low", "date_high"]].isna().any(axis=1)
    moves = ["over " * o + units.format(s, "year", 2) for s, o in zip(rows["swing"], open_ended, strict=True)]
    first = rows.iloc[0]
    title = f"{first['label']} moves the date most, by {moves[0]} over its range"
    if len(rows) > 1 and rows["swing"].iloc[1] > 0.9 * first["swing"]:
        title = f"{first['label']} and {figure.lower(rows['label'].iloc[1])} move the date alike: by {'' if open_ended.iloc[0] else 'about '}{moves[0]} each"
    elif len(rows) > 1:
        title += f"; next {figure.lower(rows['label'].iloc[1])}, {moves[1]}"
    others, never = len(table) - len(rows), rows[["date_low", "date_high"]].isna().to_numpy().sum()
    notes = [f"{others} more move it less" if others else "", "never: not within the years looked at" if never else ""]
    lines = figure.subtitle(width, f"Inference passes training in {measure} at the 10th and 90th percentile of one driver at a time; line = base", *notes)
    when = pd.Series([date(d) for d in pd.concat([rows["date_low"], rows["date_high"]])])
    words = f"Tornado chart of the date at which inference passes training in {measure}, by driver. {title}. The base is {word}; "
    words += f"{len(rows)} drivers move it to between {date(ends['at'].min())} and {'never' if never else date(ends['at'].max())}. "
    words += "Each bar runs from the driver's 10th to its 90th percentile. Values in the table beside it."
    told = [[r[f"{end}_text"] if f"{end}_text" in r else said(r["field"], r[end]) for r in rows.to_dict("records")] for end in ("low", "high")]
    data = pd.DataFrame(
        {
            "driver": rows["label"],
            "P10": told[0],
            "P90": told[1],
            "date at P10": when[: len(rows)],
            "date at P90": when[len(rows) :].to_numpy(),
            "moves it by": moves,
        }
    )
    return figure.Figure(chart, title, lines, words, data)


def heat(table, x: str, y: str, value: str = "date", today=None, measure: str = "spend", width: int = theme.WIDTH["notebook"]) -> figure.Figure:
    """Date of the crossing over two drivers, the quarter in each cell, the sooner the darker; hollow where it is never reached.

    Rows: one a pair of the fields `x` and `y`, at most 8 x 8, with the date in `value`. `today` is a pair (x, y): the
    nearest cell is boxed and the title starts from it.
    """
    across, down = np.sort(table[x].unique()), np.sort(table[y].unique())[::-1]
    grid = table.pivot(index=y, columns=x, values=value).loc[down, across].to_numpy(float)
    i, j = ((len(down) - 1) // 2, (len(across) - 1) // 2) if today is None else (int(np.abs(down - today[1]).argmin()), int(np.abs(across - today[0]).argmin()))
    names = [[said(name, v) for v in of] for name, of in ((x, across), (y, down))]
    level = (np.nanmax(grid) - grid) / max(np.ptp(grid[np.isfinite(grid)]), 1e-9) if np.isfinite(grid).any() else grid
    fill = [theme.PAPER if v != v else theme.SEQUENTIAL[int(v * (len(theme.SEQUENTIAL) - 2) + 0.5)] for v in level.ravel()]
    cells = pd.DataFrame(dict(
        x=np.tile(names[0], len(down)), y=np.repeat(names[1], len(across)), fill=fill, label=[theme.text_on(c) for c in fill],
        stroke=[theme.NEUTRAL["axis"] if c == theme.PAPER else theme.PAPER for c in fill], text=[date(v) for v in grid.ravel()],
    ))  # fmt: skip
    labels = [tables.meta(name)["label"] for name in (x, y)]
    left = int(max(marks.px(name, 12) for name in names[1])) + 14
    plot = width - left - 24
    scales = [alt.Scale(domain=of, padding=0) for of in names]
    at_x = alt.X("x:N", sort=names[0], scale=scales[0], axis=alt.Axis(title=f"{labels[0]} →", labelAngle=0, ticks=False, domain=False))
    at_y = alt.Y("y:N", sort=names[1], scale=scales[1], axis=alt.Axis(title=f"↑ {labels[1]}", minExtent=left, maxExtent=left))
    looks = dict(fill=marks.style("fill", alt.Fill), stroke=marks.style("stroke", alt.Stroke))
    layers = [alt.Chart(cells).mark_rect(strokeWidth=1).encode(x=at_x, y=at_y, **looks)]
    layers += marks.texts(cells, at_x, at_y, color="label", halo=False, align="center", size=theme.SIZE["cell"])
    if today is not None:
        box = cells[(cells["x"] == names[0][j]) & (cells["y"] == names[1][i])]
        layers.append(alt.Chart(box[["x", "y"]]).mark_rect(fill=None, stroke=theme.INK, strokeWidth=2.5).encode(x=at_x, y=at_y))

    spans = [np.array([of[0], of[-1]]) for of in (grid[i], grid[::-1, j])]
    moved = [abs(np.diff(span)[0]) for span in spans]
    said_of = [f"from {date(a)} to {date(b)}" for a, b in spans]
    order = sorted((0, 1), key=lambda k: -np.nan_to_num(moved[k], nan=np.inf))
    title = f"Over its range {figure.lower(labels[order[0]])} takes the date {said_of[order[0]]}, {figure.lower(labels[order[1]])} {said_of[order[1]]}"
    never = int(np.isnan(grid).sum())
    if never == grid.size:
        title = "Inference passes training within the years looked at in none of the cells"
    elif max(np.nan_to_num(moved, nan=np.inf)) < 0.25:
        title = f"Neither {figure.lower(labels[0])} nor {figure.lower(labels[1])} moves the date by a quarter"
    known = grid[np.isfinite(grid)]
    notes = [
        "the sooner, the darker",
        "boxed: nearest to today's values" if today is not None else "",
        "never: not within the years looked at" if never else "",
    ]
    lines = figure.subtitle(
        width, f"Quarter in which inference passes training in {measure}, by {figure.lower(labels[0])} and {figure.lower(labels[1])}", *notes
    )
    words = f"Heat map of the quarter in which inference passes training in {measure}, over {figure.lower(labels[0])} and {figure.lower(labels[1])}. {title}. "
    words += f"The dates run from {date(known.min())} to {date(known.max())}; " if len(known) else ""
    words += f"in {never} of {grid.size} cells it is never reached. Middle paths, without intervals. Values in the table beside it."
    data = pd.DataFrame(cells["text"].to_numpy().reshape(grid.shape), columns=names[0])
    data.insert(0, labels[1], names[1])
    return figure.Figure(alt.layer(*layers, width=plot, height=36 * len(down)), title, lines, words, data)


# ------------------------------------------------------------------ how large a model to train


def two_models(table, width: int = theme.WIDTH["notebook"], height: int = 250) -> figure.Figure:
    """Cost of training and serving against the size of a model of one quality, a line a volume served, each at its least marked.

    Rows: params, served_tokens, and usd or flop.
    """
    value, base = ("usd", "USD") if "usd" in table else ("flop", "FLOP")
    rows = table[table[value] > 0].sort_values(["served_tokens", "params"], ignore_index=True)
    volumes_ = sorted(rows["served_tokens"].unique())
    tokens = lambda v: units.format(v, "token", 2) if v else "none"  # noqa: E731
    sizes = lambda v: units.format(v, "1", 2)  # noqa: E731
    best = rows.loc[rows.groupby("served_tokens")[value].idxmin()].reset_index(drop=True)
    names = [f"{tokens(v)} served" if v else "none served" for v in volumes_]
    plot = width - Y_AXIS_PX - 20 - int(max(marks.px(name + " ↑", 12) for name in names))
    x_extent, y_extent = (rows["params"].min(), rows["params"].max()), (rows[value].min() / 1.6, min(rows[value].max(), 30 * best[value].max()) * 1.3)
    x = marks.axis(alt.X, "", x_extent, title="Parameters →", grid=False)
    word = "US$" if value == "usd" else units.word(y_extent[1], base)[1]
    y = marks.axis(alt.Y, "", y_extent, base=base, title=f"↑ Training and serving, {word}", minExtent=Y_AXIS_PX, maxExtent=Y_AXIS_PX)
    to_x, (to_y, _) = marks.pixels(x_extent, plot)[0], marks.pixels(y_extent, height, down=True)
    shades = [theme.SEQUENTIAL[i] for i in np.linspace(3, len(theme.SEQUENTIAL) - 2, len(volumes_)).round().astype(int)]
    layers, places = [], []
    for volume, shade in zip(volumes_, shades, strict=True):
        line = rows[rows["served_tokens"] == volume]
        layers.append(alt.Chart(line[["params", value]]).mark_line(color=shade, strokeWidth=2.5, clip=True).encode(x=x("params"), y=y(value)))
        places.append(float(np.clip(to_y(line[value].iloc[-1]), 4, height)))
    layers.append(
        marks.points(best.assign(fill=shades, outline=marks.INK, shape="circle")[["params", value, "fill", "outline", "shape"]], x("params"), y(value), 70)
    )
    for row in best.itertuples():
        at = min(max(float(to_x(row.params)), 24), plot - 24)
        layers += marks.note(sizes(row.params), at, float(to_y(getattr(row, value))) + 15, align="center", bold=True)
    beyond = [rows[value][rows["served_tokens"] == volume].iloc[-1] > y_extent[1] for volume in volumes_]
    for name, off, place in zip(names, beyond, marks.spread(places, height), strict=True):
        layers += marks.note(name + f"{units.NBSP}↑" * bool(off), plot + 6, place, size=theme.SIZE["note"], color=marks.INK2, halo=False)
    few, many = best.iloc[0], best.iloc[-1]
    with_few = f"with {tokens(few['served_tokens'])}" if few["served_tokens"] else "with none served"
    title = f"For {tokens(many['served_tokens'])} served the cheapest model has {sizes(many['params'])} parameters, {with_few} {sizes(few['params'])}"
    if many["params"] == few["params"]:
        title = f"The cheapest model has {sizes(few['params'])} parameters whatever is served, up to {tokens(many['served_tokens'])}"
    counted = "US dollars, each phase at its own price" if value == "usd" else "FLOP"
    edge = best["params"].isin(x_extent).any()
    lines = figure.subtitle(
        width,
        f"Training and serving in {counted}, models of equal loss; both scales logarithmic; mark = least",
        "a least at the edge may lie beyond" if edge else "",
    )
    say = lambda v: units.format(v, base, 2)  # noqa: E731
    words = (
        f"Line chart of the cost of training and serving a model of one quality, in {counted}, against its size, a line a volume of tokens served. {title}. "
    )
    words += f"The least cost goes from {say(few[value])} to {say(many[value])}. By scaling laws, without intervals. Values in the table beside it."
    data = pd.DataFrame(
        {
            "tokens served": [tokens(v) for v in best["served_tokens"]],
            "cheapest size, parameters": [sizes(v) for v in best["params"]],
            "cost": [say(v) for v in best[value]],
        }
    )
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, data)
