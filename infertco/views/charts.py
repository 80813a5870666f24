"""Tables of scenarios to charts. Each function takes a sweep and returns a `Figure`: chart, title, alt text, table.

Colors, type and sizes are `theme`'s, printed numbers `units.format`'s, words `figure`'s. `width` is that of the whole
picture in pixels, at the size it is shown: 640 in a notebook, 627 in a report, 720 live.
"""

import altair as alt
import numpy as np
import pandas as pd

from infertco import units
from infertco.views import theme
from infertco.views.figure import (
    INTERVAL, Figure, alt_text, best_rows, apart, drawable, finding, first_of, left_out, lower, nothing, scenario_line, shared, subtitle, title_lines, why,
)  # fmt: skip
from infertco.views.marks import (
    COLUMNS_PX, INK, PAPER, aside, axis, bars, hover, interval, key, latencies, names, names_px, note, pixels, points, px, spread, style, texts,
)  # fmt: skip
from infertco.views.tables import meta, text, unit

USER, CHIP, USD, TTFT, TPOT = "output_tokens_per_s_per_user", "output_tokens_per_s_per_chip", "usd_per_mtok", "ttft_s", "tpot_s"
MOST_ROWS, MOST_LINES, MOST_ROOFS = 12, 7, 4
Y_AXIS_PX = 44


def roofline(table, width: int = theme.WIDTH["notebook"], height: int = 330) -> Figure:
    """Attainable FLOP/s of up to four chips against intensity, with decode and prefill marked.

    Rows: chip by batch, `outputs="all"`; the least and the largest batch of each chip are drawn.
    """
    needed = [f"{phase}_flop_per_{what}" for phase in ("decode", "prefill") for what in ("byte", "s_per_chip")]
    rows = drawable(table, [*needed, "ridge_flop_per_byte", "peak_flop_per_s"], within_limits=False)
    if not len(rows):
        return nothing(table, width)
    rows = rows[rows["chip"].isin(rows["chip"].drop_duplicates().head(MOST_ROOFS))]
    by_chip = rows.sort_values("batch").groupby("chip", sort=False)
    phases = [("decode, least batch", "decode", by_chip.head(1)), ("decode, largest batch", "decode", by_chip.tail(1)), ("prefill", "prefill", by_chip.tail(1))]
    data = pd.concat([part.assign(phase=name, x=part[f"{kind}_flop_per_byte"], y=part[f"{kind}_flop_per_s_per_chip"]) for name, kind, part in phases])
    data = data.drop_duplicates(["chip", "x", "y"]).reset_index(drop=True)
    peak, ridge = data["peak_flop_per_s"], data["ridge_flop_per_byte"]
    data["share"], data["roof"] = data["y"] / peak, np.minimum(peak, peak / ridge * data["x"])
    chips = data.drop_duplicates("chip").sort_values("peak_flop_per_s", ascending=False).reset_index(drop=True)

    plot, x_extent, y_extent = width - 66, (0.5, 2e4), (data["y"].min() / 3, peak.max() * 1.8)
    formats = " and ".join(sorted(set(data["compute_format"].astype(str)))) if "compute_format" in data else ""
    x = axis(alt.X, needed[0], x_extent, title="Arithmetic intensity, FLOP per byte from memory →")
    y = axis(alt.Y, needed[1], y_extent, title=f"↑ TFLOP/s per chip, dense {formats}", minExtent=Y_AXIS_PX)
    (to_x, _), (to_y, from_y) = pixels(x_extent, plot), pixels(y_extent, height, down=True)
    wash = alt.Chart(pd.DataFrame([dict(x=x_extent[0], x2=ridge.min())])).mark_rect(color=theme.BOUNDS["memory"], opacity=0.05)
    layers = [wash.encode(x=x("x"), x2="x2")]
    for c in chips.itertuples():
        roof = pd.DataFrame(dict(x=[x_extent[0], c.ridge_flop_per_byte, x_extent[1]]))
        roof["y"] = np.minimum(c.peak_flop_per_s, c.peak_flop_per_s / c.ridge_flop_per_byte * roof["x"])
        layers.append(alt.Chart(roof).mark_line(color=c.color, strokeWidth=2, strokeDash=c.dash, clip=True).encode(x=x("x"), y=y("y")))
    drops = alt.Chart(data).mark_rule(strokeDash=theme.DASH["drop"]).encode(x=x("x"), y=y("y"), y2="roof", color=style("color"))
    layers += [drops, points(data, x("x"), y("y"), 60)]
    at = to_y(chips["peak_flop_per_s"]) - 9
    at[1:][-1:] += 18  # the lowest roof has its name below
    layers += texts(chips.assign(at=from_y(spread(at, height))), alt.value(plot), y("at"), "name", "label", bold=True, align="right")
    batches = []
    for phase, spot in data.groupby("phase", sort=False):
        batches.append(_few(spot["batch"]))
        words = "Prefill" if phase == "prefill" else f"Decode, batch {batches[-1]}"
        across = np.clip(to_x(np.exp(np.log(spot["x"]).mean())), px(words) / 2, plot - px(words) / 2)
        layers += note(words, across, min(to_y(spot["y"].min()) + 17, height - 8), align="center")
    layers += note("Memory-bound", 10, 12, color=theme.BOUNDS["memory"], bold=True, halo=False)
    layers += note("Compute-bound", plot, height - 14, color=theme.BOUNDS["compute"], bold=True, align="right")

    least, prefill = (data.loc[data["phase"] == phase, "share"] for phase in ("decode, least batch", "prefill"))
    most = units.format(least.max(), "share")
    title = f"Decode at batch {batches[0]} uses {'at most ' if len(chips) > 1 else ''}{most} of peak arithmetic; prefill uses {_few(prefill, 'share', ' to ')}"
    if least.max() >= prefill.min():
        title = "Decode and prefill use the peak arithmetic alike"
    scenario, others = scenario_line(table, limits=False), table["chip"].nunique() - len(chips)
    lines = subtitle(width, "Attainable (line) and modeled (mark) FLOP/s, both scales logarithmic; dotted = lost to overhead, links", scenario,
                     f"{len(chips)} of {len(chips) + others} chips" if others else "")  # fmt: skip
    reached = [text("peak_flop_per_s", v, digits=2) for v in (data["y"].min(), data["y"].max())]
    words = (f"Roofline chart of FLOP per second against FLOP per byte by chip, {scenario or 'one scenario'}. {title}. From {reached[0]} (decode) to "
             f"{reached[1]} (prefill) on {', '.join(chips['name'])}. Marks are estimates without intervals. Values in the table beside it.")  # fmt: skip
    drawn = pd.concat([by_chip.head(1), by_chip.tail(1)]).drop_duplicates(["chip", "batch"])
    columns = ["batch", *needed, "ridge_flop_per_byte", "peak_flop_per_s"]
    return Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, _data(drawn, columns))


def _few(values, kind="1", joint="–"):
    """One number, or from the least to the largest."""
    low, high = (units.format(v, kind) for v in (values.min(), values.max()))
    return low if low == high else f"{low}{joint}{high}"


def _data(rows, columns):
    """The rows behind the words, the chip by its name."""
    return rows.assign(chip=rows["name"])[["chip", *(c for c in columns if c in rows)]].reset_index(drop=True)


def _with_ends(*columns):
    return [column + end for column in columns for end in ("", "_low", "_high")]


def frontier(table, y: str = CHIP, tpot_slo_s: float | None = None, reference: str | None = None, width: int = theme.WIDTH["notebook"], height: int = 330) -> Figure:
    """What a chip gives (`y`: tokens/s per chip, or $/Mtok) against the speed each user sees, and where it meets the limit.

    Rows: chip by layout by batch. A line joins a chip's undominated rows; `tpot_slo_s` is the dashed rule (default: the
    table's own limit), and the title compares the best chip there with `reference`.
    """
    less = meta(y)["better"] == "less"
    rows = drawable(table, [USER, y], within_limits=False)
    slo = tpot_slo_s or shared(table, "tpot_slo_s")
    at = 1 / slo if slo else 0.0
    if not len(rows) or rows[USER].max() < at:
        return nothing(table, width)
    hull = pd.concat([_undominated(group, y, less) for _, group in rows.groupby("chip", sort=False)])
    best = pd.DataFrame([_crossing(line, y, at) for _, line in hull.groupby("chip", sort=False) if line[USER].max() >= at])
    best = best.sort_values(y, ascending=less, kind="stable").reset_index(drop=True)
    where = f"At {text(TPOT, slo, digits=None)} per token" if slo else "At the largest batch"

    def say(a, b, times):
        return f"{where} {b['name']} costs {times} times as much per token as {a['name']}" if less else f"{where} {a['name']} serves {times} times as much as {b['name']}"

    title = finding(best, y, reference, say, lambda n, span: f"{where} the best {n} cannot be told apart: {span}")
    pair = [best["chip"][0], reference if reference in set(best["chip"][1:]) else best["chip"].iloc[-1]]
    colored = set(best["chip"][: MOST_LINES - 1]) | set(pair)
    starts = hull[hull["chip"].isin(colored)].groupby("chip", sort=False).head(1).reset_index(drop=True)
    wide = np.array([px(name) + 10 for name in starts["name"]])

    plot, right = width - 66, hull[USER].max() * 1.08
    room = np.minimum(wide / plot, 0.5)  # the names stand left of the lines
    x_extent = (np.exp(((np.log(starts[USER]) - room * np.log(right)) / (1 - room)).min()), right)
    named = pd.concat([best[best["chip"].isin(colored)], starts])  # lines end beyond the frame where they leave the range of use
    low, high = min(best[f"{y}_low"].min(), starts[y].min()), max(best[f"{y}_high"].max(), starts[y].max())
    y_extent = (low / 1.2, max(high, named[f"{y}_high"].max() * 5) * 1.2) if less else (min(low, named[f"{y}_low"].min() / 5) / 1.2, high * 1.2)
    (to_x, _), (to_y, from_y) = pixels(x_extent, plot), pixels(y_extent, height, down=True)
    measure = "US$ per million output tokens" if less else "Output tokens/s per chip"
    x = axis(alt.X, USER, x_extent, title="Interactivity, tokens/s per user →")
    y_of = axis(alt.Y, y, y_extent, title=f"↑ {measure}", minExtent=Y_AXIS_PX)
    layers = []
    for chip, line in hull.groupby("chip", sort=False):
        c, data = line.iloc[0], line[[USER, *_with_ends(y)]]
        color, thick = c["color"] if chip in colored else theme.NEUTRAL["mark"], 3 if chip in pair else 1.75
        if chip in pair:
            band = alt.Chart(data).mark_area(color=color, opacity=theme.BAND_OPACITY, interpolate="monotone", clip=True)
            layers.insert(0, band.encode(x=x(USER), y=y_of(f"{y}_low"), y2=f"{y}_high"))
        drawn = alt.Chart(data).mark_line(color=color, strokeWidth=thick, strokeDash=c["dash"], interpolate="monotone", opacity=c["opacity"], clip=True)
        layers.append(drawn.encode(x=x(USER), y=y_of(y)))
    if slo:
        layers.append(alt.Chart(pd.DataFrame([{USER: at}])).mark_rule(color=INK, strokeDash=theme.DASH["threshold"]).encode(x=x(USER)))
        place = dict(y=-6) if to_x(at) > px(measure) else dict(y=10 if less else height - 10)
        layers += note(f"meets TPOT ≤ {text(TPOT, slo, digits=None)} →", to_x(at) + 8, **place)
    marked = best[best["chip"].isin(colored)]
    marked = marked.assign(text=[text(y, v, bare=True) for v in marked[y]])
    marked["at"] = from_y(spread(to_y(marked[y]) - 9, height - 8))
    starts["at"] = from_y(aside(to_y(starts[y]), to_x(starts[USER]) - wide, wide, height - 6))
    layers += texts(starts, x(USER), y_of("at"), "name", "label", bold=True, dx=-6, align="right")
    whisker = alt.Chart(marked).mark_rule(strokeWidth=1.5).encode(x=x(USER), y=y_of(f"{y}_low"), y2=f"{y}_high", color=style("color"))
    layers += [whisker, points(marked, x(USER), y_of(y)), *texts(marked, x(USER), y_of("at"), bold=True, dx=9)]
    told = [c for c in ("chip", "tensor_parallel", "batch", TPOT, TTFT, *_with_ends(y)) if c in hull]
    layers.append(hover(hull[hull[y].between(*y_extent)], x(USER), y_of(y), told))

    scenario = scenario_line(table, limits=False)
    slow, grey = hull["chip"].nunique() - len(best), hull["chip"].nunique() - len(colored)
    notes = [scenario, left_out(table, rows), f"{slow} too slow for the limit" if slow else "", f"{grey} more in grey" if grey else ""]
    lines = subtitle(width, f"{measure}{', less is better' if less else ''}, against the speed each user sees; both scales logarithmic. Line = best layout "
                            f"and batch, band and whisker = {INTERVAL}", *notes)  # fmt: skip
    words = alt_text(f"Line chart of {lower(measure)} against tokens per second per user by chip", best, y, scenario, title)
    return Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, _data(best, [USER, *_with_ends(y), "batch", "tensor_parallel", TTFT]))


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


def cost_stack(table, reference: str | None = None, width: int = theme.WIDTH["notebook"], most: int = MOST_ROWS) -> Figure:
    """Cost of a million output tokens by component, each chip at its cheapest row, with the TTFT and TPOT it is reached at.

    Rows: any sweep over chips, `outputs="all"`; rows that miss the limits or lack a price are left out and counted.
    """
    rows = drawable(table, [USD, TTFT, TPOT], also=[f"{USD}_{p}" for p in theme.COST])
    if not len(rows):
        return nothing(table, width)
    best = best_rows(rows, USD)
    shown = _first(best, reference, most)
    parts = [p for p in theme.COST if (shown.get(f"{USD}_{p}", pd.Series(0.0)) / shown[USD]).max() >= (0 if p == "operations" else 0.02)]
    columns = [f"{USD}_{p}" for p in parts]
    sizes = np.array(shown[columns or [USD]].fillna(0.0))
    sizes[:, -1] += shown[USD].to_numpy() - sizes.sum(axis=1)  # what is under 2% everywhere goes with the last
    edges = np.cumsum(np.c_[np.zeros(len(sizes)), sizes], axis=1)
    fills = [(theme.COST[p], theme.NEUTRAL["axis"] if theme.COST[p] == PAPER else PAPER) for p in parts] or [(theme.NEUTRAL["mark"], PAPER)]
    pieces = pd.concat([pd.DataFrame(dict(row=shown["row"], x=edges[:, i], x2=edges[:, i + 1], fill=f, stroke=s)) for i, (f, s) in enumerate(fills)])

    left, height = names_px(shown), theme.ROW * len(shown)
    plot = width - left - COLUMNS_PX
    x = axis(alt.X, USD, (0.0, shown[f"{USD}_high"].max() * plot / (plot - 52)), False, orient="top", domain=False, ticks=False, title=None)
    totals = shown.assign(text=[text(USD, v) for v in shown[USD]])
    entries = [(meta(c)["label"], f, f if f != PAPER else s) for c, (f, s) in zip(columns, fills, strict=False)]
    layers = [bars(pieces, shown, x("x"), "x2"), *interval(totals, x, USD), *names(shown), *latencies(shown, plot), *key(entries, left, plot + COLUMNS_PX - 12)]

    first, largest = shown.iloc[0], columns[int(sizes[0].argmax())] if parts else ""
    share = f"; {lower(meta(largest)['label'])} takes {units.format(sizes[0].max() / first[USD], 'share')} of the bill" if len(parts) > 1 else ""
    title = finding(shown, USD, reference, lambda a, b, times: f"A token from {b['name']} costs {times} times one from {a['name']}{share}",
                    lambda n, span: f"The cheapest {n} cannot be told apart: {span}{share}")  # fmt: skip
    scenario = scenario_line(table)
    lines = subtitle(width, f"Cost of 1 million output tokens, US$, by component. Bar = estimate, line = {INTERVAL}", scenario,
                     first_of(shown, best, reference), left_out(table, rows))  # fmt: skip
    words = alt_text("Stacked bar chart of cost of 1 million output tokens in US dollars by chip", shown, USD, scenario, title)
    return Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, _data(shown, [*_with_ends(USD), *columns, TTFT, TPOT]))


def _first(best, reference, most):
    """The first rows, and the reference where it is beyond them; numbered top to bottom."""
    shown = best[(best.index < most) | (best["chip"] == reference)]
    return shown.reset_index(drop=True).assign(row=range(len(shown)))


def ranking(table, measures=("tokens_per_usd", "provisioned_j_per_request"), reference: str | None = None, width: int = theme.WIDTH["notebook"], most: int = MOST_ROWS) -> Figure:  # fmt: skip
    """Two measures side by side, a row a chip at its best by the first, with the TTFT and TPOT it is reached at."""
    rows = drawable(table, [*measures, TTFT, TPOT])
    if not len(rows):
        return nothing(table, width)
    best = best_rows(rows, measures[0])
    shown = _first(best, reference, most)
    left, height, panels = names_px(shown), theme.ROW * len(shown), []
    plot = (width - left - COLUMNS_PX - 26) // 2
    for measure in measures:
        about, word = meta(measure), units.word(shown[measure].max(), unit(measure), measure)
        x = axis(alt.X, measure, (0.0, shown[f"{measure}_high"].max() * plot / (plot - 48)), False, orient="top", domain=False, ticks=False, labels=False, grid=False, title=None)
        values = shown.assign(text=[text(measure, v, bare=True, as_word=word) for v in shown[measure]])
        layers = [bars(shown, shown, x(measure), None, "color", "outline"), *interval(values, x, measure)]
        layers += note(about["label"] + (f", {word[1]}" if unit(measure) in units.PREFIXES and unit(measure) != "1" else ""), 0, -27, bold=True, halo=False)
        layers += note(f"{about['better']} is better", 0, -11, color=theme.NEUTRAL["ink2"], size=theme.SIZE["axis"], halo=False)
        layers += names(shown) if measure == measures[0] else latencies(shown, plot)
        panels.append(alt.layer(*layers, width=plot, height=height))

    labels = [lower(meta(measure)["label"]) for measure in measures]

    def say(a, b, times):
        ratio = a[measures[1]] / b[measures[1]]
        also = units.format(ratio, "share") if ratio < 1 else units.format(ratio, "ratio")[:-1] + " times"
        return f"{a['name']} gives {times} times the {labels[0]} of {b['name']}" + (f" at {also} of its {labels[1]}" if apart(a, b, measures[1]) else "")

    title = finding(shown, measures[0], reference, say, lambda n, span: f"The best {n} cannot be told apart: {span}")
    scenario = scenario_line(table)
    lines = subtitle(width, f"{meta(measures[0])['label']} (US$) and {labels[1]}, each on its own scale. Bar = estimate, line = {INTERVAL}", scenario,
                     first_of(shown, best, reference), left_out(table, rows))  # fmt: skip
    words = alt_text(f"Bar charts of {labels[0]} and {labels[1]} by chip", shown, measures[0], scenario, title)
    return Figure(alt.hconcat(*panels, spacing=26), title, lines, words, _data(shown, [*_with_ends(*measures), TTFT, TPOT]))


def cost_curve(table, x: str = "batch", y: str = USD, extent=None, width: int = theme.WIDTH["live"], height: int = 400) -> Figure:
    """`y` against `x` (batch, TPOT, ...), a line a chip, for sliders: axes fixed by `extent`, data pushed by name.

    `extent` is ((x0, x1), (y0, y1)); default: somewhat beyond the table. `live` is what `curve_data` gives for this
    table; it is pushed anew as a slider moves. The data set `a`, of the columns of `d` and empty at first, is the state
    kept as A, drawn in grey.
    """
    rows = drawable(table, [x, y], within_limits=False)
    if not len(rows):
        return nothing(table, width)
    extent = extent or ((rows[x].min(), rows[x].max()), (rows[f"{y}_low"].min() / 1.5, rows[f"{y}_high"].max() * 1.5))
    x_log, y_log = map(_is_log, extent)
    chips = rows.drop_duplicates("chip")
    plot = width - 84 - int(max(px(name) for name in chips["name"]))
    labels = [meta(name)["label"] + {"s": ", ms" if name == TPOT else ", s", "USD/Mtok": ", US$ per million"}.get(unit(name), "") for name in (x, y)]
    x_of = axis(alt.X, x, extent[0], x_log, title=f"{labels[0]} →")
    y_of = axis(alt.Y, y, extent[1], y_log, title=f"↑ {labels[1]}", minExtent=Y_AXIS_PX, maxExtent=Y_AXIS_PX)
    d, kept = alt.NamedData("d"), alt.Chart(alt.NamedData("a")).mark_line(color=theme.NEUTRAL["mark"], strokeWidth=2, clip=True)
    layers = [kept.encode(x=x_of("x"), y=y_of("y"), detail=alt.Detail("chip", type="nominal"))]
    for c in chips.itertuples():
        own = alt.Chart(d).transform_filter(f"datum.chip == '{c.chip}'")
        if len(chips) < 3:
            layers.insert(0, own.mark_area(color=c.color, opacity=theme.BAND_OPACITY, clip=True).encode(x=x_of("x"), y=y_of("low"), y2="high"))
        drawn = own.mark_line(strokeWidth=2, color=c.color, strokeDash=c.dash, opacity=alt.expr("shown"), clip=True)
        layers.append(drawn.encode(x=x_of("x"), y=y_of("y")))
    layers += texts(d, alt.value(plot), y_of("at"), color="label", bold=True, dx=6)

    live, best = curve_data(table, x, y, extent, height), best_rows(rows, y)
    reached = ", ".join(f"{meta(c)['label']} {text(c, best[c][0])}" for c in (TTFT, TPOT) if c in best and c != x)
    scales = {(True, True): "; both scales logarithmic", (True, False): "; x logarithmic", (False, True): "; y logarithmic"}.get((x_log, y_log), "")
    what, scenario, title = f"{labels[1]}, against {lower(meta(x)['label'])}{scales}", scenario_line(table), _curve_title(best, y)
    lines = subtitle(width, what, scenario, f"best point of {best['name'][0]} at {reached}" if reached else "", left_out(table, rows))
    heading = alt.TitleParams(text=alt.expr("ttl"), subtitle=what)  # a subtitle takes no signal in Vega-Lite 5
    chart = alt.layer(*layers, width=plot, height=height, title=heading, datasets=dict(d=_records(live["data"]["d"]), a=[]))
    chart = chart.add_params(*(alt.param(name=k, value=v) for k, v in live["signals"].items()))
    words = alt_text(f"Line chart of {lower(labels[1])} against {lower(meta(x)['label'])} by chip", best, y, scenario, title)
    return Figure(chart, title, lines, words, _data(best, [x, *_with_ends(y), *(c for c in (TTFT, TPOT) if c != x)]), live)


def curve_data(table, x: str, y: str, extent, height: int = 400) -> dict:
    """What a live `cost_curve` is pushed: `data` (set `d`, by column) and `signals`, `ttl` (title) and `shown` (opacity).

    Where no row has figures the old lines stay, grey, and the title says why.
    """
    rows = drawable(table, [x, y], within_limits=False)
    if not len(rows):
        return dict(data={}, signals=dict(ttl=title_lines(why(table)), shown=0.25))
    rows = rows.sort_values(["chip", x], kind="stable").reset_index(drop=True)
    (to_y, from_y), last = pixels(extent[1], height, _is_log(extent[1]), down=True), ~rows["chip"].duplicated(keep="last")
    at = np.full(len(rows), float(extent[1][0]))
    at[last] = from_y(spread(np.clip(to_y(rows.loc[last, y]), 0, height), height))
    d = dict(chip=rows["chip"], name=rows["name"], label=rows["label"], x=rows[x], y=rows[y], low=rows[f"{y}_low"], high=rows[f"{y}_high"])
    d |= dict(text=np.where(last, rows["name"], ""), at=at)
    return dict(data=dict(d={k: v.tolist() for k, v in d.items()}), signals=dict(ttl=title_lines(_curve_title(best_rows(rows, y), y)), shown=1.0))


def _curve_title(best, y):
    def say(a, b, times):
        most, least = (b, a) if meta(y)["better"] == "less" else (a, b)
        return f"{most['name']} has {times} times the {lower(meta(y)['label'])} of {least['name']}, each at its best"

    return finding(best, y, None, say, lambda n, span: f"The best {n} cannot be told apart: {span}")


def _is_log(extent):
    return extent[0] > 0 and extent[1] / extent[0] > 20


def _records(columns):
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
