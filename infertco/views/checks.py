"""Charts of the model itself: what a step waits for, predictions against measurements, what each term is worth.

As in `charts`, each function takes a table and returns a `Figure`.
"""

import altair as alt
import numpy as np
import pandas as pd

from infertco import units
from infertco.studies import validation
from infertco.views import figure, marks, theme

BOUND = ("compute", "memory", "network", "overhead")
ACROSS, GAP, Y_AXIS_PX = 3, 16, 44
MOST_POINTS, MOST_PANELS, WORST = 500, 4, 0.2  # WORST: share of the points drawn that are the worst of their task


def share(x) -> str:
    return units.format(x, "share")


# ------------------------------------------------------------------ what a step waits for


def bounds(table, width: int = theme.WIDTH["notebook"], height: int = 150) -> figure.Figure:
    """Shares of compute, memory, network and fixed times in a mean step over the batch, a panel a chip (up to four).

    Rows: chip by batch; the prompts read beside the answers are in the step.
    """
    names = [f"share_{part}" for part in BOUND]
    rows = figure.drawable(table, names, within_limits=False)
    if not len(rows):
        return figure.nothing(table, width)
    rows = rows[rows["chip"].isin(rows["chip"].drop_duplicates().head(MOST_PANELS))].drop_duplicates(["chip", "batch"])
    batches = sorted(rows["batch"].unique())
    labels = [units.format(b) for b in batches]
    rows = rows.assign(at=[labels[batches.index(b)] for b in rows["batch"]])
    edges = np.cumsum(np.c_[np.zeros(len(rows)), rows[names]], axis=1)
    pieces = pd.concat(
        rows[["chip", "at"]].assign(y=edges[:, i], y2=edges[:, i + 1], fill=theme.BOUNDS[part], part=part, share=[share(s) for s in rows[name]])
        for i, (part, name) in enumerate(zip(BOUND, names, strict=True))
    )
    chips = rows.drop_duplicates("chip")
    plot = (width - Y_AXIS_PX - 20 - GAP * (len(chips) - 1)) // len(chips)
    x = alt.X(
        "at:N",
        sort=labels,
        axis=alt.Axis(title="Requests in flight →", labelAngle=0, ticks=False),
        scale=alt.Scale(domain=labels, paddingInner=0.18, paddingOuter=0.1),
    )
    panels = []
    for i, chip in enumerate(chips.itertuples()):
        at = [0, 0.25, 0.5, 0.75, 1]
        axis = alt.Axis(
            values=at, labelExpr=f"{[share(v) for v in at]!r}[indexof({at!r}, datum.value)]", title=None, labels=i == 0, minExtent=Y_AXIS_PX * (i == 0)
        )
        y = alt.Y("y", type="quantitative", scale=alt.Scale(domain=[0, 1], nice=False), axis=axis)
        bars = alt.Chart(pieces[pieces["chip"] == chip.chip]).mark_bar(stroke=marks.PAPER, strokeWidth=1)
        tips = [alt.Tooltip(name, type="nominal") for name in ("at", "part", "share")]
        layers = [bars.encode(x=x, y=y, y2="y2", fill=marks.style("fill", alt.Fill), tooltip=tips)]
        layers += marks.note(chip.name, 0, -13, bold=True, halo=False)
        panels.append(alt.layer(*layers, width=plot, height=height))
    key = _key([(part.capitalize(), theme.BOUNDS[part], theme.BOUNDS[part], "square") for part in BOUND], width)
    chart = alt.vconcat(key, alt.hconcat(*panels, spacing=GAP), spacing=8)

    low, high = (rows[rows["batch"] == b] for b in (batches[0], batches[-1]))
    title = f"At batch {labels[0]} memory takes {_few(low['share_memory'])} of a step; at {labels[-1]}, compute takes {_few(high['share_compute'])}"
    scenario, others = figure.scenario_line(table, limits=False), table["chip"].nunique() - len(chips)
    gone = len(chips) * len(batches) - len(rows)
    notes = [f"{len(chips)} of {len(chips) + others} chips" if others else "", "blank: does not fit" if gone else ""]
    lines = figure.subtitle(width, "Shares of a mean step, with the prompts read in it; overhead = fixed times of kernels and engine", scenario, *notes)
    words = (f"Stacked bar charts of the shares of a step's time by batch, a panel a chip, {scenario or 'one scenario'}. {title}. Network takes up to "
             f"{share(rows['share_network'].max())}, fixed times up to {share(rows['share_overhead'].max())}. Chips: {', '.join(chips['name'])}. "
             "Modeled shares without intervals. Values in the table beside it.")  # fmt: skip
    data = rows.assign(chip=rows["name"])[["chip", "batch", *names]].round(2).reset_index(drop=True)
    return figure.Figure(chart, title, lines, words, data)


def _few(values) -> str:
    low, high = share(values.min()), share(values.max())
    return low if low == high else f"{low} to {high}"


# ------------------------------------------------------------------ predicted against measured


def predicted_measured(table, seen: str = "", width: int = theme.WIDTH["notebook"], most: int = MOST_POINTS) -> figure.Figure:
    """Predicted against measured, a square a task: the diagonal, the model's 80 % interval, a mark a row.

    Rows: those of `validation.validate`. `seen` says in the subtitle whether a fit has seen them. At most `most` marks
    are drawn; what is dropped lies inside, and every figure is made of all rows.
    """
    found = table[(table["predicted"] > 0) & (table["value"].astype(float) > 0)]
    if not len(found):
        return figure.nothing(table.assign(chip=table["hardware"], reason=table["why_not"]), width)
    found = found.assign(value=found["value"].astype(float), size=np.abs(np.log(found["predicted"] / found["value"].astype(float))))
    errors = validation.errors(found).sort_values("median", kind="stable").reset_index(drop=True)
    rooms, left = {}, most
    for i, row in enumerate(errors.sort_values("scored").itertuples()):
        rooms[row.task] = min(int(row.scored), left // (len(errors) - i))
        left -= rooms[row.task]
    drawn = {task: _thinned(found[found["task"] == task], rooms[task]) for task in errors["task"]}
    plot = (width - 20 - ACROSS * Y_AXIS_PX - (ACROSS - 1) * GAP) // ACROSS
    panels, beyond = [], 0
    for i, row in enumerate(errors.itertuples()):
        rows = found[found["task"] == row.task]
        panel, outside = _square(row, rows, drawn[row.task], plot, first=i % ACROSS == 0, last=i + ACROSS >= len(errors))
        panels.append(panel)
        beyond += outside
    makers = found["maker"].map(_maker).value_counts().index
    key = _key([(maker, theme.MAKERS[maker][0][2], theme.MAKERS[maker][0][3], theme.MAKERS[maker][2]) for maker in makers], width)
    chart = alt.vconcat(key, alt.concat(*panels, columns=ACROSS, spacing=GAP), spacing=8)

    best, worst = errors.iloc[0], errors.iloc[-1]
    title = f"Half of the predictions of {figure.lower(best.task)} are within {best['median']:.0f}% of the measured value"
    title += f", of {figure.lower(worst.task)} within {worst['median']:.0f}%" if len(errors) > 1 else ""
    out = table["why_not"].astype(str)[table["predicted"].isna()].value_counts()
    shown = sum(map(len, drawn.values()))
    notes = [
        seen[:1].upper() + seen[1:],
        f"{shown:,} of {len(found):,} rows drawn, the worst among them" if shown < len(found) else "",
        f"{beyond} beyond the frame, at its edge" if beyond else "",
        f"{out.sum():,} rows set aside, most because {figure.lower(out.index[0])} ({out.iloc[0]:,})" if len(out) else "",
    ]
    what = f"Equal logarithmic scales, each row in its own unit; line = equal, band = the model's {figure.INTERVAL}"
    inside = f"{errors['coverage'].min():.0f}% to {errors['coverage'].max():.0f}%"
    words = (f"Scatter plots of predicted against measured values, one by task, {len(found):,} published measurements. {title}. {inside} of a task's rows "
             f"lie inside the 80% interval. Makers: {', '.join(makers)}. Values in the table beside it.")  # fmt: skip
    told = {"task": errors["task"], "rows": errors["scored"]}
    told |= {f"{name} error, %" if name != "bias" else "bias, %": errors[name].round(1) for name in ("median", "mean", "bias", "p90")}
    data = pd.DataFrame(told | {"inside the interval, %": errors["coverage"].round(0)})
    return figure.Figure(chart, title, figure.subtitle(width, what, *notes), words, data)


def _square(error, rows, drawn, plot, first, last):
    """(One panel, how many of its marks lie beyond the frame); `first` of a line of panels, `last` of a column."""
    low, high = rows["value"].min(), rows["value"].max()
    extent = max(low / 10, min(low, rows["predicted"].min())) / 1.4, min(high * 10, max(high, rows["predicted"].max())) * 1.4
    at = [t for t in marks.ticks(*extent) if f"{t:e}"[0] == "1"]
    at = at[:: 1 + len(at) // 5] if len(at) > 1 else marks.ticks(*extent)
    labels = [units.axis_labels([t])[0] if t < 1e6 else units.format(t) for t in at]
    how = dict(values=at, labelExpr=f"{labels!r}[indexof({at!r}, datum.value)]", grid=True)
    scale = alt.Scale(type="log", domain=list(extent), nice=False)
    x = alt.X("value", type="quantitative", scale=scale, axis=alt.Axis(title="Measured →" if last else None, **how))
    y = lambda name: alt.Y(name, type="quantitative", scale=scale, axis=alt.Axis(title=None, minExtent=Y_AXIS_PX, **how))  # noqa: E731
    down, up = ((rows[f"predicted_{end}"] / rows["predicted"]).median() for end in ("low", "high"))
    line = pd.DataFrame(dict(value=extent))
    line = line.assign(low=line["value"] / up, high=line["value"] / down)
    looks = {maker: theme.MAKERS[maker] for maker in drawn["maker"].map(_maker).unique()}
    named = [drawn[name].astype(str) for name in ("hardware", "model", "serving_engine") if name in drawn]
    data = pd.DataFrame(dict(
        value=drawn["value"], y=drawn["predicted"].clip(*extent), maker=drawn["maker"].map(_maker), opacity=0.75,
        run=[", ".join(filter(None, words)) for words in zip(*named, strict=True)], of=drawn["metric"],
        measured=[f"{v:.3g}" for v in drawn["value"]], predicted=[f"{v:.3g}" for v in drawn["predicted"]],
        source=drawn["source_id"] if "source_id" in drawn else "",
    ))  # fmt: skip
    data = data.assign(
        fill=[looks[m][0][2] for m in data["maker"]], outline=[looks[m][0][3] for m in data["maker"]], shape=[looks[m][2] for m in data["maker"]]
    )
    tips = [alt.Tooltip(name, type="nominal") for name in ("run", "of", "measured", "predicted", "source")]
    layers = [
        alt.Chart(line).mark_area(color=theme.NEUTRAL["mark"], opacity=0.4, clip=True).encode(x=x, y=y("low"), y2="high"),
        marks.points(data, x, y("y"), 26),
        alt.Chart(line).mark_line(color=marks.INK, strokeWidth=1, clip=True).encode(x=x, y=y("value")),
        alt.Chart(data).mark_point(opacity=0, size=60).encode(x=x, y=y("y"), tooltip=tips),
    ]
    unit = _unit(rows["metric"])
    layers += marks.note(error.task[0].upper() + error.task[1:] + (f", {unit}" if unit else ""), 0, -29, bold=True, halo=False)
    heading = f"median {error.median:.0f}%, inside {error.coverage:.0f}%"
    layers += marks.note(heading, 0, -13, color=marks.INK2, size=theme.SIZE["axis"], halo=False)
    layers += marks.note(f"n {error.scored:,.0f}", plot - 4, plot - 9, color=marks.INK2, size=theme.SIZE["axis"], align="right")
    if first:
        layers += marks.note("↑ Predicted", 4, 9, color=marks.INK2, size=theme.SIZE["axis"])
    outside = ~drawn["predicted"].between(*extent)
    return alt.layer(*layers, width=plot, height=plot), int(outside.sum())


def _thinned(rows, most):
    """At most that many rows: the worst, and the others evenly along the measured value."""
    if len(rows) <= most:
        return rows
    ordered = rows.sort_values("size", ascending=False, kind="stable")
    worst, others = ordered.iloc[: int(WORST * most)], ordered.iloc[int(WORST * most) :].sort_values("value", kind="stable")
    return pd.concat([worst, others.iloc[np.linspace(0, len(others) - 1, most - len(worst)).round().astype(int)]])


def _maker(vendor: str) -> str:
    return vendor if vendor in theme.MAKERS else "others"


def _unit(metrics) -> str:
    """The unit that all these metrics share, or nothing."""
    words = {"ms": "ms", "tokens_per_s": "tokens/s", "samples_per_s": "samples/s"}
    found = {next((unit for end, unit in words.items() if f"_{end}" in f"_{metric}"), "") for metric in set(metrics)}
    return found.pop() if len(found) == 1 else ""


def _key(entries, width: int):
    """Marks and words in one line, as (words, fill, outline, shape)."""
    layers, at = [], 0.0
    for words, *look in entries:
        mark = pd.DataFrame([dict(zip(("fill", "outline", "shape"), look, strict=True))])
        layers += [
            marks.points(mark, alt.value(at + 6), alt.value(7), 60),
            *marks.note(words, at + 16, 7, color=marks.INK2, size=theme.SIZE["axis"], halo=False),
        ]
        at += marks.px(words, theme.SIZE["axis"]) + 30
    return alt.layer(*layers, width=width - 90, height=14)


# ------------------------------------------------------------------ what each term is worth


def ablation(table, width: int = theme.WIDTH["notebook"]) -> figure.Figure:
    """Median error by task as terms are added to the model: a row a step, a panel a task, on one scale that ends at 100 %.

    Rows: step by task in the order to draw, with `median` in per cent (as `validation.errors` gives it).
    """
    steps, tasks = list(dict.fromkeys(table["step"])), list(dict.fromkeys(table["task"]))
    wide = table.pivot(index="step", columns="task", values="median").loc[steps, tasks] / 100
    names = pd.DataFrame(dict(row=range(len(steps)), name=steps))
    left, height = int(max(marks.px(name, 12) for name in steps)) + 10, 24 * len(steps)
    across = min(len(tasks), MOST_PANELS)
    plot = (width - left - 20 - GAP * (across - 1)) // across
    most = min(float(np.nanmax(wide)), 1.0)
    x = marks.axis(alt.X, "share", (0.0, most * plot / (plot - 48)), log=False, domain=False, ticks=False, labels=False, grid=False, title=None)
    panels = []
    for task in tasks:
        rows = names.assign(value=wide[task].to_numpy())
        rows = rows.assign(x=rows["value"].clip(upper=most), text=[share(v) + (" →" if v > most else "") if v == v else "" for v in rows["value"]])
        color = [theme.NEUTRAL["mark"]] * (len(steps) - 1) + [theme.NEUTRAL["accent"]]
        data = rows.assign(fill=color, stroke=color)
        layers = [marks.bars(data, names, x("x")), *marks.texts(rows, x("x"), marks.band(names), dx=5, halo=False)]
        heading = task[0].upper() + task[1:]
        words = [heading] if marks.px(heading) <= plot else heading.rsplit(" ", 1)
        for i, line in enumerate(reversed(words)):
            layers += marks.note(line, 0, -12 - 15 * i, bold=True, halo=False)
        if len(panels) % across == 0:
            layers += marks.texts(names, alt.value(-8), marks.band(names), "name", align="right", halo=False)
        panels.append(alt.layer(*layers, width=plot, height=height))

    gain = (wide.iloc[0] / wide.iloc[-1]).idxmax()
    path = wide[gain].dropna()
    largest = (path.shift() / path).idxmax()
    name = figure.lower(largest.removeprefix("+ "))
    title = f"Term by term the median error of {figure.lower(gain)} falls from {share(path.iloc[0])} to {share(path.iloc[-1])}; the largest step: {name}"
    what = "Median error. Each row adds a term; nothing is fitted anew, which makes early rows look worse"
    words = (f"Bar charts of the median error by model step, a panel a task. {title}. That step alone takes it from {share(path.shift()[largest])} to "
             f"{share(path[largest])}. At the last step errors run from {share(wide.iloc[-1].min())} ({wide.iloc[-1].idxmin()}) "
             f"to {share(wide.iloc[-1].max())} ({wide.iloc[-1].idxmax()}). Values in the table beside it.")  # fmt: skip
    data = (100 * wide).round(1).reset_index().rename(columns={task: f"{task}, %" for task in tasks})
    data.columns.name = None
    chart = alt.vconcat(*(alt.hconcat(*panels[i : i + across], spacing=GAP) for i in range(0, len(panels), across)), spacing=GAP)
    return figure.Figure(chart, title, figure.subtitle(width, what), words, data)
