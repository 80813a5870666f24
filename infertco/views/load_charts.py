"""Charts of a service under load: what users wait as traffic grows, what drafting gains as the batch grows.

As in `charts`, each function takes a table and returns a `Figure`; each draws one deployment.
"""

import altair as alt
import numpy as np
import pandas as pd

from infertco import units
from infertco.studies import load
from infertco.views import figure, marks, theme
from infertco.views.tables import meta, text, unit

Y_AXIS_PX, ENDS_PX, GAP = 40, 40, 16
ALSO = ("load", "requests_per_s", "ttft_p95_s", "tpot_p95_s", "saturation_requests_per_s")
FAR = 40  # the largest wait drawn over the least; what is longer leaves the frame
PANELS = dict(ttft_s="ttft_slo_s", tpot_s="tpot_slo_s")


def share(x) -> str:
    return units.format(x, "share")


# ------------------------------------------------------------------ latency against load


def load_curve(table, width: int = theme.WIDTH["notebook"], height: int = 230) -> figure.Figure:
    """TTFT and TPOT, mean and 95th percentile, against the load of one replica; the knee, and the last load within the limits.

    Rows: those of `load.curve`; the first chip that is served is drawn, in its first layout.
    """
    rows = figure.drawable(table, ["ttft_s", "tpot_s"], within_limits=False, also=ALSO)
    if not len(rows):
        return figure.nothing(table, width)
    rows = rows[(rows["chip"] == rows["chip"].iloc[0]) & (rows["saturation_requests_per_s"] == rows["saturation_requests_per_s"].iloc[0])]
    points = load.knee(table.loc[rows.index]).set_index("point")
    knee, last = points.loc["knee"], points.loc["limit"]
    limits = {name: figure.shared(table, slo) for name, slo in PANELS.items()}
    plot = (width - 20 - 2 * (Y_AXIS_PX + ENDS_PX) - GAP) // 2
    panels = [_waits(rows, name, limits[name], knee, last, plot, height) for name in PANELS]

    first, level = rows.iloc[0], _level(table)
    chip = first["name"].replace(" ", units.NBSP)
    limited = [name for name in PANELS if limits[name]]
    title = f"{chip} serves most for its wait at {share(knee['load'])} of saturation"
    if limited and last["load"] == last["load"]:
        title = f"{chip} meets the limits at {level} up to {share(last['load'])} of saturation; its knee is at {share(knee['load'])}"
    elif limited:
        title = f"{chip} misses the limits at {level} at any load drawn; its knee is at {share(knee['load'])} of saturation"
    scenario, others = figure.scenario_line(table), table["chip"].nunique() - 1
    layout = f"tensor parallel {first['tensor_parallel']:.0f}" if "tensor_parallel" in rows else ""
    most = text("requests_per_s", first["saturation_requests_per_s"], digits=2)
    notes = [scenario, layout, f"saturated at {most}", f"1 of {others + 1} chips" if others else ""]
    what = f"Thick: mean, with its {figure.INTERVAL}; thin: 95th percentile. Random arrivals; logarithmic waits"
    lines = figure.subtitle(width, what, *notes)
    at_knee = [text(name, knee[name], digits=2) for name in ("ttft_s", "ttft_p95_s", "tpot_s", "tpot_p95_s")]
    words = f"Line charts of TTFT and TPOT against load on {first['name']}, {scenario or 'one scenario'}. {title}. "
    words += "At the knee TTFT is {} on average and {} at the 95th percentile, TPOT {} and {}. ".format(*at_knee)
    words += "Bands are 80% intervals of the means. Values in the table beside it."
    marked = rows[rows["load"].isin([rows["load"].iloc[0], last["load"], knee["load"], rows["load"].iloc[-1]])]
    columns = ["load", "requests_per_s", "ttft_s", "ttft_p95_s", "tpot_s", "tpot_p95_s", "usd_per_mtok"]
    data = table.loc[marked.index, [c for c in columns if c in table]].assign(chip=marked["name"])
    data["load"] = [share(x) for x in data["load"]]
    return figure.Figure(alt.hconcat(*panels, spacing=GAP), title, lines, words, data[["chip", *data.columns[:-1]]].reset_index(drop=True))


def _level(table) -> str:
    """The quantile that the limits apply to, in words."""
    level = figure.shared(table, "slo_quantile")
    return f"P{100 * level:g}" if level else "the mean"


def _waits(rows, name, limit, knee, last, plot, height):
    """One panel: mean, interval and 95th percentile of a latency over the load."""
    tail, first = name.replace("_s", "_p95_s"), rows.iloc[0]
    values = rows[[name, tail]].to_numpy()
    low, high = min(np.nanmin(values), rows[f"{name}_low"].min()), min(np.nanmax(values), FAR * np.nanmin(values))
    extent = low / 1.15, max(high, 1.5 * (limit or 0)) * 1.25
    to_x, (to_y, _) = (lambda v: float(v) * plot), marks.pixels(extent, height, down=True)
    at = [0, 0.25, 0.5, 0.75, 1]
    labels = dict(values=at, labelExpr=f"{[share(v) for v in at]!r}[indexof({at!r}, datum.value)]")
    x = alt.X("load", type="quantitative", scale=alt.Scale(domain=[0, 1], nice=False), axis=alt.Axis(title="Load, share of saturation →", **labels))
    y = marks.axis(alt.Y, name, extent, title=f"↑ {meta(name)['label']}, {units.word(1, unit(name), name)[1]}", minExtent=Y_AXIS_PX, maxExtent=Y_AXIS_PX)
    data = alt.Chart(rows[["load", name, f"{name}_low", f"{name}_high", tail]])
    layers = [data.mark_area(color=first["color"], opacity=theme.BAND_OPACITY, clip=True).encode(x=x, y=y(f"{name}_low"), y2=f"{name}_high")]
    if limit:
        rule = alt.Chart(pd.DataFrame([{name: limit}])).mark_rule(color=marks.INK, strokeDash=theme.DASH["threshold"])
        layers.append(rule.encode(y=y(name)))
    for column, size in ((name, 3), (tail, 1.5)):
        layers.append(data.mark_line(color=first["color"], strokeWidth=size, clip=True).encode(x=x, y=y(column)))
    layers.append(alt.Chart(pd.DataFrame([dict(load=knee["load"])])).mark_rule(color=marks.INK2, strokeWidth=1).encode(x=x))
    words = f"knee {share(knee['load'])}"
    side = dict(align="right") if to_x(knee["load"]) > marks.px(words, 12) + 10 else dict(align="left")
    layers += marks.note(words, to_x(knee["load"]) + (-6 if side["align"] == "right" else 6), 9, size=theme.SIZE["note"], **side)
    if limit:
        place = dict(x=4, align="left") if last["load"] > 0.5 else dict(x=plot - 2, align="right")  # away from the last load within it
        at_y = to_y(limit) + 10 if to_y(limit) < height - 24 else to_y(limit) - 10  # not into the axis
        layers += marks.note(f"limit {text(PANELS[name], limit, digits=None)}", y=at_y, size=theme.SIZE["note"], **place)
    if last["load"] == last["load"]:
        spot = rows[rows["load"] == last["load"]]
        layers.append(marks.points(spot, x, y(tail), 80))
        layers += marks.note(share(last["load"]), np.clip(to_x(last["load"]), 0, plot - 30) + 7, to_y(spot[tail].iloc[0]) + 12, bold=True)
    ends = np.clip(to_y(rows[[tail, name]].iloc[-1].to_numpy()), 4, height)
    for word, place in zip(("P95", "mean"), marks.spread(ends, height), strict=True):
        layers += marks.note(word, plot + 5, place, color=first["label"], bold=True, halo=False)
    layers.append(marks.hover(rows[rows[name].between(*extent)], x, y(name), ["requests_per_s", name, tail]))
    return alt.layer(*layers, width=plot, height=height)


# ------------------------------------------------------------------ speculative decoding


def speculation(table, width: int = theme.WIDTH["notebook"], height: int = 250) -> figure.Figure:
    """Speed of a user with drafted tokens over that without, against the batch: a line an acceptance, or a number drafted.

    Rows: batch by `draft_tokens`, 0 among them, and perhaps by `draft_acceptance`; one chip. The line in color is the
    middle one.
    """
    rows = figure.drawable(table.assign(extrapolated=False), ["tpot_s"], within_limits=False, also=["draft_tokens", "draft_acceptance"])
    plain = rows[rows["draft_tokens"] == 0].drop_duplicates("batch").set_index("batch")["tpot_s"] if len(rows) else []
    rows = rows[rows["draft_tokens"] > 0] if len(plain) else rows[:0]
    if not len(rows):
        return figure.nothing(table, width)
    rows = rows[rows["chip"] == rows["chip"].iloc[0]]
    by = "draft_acceptance" if "draft_acceptance" in rows and rows["draft_acceptance"].nunique() > 1 else "draft_tokens"
    rows = rows.assign(gain=rows["batch"].map(plain) / rows["tpot_s"]).dropna(subset=["gain"]).sort_values([by, "batch"])
    levels = sorted(rows[by].unique())
    middle = levels[len(levels) // 2]
    chosen = rows[rows[by] == middle]
    name, drafted = chosen["name"].iloc[0].replace(" ", units.NBSP), chosen["draft_tokens"].iloc[0]

    plot = width - Y_AXIS_PX - 110
    x_extent = rows["batch"].min(), max(rows["batch"].max(), 2 * rows["batch"].min())
    y_extent = min(rows["gain"].min(), 1) * 0.9, max(rows["gain"].max(), 1) * 1.08
    x = marks.axis(alt.X, "batch", x_extent, title="Requests in flight →", grid=False)
    y = marks.axis(alt.Y, "ratio", y_extent, log=False, title="↑ Speed of a user over that without drafts", minExtent=Y_AXIS_PX)
    to_y, from_y = marks.pixels(y_extent, height, log=False, down=True)
    rule = alt.Chart(pd.DataFrame([dict(gain=1.0)])).mark_rule(color=marks.INK, strokeDash=theme.DASH["threshold"])
    layers = [rule.encode(y=y("gain"))]
    for level in levels:
        data = rows[rows[by] == level]
        color, size = (data["color"].iloc[0], 3) if level == middle else (theme.NEUTRAL["axis"], 1.75)
        layers.append(alt.Chart(data[["batch", "gain"]]).mark_line(color=color, strokeWidth=size, clip=True).encode(x=x("batch"), y=y("gain")))
    ends = rows.groupby(by).tail(1)
    words = [f"{share(v)} accepted" if by == "draft_acceptance" else f"{v:g} drafted" for v in ends[by]]
    ends = ends.assign(text=words, at=from_y(marks.spread(to_y(ends["gain"]), height)))
    ends["label"] = np.where(ends[by] == middle, ends["label"], marks.INK2)
    layers += marks.texts(ends, alt.value(plot + 6), y("at"), color="label", bold=True, halo=False)
    layers += marks.note("faster with drafts ↑", 6, float(to_y(1.0)) - 9, size=theme.SIZE["note"])
    layers.append(marks.hover(rows.assign(ratio=rows["gain"].round(2)), x("batch"), y("gain"), ["batch", "draft_tokens", "ratio"]))

    start, end = chosen.iloc[0], chosen.iloc[-1]
    ratio = lambda row: units.format(row["gain"], "ratio")[:-1] + units.NBSP + "times"  # noqa: E731
    title = f"Drafting {drafted:.0f} tokens makes a user {ratio(start)} as fast at batch {start['batch']:.0f}"
    slow = chosen[chosen["gain"] < 1]
    title += f"; from batch {units.format(slow['batch'].iloc[0])} on it slows users" if len(slow) else f", {ratio(end)} at batch {units.format(end['batch'])}"
    scenario = figure.scenario_line(table, limits=False)
    common = f"{share(chosen['draft_acceptance'].iloc[0])} accepted" if by == "draft_tokens" and "draft_acceptance" in rows else f"{drafted:.0f} drafted"
    others = table["chip"].nunique() - 1
    notes = [name, scenario, common, f"1 of {others + 1} chips" if others else "", "extrapolated: no measured row tells what it drafted"]
    lines = figure.subtitle(width, "TPOT without drafts over TPOT with them, equal batch; batch on a logarithmic scale", *notes)
    said = f"Line chart of the speed of a user with speculative decoding over that without, by batch, on {name}, {scenario or 'one scenario'}. {title}. "
    said += f"From {units.format(rows['gain'].min(), 'ratio')} to {units.format(rows['gain'].max(), 'ratio')} over all lines. "
    said += "Modeled, without intervals. Values in the table beside it."
    data = rows.assign(chip=rows["name"], gain=[units.format(g, "ratio") for g in rows["gain"]])
    shown = [c for c in ("chip", "batch", "draft_tokens", "draft_acceptance", "tpot_s", "gain") if c in data]
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, said, data[shown].reset_index(drop=True))
