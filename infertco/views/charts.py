"""Tables of scenarios to charts. Each function takes a sweep and returns a `Figure`: chart, title, alt text, table.

Colors, type and sizes are `theme`'s, printed numbers `units.format`'s, words `figure`'s. `width` is that of the whole
picture in pixels, at the size it is shown: 640 in a notebook, 627 in a report, 720 live.
"""

import altair as alt
import numpy as np
import pandas as pd

from infertco import units
from infertco.views import figure, marks, theme
from infertco.views.tables import head, meta, text, unit

USER, CHIP, USD, TTFT, TPOT = "output_tokens_per_s_per_user", "output_tokens_per_s_per_chip", "usd_per_mtok", "ttft_s", "tpot_s"
MOST_ROWS, MOST_LINES, MOST_ROOFS = 12, 7, 4
Y_AXIS_PX = 44


def roofline(table, width: int = theme.WIDTH["notebook"], height: int = 330) -> figure.Figure:
    """Attainable FLOP/s of up to four chips against intensity, with decode and prefill marked.

    Rows: chip by batch, `outputs="all"`; the least and the largest batch of each chip are drawn.
    """
    needed = [f"{phase}_flop_per_{what}" for phase in ("decode", "prefill") for what in ("byte", "s_per_chip")]
    rows = figure.drawable(table, [*needed, "ridge_flop_per_byte", "peak_flop_per_s"], within_limits=False)
    if not len(rows):
        return figure.nothing(table, width)
    rows = rows[rows["chip"].isin(rows["chip"].drop_duplicates().head(MOST_ROOFS))]
    by_chip = rows.sort_values("batch").groupby("chip", sort=False)
    least, most = by_chip.head(1), by_chip.tail(1)
    phases = dict(decode_least=("decode", least), decode_most=("decode", most), prefill=("prefill", most))
    data = pd.concat(
        part.assign(phase=phase, x=part[f"{kind}_flop_per_byte"], y=part[f"{kind}_flop_per_s_per_chip"])
        for phase, (kind, part) in phases.items()
    )
    data = data.drop_duplicates(["chip", "x", "y"]).reset_index(drop=True)
    peak, ridge = data["peak_flop_per_s"], data["ridge_flop_per_byte"]
    data["share"], data["roof"] = data["y"] / peak, np.minimum(peak, peak / ridge * data["x"])
    chips = data.drop_duplicates("chip").sort_values("peak_flop_per_s", ascending=False).reset_index(drop=True)

    plot, x_extent, y_extent = width - 66, (0.5, 2e4), (data["y"].min() / 3, peak.max() * 1.8)
    formats = " and ".join(sorted(set(data["compute_format"].astype(str)))) if "compute_format" in data else ""
    x = marks.axis(alt.X, needed[0], x_extent, title="Arithmetic intensity, FLOP per byte from memory →")
    y = marks.axis(alt.Y, needed[1], y_extent, title=f"↑ TFLOP/s per chip, dense {formats}", minExtent=Y_AXIS_PX)
    (to_x, _), (to_y, from_y) = marks.pixels(x_extent, plot), marks.pixels(y_extent, height, down=True)
    wash = alt.Chart(pd.DataFrame([dict(x=x_extent[0], x2=ridge.min())])).mark_rect(color=theme.BOUNDS["memory"], opacity=0.05)
    layers = [wash.encode(x=x("x"), x2="x2")]
    for c in chips.itertuples():
        roof = pd.DataFrame(dict(x=[x_extent[0], c.ridge_flop_per_byte, x_extent[1]]))
        roof["y"] = np.minimum(c.peak_flop_per_s, c.peak_flop_per_s / c.ridge_flop_per_byte * roof["x"])
        layers.append(alt.Chart(roof).mark_line(color=c.color, strokeWidth=2, strokeDash=c.dash, clip=True).encode(x=x("x"), y=y("y")))
    drops = alt.Chart(data).mark_rule(strokeDash=theme.DASH["drop"]).encode(x=x("x"), y=y("y"), y2="roof", color=marks.style("color"))
    layers += [drops, marks.points(data, x("x"), y("y"), 60)]
    at = to_y(chips["peak_flop_per_s"]) - 9
    at[1:][-1:] += 18  # the lowest roof has its name below
    layers += marks.texts(chips.assign(at=from_y(marks.spread(at, height))), alt.value(plot), y("at"), "name", "label", bold=True, align="right")
    batches = []
    for phase, spot in data.groupby("phase", sort=False):
        batches.append(_few(spot["batch"]))
        words = "Prefill" if phase == "prefill" else f"Decode, batch {batches[-1]}"
        across = np.clip(to_x(np.exp(np.log(spot["x"]).mean())), marks.px(words) / 2, plot - marks.px(words) / 2)
        layers += marks.note(words, across, min(to_y(spot["y"].min()) + 17, height - 8), align="center")
    layers += marks.note("Memory-bound", 10, 12, color=theme.BOUNDS["memory"], bold=True, halo=False)
    layers += marks.note("Compute-bound", plot, height - 14, color=theme.BOUNDS["compute"], bold=True, align="right")

    decode, prefill = (data.loc[data["phase"] == phase, "share"] for phase in ("decode_least", "prefill"))
    bound = ("at most " if len(chips) > 1 else "") + units.format(decode.max(), "share")
    title = f"Decode at batch {batches[0]} uses {bound} of peak arithmetic; prefill uses {_few(prefill, 'share', ' to ')}"
    if decode.max() >= prefill.min():
        title = "Decode and prefill use the peak arithmetic alike"
    scenario, others = figure.scenario_line(table, limits=False), table["chip"].nunique() - len(chips)
    what = "Attainable (line) and modeled (mark) FLOP/s, both scales logarithmic; dotted = lost to overhead, links"
    lines = figure.subtitle(width, what, scenario, f"{len(chips)} of {len(chips) + others} chips" if others else "")
    reached = [text("peak_flop_per_s", v, digits=2) for v in (data["y"].min(), data["y"].max())]
    words = (f"Roofline chart of FLOP per second against FLOP per byte by chip, {scenario or 'one scenario'}. {title}. From {reached[0]} (decode) to "
             f"{reached[1]} (prefill) on {', '.join(chips['name'])}. Marks are estimates without intervals. Values in the table beside it.")  # fmt: skip
    drawn = pd.concat([least, most]).drop_duplicates(["chip", "batch"])
    columns = ["batch", *needed, "ridge_flop_per_byte", "peak_flop_per_s"]
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, _data(drawn, columns))


def _few(values, kind="1", joint="–"):
    """One number, or from the least to the largest."""
    low, high = (units.format(v, kind) for v in (values.min(), values.max()))
    return low if low == high else f"{low}{joint}{high}"


def _data(rows, columns):
    """The rows behind the words, the chip by its name."""
    return rows.assign(chip=rows["name"])[["chip", *(c for c in columns if c in rows)]].reset_index(drop=True)


def _with_ends(*columns):
    return [column + end for column in columns for end in ("", "_low", "_high")]


def frontier(
    table, y: str = CHIP, tpot_slo_s: float | None = None, reference: str | None = None, width: int = theme.WIDTH["notebook"], height: int = 330
) -> figure.Figure:
    """What a chip gives (`y`: tokens/s per chip, or $/Mtok) against the speed each user sees, and where it meets the limit.

    Rows: chip by layout by batch. A line joins a chip's undominated rows; `tpot_slo_s` is the dashed rule (default: the
    table's own limit), and the title compares the best chip there with `reference`.
    """
    less = meta(y)["better"] == "less"
    rows = figure.drawable(table, [USER, y], within_limits=False)
    slo = tpot_slo_s or figure.shared(table, "tpot_slo_s")
    at = 1 / slo if slo else 0.0
    if not len(rows) or rows[USER].max() < at:
        return figure.nothing(table, width)
    hull = pd.concat([_undominated(group, y, less) for _, group in rows.groupby("chip", sort=False)])
    best = pd.DataFrame([_crossing(line, y, at) for _, line in hull.groupby("chip", sort=False) if line[USER].max() >= at])
    best = best.sort_values(y, ascending=less, kind="stable").reset_index(drop=True)
    where = f"At {text(TPOT, slo, digits=None)} per token" if slo else "At the largest batch"

    def say(a, b, times):
        if less:
            return f"{where} {b['name']} costs {times} times as much per token as {a['name']}"
        return f"{where} {a['name']} serves {times} times as much as {b['name']}"

    title = figure.finding(best, y, reference, say, lambda n, span: f"{where} the best {n} cannot be told apart: {span}")
    pair = [best["chip"][0], reference if reference in set(best["chip"][1:]) else best["chip"].iloc[-1]]
    colored = set(best["chip"][: MOST_LINES - 1]) | set(pair)
    starts = hull[hull["chip"].isin(colored)].groupby("chip", sort=False).head(1).reset_index(drop=True)
    wide = np.array([marks.px(name) + 14 for name in starts["name"]])

    plot, right = width - 66, hull[USER].max() * 1.08
    room = np.minimum(wide / plot, 0.5)  # the names stand left of the lines
    x_extent = (np.exp(((np.log(starts[USER]) - room * np.log(right)) / (1 - room)).min()), right)
    named = pd.concat([best[best["chip"].isin(colored)], starts])  # lines end beyond the frame where they leave the range of use
    low, high = min(best[f"{y}_low"].min(), starts[y].min()), max(best[f"{y}_high"].max(), starts[y].max())
    low, high = (low, max(high, 5 * named[f"{y}_high"].max())) if less else (min(low, named[f"{y}_low"].min() / 5), high)
    y_extent = low / 1.2, high * 1.2
    (to_x, _), (to_y, from_y) = marks.pixels(x_extent, plot), marks.pixels(y_extent, height, down=True)
    measure = "US$ per million output tokens" if less else "Output tokens/s per chip"
    x = marks.axis(alt.X, USER, x_extent, title="Interactivity, tokens/s per user →")
    y_of = marks.axis(alt.Y, y, y_extent, title=f"↑ {measure}", minExtent=Y_AXIS_PX)
    layers = []
    for chip, line in hull.groupby("chip", sort=False):
        c, data = line.iloc[0], line[[USER, *_with_ends(y)]]
        color = c["color"] if chip in colored else theme.NEUTRAL["mark"]
        line = dict(color=color, strokeWidth=3 if chip in pair else 1.75, strokeDash=c["dash"], opacity=c["opacity"])
        if chip in pair:
            band = alt.Chart(data).mark_area(color=color, opacity=theme.BAND_OPACITY, interpolate="monotone", clip=True)
            layers.insert(0, band.encode(x=x(USER), y=y_of(f"{y}_low"), y2=f"{y}_high"))
        layers.append(alt.Chart(data).mark_line(interpolate="monotone", clip=True, **line).encode(x=x(USER), y=y_of(y)))
    starts["at"] = from_y(marks.aside(to_y(starts[y]), to_x(starts[USER]) - wide, wide, height - 6))
    layers += marks.texts(starts, x(USER), y_of("at"), "name", "label", bold=True, dx=-10, align="right")
    if slo:
        rule = alt.Chart(pd.DataFrame([{USER: at}])).mark_rule(color=marks.INK, strokeDash=theme.DASH["threshold"])
        place = dict(y=-6) if to_x(at) > marks.px(measure) else dict(y=10 if less else height - 10)
        layers += [rule.encode(x=x(USER)), *marks.note(f"meets TPOT ≤ {text(TPOT, slo, digits=None)} →", to_x(at) + 8, **place)]
        marked = best[best["chip"].isin(colored)]
        heights = marks.spread(to_y(marked[y]) - 9, height - 8)
        heights += max(0.0, 8 - heights.min(initial=8))  # clear of the limit's own words above
        marked = marked.assign(text=[text(y, v, bare=True) for v in marked[y]], at=from_y(heights))
        ends = dict(x=x(USER), y=y_of(f"{y}_low"), y2=f"{y}_high", color=marks.style("color"))
        layers += [alt.Chart(marked).mark_rule(strokeWidth=1.5).encode(**ends), marks.points(marked, x(USER), y_of(y))]
        layers += marks.texts(marked, x(USER), y_of("at"), bold=True, dx=9)
    told = [c for c in ("chip", "tensor_parallel", "batch", TPOT, TTFT, *_with_ends(y)) if c in hull]
    layers.append(marks.hover(hull[hull[y].between(*y_extent)], x(USER), y_of(y), told))

    scenario = figure.scenario_line(table, limits=False)
    slow, grey = hull["chip"].nunique() - len(best), hull["chip"].nunique() - len(colored)
    notes = [f"{slow} too slow for the limit" if slow else "", f"{grey} more in grey" if grey else ""]
    what = f"{measure}{', less is better' if less else ''}, against the speed each user sees; both scales logarithmic."
    what += f" Line = best layout and batch, band{' and whisker' if slo else ''} = {figure.INTERVAL}"
    lines = figure.subtitle(width, what, scenario, figure.left_out(table, rows), *notes)
    words = figure.alt_text(f"Line chart of {figure.lower(measure)} against tokens per second per user by chip", best, y, scenario, title)
    chart = alt.layer(*layers, width=plot, height=height)
    return figure.Figure(chart, title, lines, words, _data(best, [USER, *_with_ends(y), TTFT]))


def _undominated(group, y, less):
    """Rows of one chip that no other beats in both speed and `y`, slowest first."""
    group = group.sort_values(USER, ascending=False, kind="stable")
    good = -group[y] if less else group[y]
    return group[good > good.cummax().shift(fill_value=-np.inf)].iloc[::-1]


def _crossing(line, y, at):
    """A chip's line where it crosses the speed `at`, straight between rows on log scales; else its slowest, faster end."""
    speed = line[USER].to_numpy(float)
    row = line.iloc[int(np.searchsorted(speed, at * (1 - 1e-9)))].copy()
    if at > speed[0]:
        for name in (USER, *_with_ends(y), *([TTFT] if TTFT in line else [])):
            row[name] = np.exp(np.interp(np.log(at), np.log(speed), np.log(line[name].to_numpy(float))))
    return row


def cost_stack(table, reference: str | None = None, width: int = theme.WIDTH["notebook"], most: int = MOST_ROWS) -> figure.Figure:
    """Cost of a million output tokens by component, each chip at its cheapest row, with the TTFT and TPOT it is reached at.

    Rows: any sweep over chips, `outputs="all"`; rows that miss the limits or lack a price are left out and counted.
    """
    rows = figure.drawable(table, [USD, TTFT, TPOT], also=[f"{USD}_{p}" for p in theme.COST])
    if not len(rows):
        return figure.nothing(table, width)
    best = figure.best_rows(rows, USD)
    shown = _first(best, reference, most)
    columns = [c for part in theme.COST if (c := f"{USD}_{part}") in shown]
    columns = [c for c in columns if (shown[c] / shown[USD]).max() >= (1e-9 if c.endswith("_operations") else 0.02)]
    sizes = np.array(shown[columns or [USD]].fillna(0.0))
    sizes[:, -1] += shown[USD].to_numpy() - sizes.sum(axis=1)  # what is under 2% everywhere goes with the last
    edges = np.cumsum(np.c_[np.zeros(len(sizes)), sizes], axis=1)
    fills = [theme.COST[c.removeprefix(f"{USD}_")] for c in columns] or [theme.NEUTRAL["mark"]]
    rims = [theme.NEUTRAL["axis"] if fill == marks.PAPER else marks.PAPER for fill in fills]
    pieces = pd.concat(
        shown[["row", "opacity"]].assign(x=edges[:, i], x2=edges[:, i + 1], fill=fill, stroke=rim)
        for i, (fill, rim) in enumerate(zip(fills, rims, strict=True))
    )

    left, height = marks.names_px(shown), theme.ROW * len(shown)
    plot = width - left - marks.COLUMNS_PX
    extent = 0.0, shown[f"{USD}_high"].max() * plot / (plot - 52)
    x = marks.axis(alt.X, USD, extent, log=False, orient="top", domain=False, ticks=False, title=None)
    totals = shown.assign(text=[text(USD, v) for v in shown[USD]])
    entries = [(meta(c)["label"], fill, fill if fill != marks.PAPER else rim) for c, fill, rim in zip(columns, fills, rims, strict=False)]
    layers = [marks.bars(pieces, shown, x("x"), "x2"), *marks.interval(totals, x, USD), *marks.names(shown)]
    layers += marks.latencies(shown, plot) + marks.key(entries, left, plot + marks.COLUMNS_PX - 12)

    share, largest = "", int(sizes.sum(axis=0).argmax())
    if len(columns) > 1:
        share = f"; {figure.lower(meta(columns[largest])['label'])} takes {_few(sizes[:, largest] / shown[USD], 'share', ' to ')} of each bill"
    title = figure.finding(
        shown, USD, reference,
        lambda a, b, times: f"A token from {b['name']} costs {times} times one from {a['name']}{share}",
        lambda n, span: f"The cheapest {n} cannot be told apart: {span}{share}",
    )  # fmt: skip
    scenario, what = figure.scenario_line(table), "Cost of 1 million output tokens, US$, by component. Bar = estimate"
    notes = figure.first_of(shown, best, reference), figure.left_out(table, rows)
    lines = figure.subtitle(width, f"{what}, line = {figure.INTERVAL}", scenario, *notes)
    words = figure.alt_text("Stacked bar chart of cost of 1 million output tokens in US dollars by chip", shown, USD, scenario, title)
    chart = alt.layer(*layers, width=plot, height=height)
    return figure.Figure(chart, title, lines, words, _data(shown, [*_with_ends(USD), *columns, TTFT, TPOT]))


def _first(best, reference, most):
    """The first rows, and the reference where it is beyond them; numbered top to bottom."""
    shown = best[(best.index < most) | (best["chip"] == reference)]
    return shown.reset_index(drop=True).assign(row=range(len(shown)))


def ranking(
    table, measures=("tokens_per_usd", "provisioned_j_per_request"), reference: str | None = None, width: int = theme.WIDTH["notebook"], most: int = MOST_ROWS
) -> figure.Figure:
    """Two measures side by side, a row a chip at its best by the first, with the TTFT and TPOT it is reached at."""
    rows = figure.drawable(table, [*measures, TTFT, TPOT])
    if not len(rows):
        return figure.nothing(table, width)
    best = figure.best_rows(rows, measures[0])
    shown = _first(best, reference, most)
    left, height, panels = marks.names_px(shown), theme.ROW * len(shown), []
    plot = (width - left - marks.COLUMNS_PX - 26) // 2
    for measure in measures:
        about, word = meta(measure), units.word(shown[measure].max(), unit(measure), measure)
        extent = 0.0, shown[f"{measure}_high"].max() * plot / (plot - 48)
        x = marks.axis(alt.X, measure, extent, log=False, domain=False, ticks=False, labels=False, grid=False, title=None)
        values = shown.assign(text=[text(measure, v, bare=True, as_word=word) for v in shown[measure]])
        layers = [marks.bars(shown, shown, x(measure), None, "color", "outline"), *marks.interval(values, x, measure)]
        layers += marks.note(head(measure, word[1] if unit(measure) != "1" else ""), 0, -27, bold=True, halo=False)
        layers += marks.note(f"{about['better']} is better", 0, -11, color=marks.INK2, size=theme.SIZE["axis"], halo=False)
        layers += marks.names(shown) if measure == measures[0] else marks.latencies(shown, plot)
        panels.append(alt.layer(*layers, width=plot, height=height))

    labels = [figure.lower(meta(measure)["label"]) for measure in measures]

    def say(a, b, times):
        if meta(measures[0])["better"] == "less":
            return f"{b['name']} takes {times} times the {labels[0]} of {a['name']}"
        ratio = a[measures[1]] / b[measures[1]]
        also = units.format(ratio, "share") + " of" if ratio < 1 else units.format(ratio, "ratio")[:-1] + " times"
        also = f" at {also} its {labels[1]}" if figure.apart(a, b, measures[1]) else ""
        return f"{a['name']} gives {times} times the {labels[0]} of {b['name']}{also}"

    title = figure.finding(shown, measures[0], reference, say, lambda n, span: f"The best {n} cannot be told apart: {span}")
    scenario, what = figure.scenario_line(table), f"{meta(measures[0])['label']} and {labels[1]}, each on its own scale. Bar = estimate"
    notes = figure.first_of(shown, best, reference), figure.left_out(table, rows)
    lines = figure.subtitle(width, f"{what}, line = {figure.INTERVAL}", scenario, *notes)
    words = figure.alt_text(f"Bar charts of {labels[0]} and {labels[1]} by chip", shown, measures[0], scenario, title)
    return figure.Figure(alt.hconcat(*panels, spacing=26), title, lines, words, _data(shown, [*_with_ends(*measures), TTFT, TPOT]))
