"""Charts of the pivot: training and inference over time, when they cross, and what others say of it.

As in `charts`, each function takes a table (of `studies.pivot`) and returns a `Figure`. Dates are decimal years; one that
is never reached within the horizon is NaN, one in the first month means "from the start".
"""

import altair as alt
import numpy as np
import pandas as pd

from infertco import units
from infertco.views import figure, marks, theme

Y_AXIS_PX, MOST_ROWS, MOST_BINS = 52, 150, 60
MEASURES = dict(  # measure: (ending of the columns, base unit, its size in one, what it is)
    compute=("compute", "FLOP/s", 1.0, "computing capacity in FLOP/s"), power=("mw", "W", 1e6, "power drawn by chips"),
    spend=("usd", "USD", 1.0, "spending on compute in real US$ a month"),
)  # fmt: skip
VOLUMES = dict(  # what is counted: (in a title, base unit, title of the axis)
    tokens=("Tokens a month", "token/month", "↑ Tokens a month"), usd=("Spending a year", "USD", "↑ US$ a year"), capex=("Capex", "USD", "↑ US$ a year"),
)  # fmt: skip
OPEN = 10.0  # a factor of the 80 % band, either way, from which on a volume counts as not known


def share(x) -> str:
    return units.format(x, "share")


def date(x) -> str:
    return units.format(x, "date").replace(" ", units.NBSP) if np.isfinite(x) else "never"


def quantiles(dates, at=(0.1, 0.5, 0.9)) -> np.ndarray:
    """Quantiles of dates of which some are never reached: those are later than any, so a quantile may be inf."""
    dates = np.asarray(dates, float)
    return np.quantile(np.where(np.isnan(dates), np.inf, dates), at, method="inverted_cdf")


# ------------------------------------------------------------------ training and inference over time


def areas(paths, dates, measure: str = "spend", today=None, width: int = theme.WIDTH["notebook"], height: int = 230) -> figure.Figure:
    """Inference with training on top of it, month by month, over a histogram of the date at which the one passes the other.

    Parameters
    ----------
    paths : DataFrame
        A row a month: month (Timestamp), inference_usd and training_usd (or .._mw, .._compute) of the median path.
    dates : array
        Crossing of each draw.
    measure : {"spend", "power", "compute"}
    today : Timestamp, optional
        Where the forecast starts.
    """
    ending, base, size, what = MEASURES[measure]
    x = marks.years(paths["month"])
    rows = pd.DataFrame(dict(date=x, inference=paths[f"inference_{ending}"].to_numpy() * size, training=paths[f"training_{ending}"].to_numpy() * size))
    rows["total"] = rows["inference"] + rows["training"]
    extent, plot = (x[0], x[-1]), width - Y_AXIS_PX - 24
    drawn = rows.iloc[:: 1 + len(rows) // MOST_ROWS]
    low, middle, high = quantiles(dates)
    started, to_x = extent[0] + 1e-9, marks.pixels(extent, plot, log=False)[0]  # at it or before: from the start
    ahead = _ahead(today, extent, to_x, plot)
    taken, words_px = ahead[2] if ahead else 0, marks.px("Inference passes training", 12)
    crossed, at = started < middle < np.inf, float(to_x(min(middle, extent[1])))
    left = at > words_px + 8
    blocked = [ahead] if ahead else []
    if crossed:
        blocked.append((at - words_px - 8, at, taken + 36) if left else (at, at + words_px + 8, taken + 36))
    peaks = [(bottom, rows["total"][(to_x(x) >= a) & (to_x(x) <= b)].max()) for a, b, bottom in blocked]
    top = (0.0, float(np.nanmax([rows["total"].max() * 1.06, *(peak / (1 - bottom / height) for bottom, peak in peaks)])))  # the words above what is drawn
    word = dict(spend="US$ a month").get(measure, units.word(top[1], base)[1])
    x_of, y_of = marks.year_axis(extent, plot), marks.axis(alt.Y, "", top, log=False, base=base, title=f"↑ {word}", minExtent=Y_AXIS_PX, maxExtent=Y_AXIS_PX)
    to_y = marks.pixels(top, height, log=False, down=True)[0]
    data = alt.Chart(drawn)
    layers = [data.mark_area(color=theme.PIVOT["inference"]).encode(x=x_of("date"), y=y_of("inference"))]
    layers.append(data.mark_area(color=theme.PIVOT["training"]).encode(x=x_of("date"), y=y_of("inference"), y2="total"))
    layers.append(data.mark_line(color=theme.PAPER, strokeWidth=1.5).encode(x=x_of("date"), y=y_of("inference")))
    layers += _forecast(today, extent, x_of, to_x, plot, height)
    if crossed:
        layers.append(_rule(middle, x_of, taken, height, color=marks.INK, strokeDash=theme.DASH["threshold"]))
        for i, line in enumerate(("Inference passes training", f"in {date(middle)} (median)")):
            layers += marks.note(line, at - 6 if left else at + 6, 10 + taken + 15 * i, align="right" if left else "left", size=theme.SIZE["note"])
    for name, below, above in (("Inference", 0 * x, rows["inference"]), ("Training", rows["inference"], rows["total"])):
        layers += _inside(name, to_x(x), to_y(above), to_y(below), plot, theme.PIVOT[name.lower()], blocked)
    upper = alt.layer(*layers, width=plot, height=height)

    n, never, before = len(dates), np.isnan(dates).mean(), (np.asarray(dates) <= started).mean()
    end = int(np.floor(x[-1]))
    share_of = [f"from the start in {share(before)}" if before else "", f"never by {end} in {share(never)}" if never else ""]
    told = f"median {date(middle) if middle > started else 'from the start'}, 80% between {_ends(low, high, started, end)}"
    lines = [f"When inference passes training, {n:,} draws: {told}", "; ".join(filter(None, share_of))]
    chart = alt.vconcat(upper, _histogram(dates, extent, plot, (low, high), lines), spacing=8)

    title = _crossing_title(low, high, never, before, started, end, measure)
    share_end = rows["inference"].iloc[-1] / rows["total"].iloc[-1]
    lines = figure.subtitle(width, f"{what[0].upper() + what[1:]}, median path; below: when the two cross, dark = 80% of the draws")
    words = f"Stacked area chart of {what} for inference and training, {int(x[0])} to {end}, with a histogram of the date of crossing. {title}. "
    words += f"In the first month inference takes {share(rows['inference'].iloc[0] / rows['total'].iloc[0])} of the total, in the last {share(share_end)}. "
    words += f"Of {n:,} draws {share(before)} cross from the start, {share(never)} never. Values in the table beside it."
    data = rows[np.isclose(x % 1, x[0] % 1)] if len(rows) > 12 else rows
    data = data.iloc[:: 1 + (len(data) - 1) // 12]
    table = pd.DataFrame({"month": [f"{int(d + 1e-6)}-{round(d % 1 * 12) % 12 + 1:02d}" for d in data["date"]]})
    for name in ("inference", "training"):
        table[f"{name}, {word}" if measure != "spend" else f"{name}, US$ a month"] = [units.format(v, base, 2) for v in data[name]]
    table["inference, share"] = [share(s) for s in data["inference"] / data["total"]]
    return figure.Figure(chart, title, lines, words, table)


def _rule(at, x_of, top, height, **mark):
    return alt.Chart(pd.DataFrame([dict(date=float(at))])).mark_rule(strokeWidth=1, **mark).encode(x=x_of("date"), y=alt.value(top), y2=alt.value(height))


def _ahead(today, extent, to_x, plot):
    """Where the words at the start of the forecast stand (left, right, bottom), left of it if there is no room right; none outside the years drawn."""
    at = float(marks.years([today])[0]) if today is not None else extent[0]
    x = float(to_x(at))
    if not extent[0] < at < extent[1]:
        return None
    return (x - 130, x, 18) if x + 70 > plot else (x, x + 70, 18)


def _forecast(today, extent, x_of, to_x, plot, height) -> list:
    """Rule and words where the forecast starts; nothing outside the years drawn."""
    words = _ahead(today, extent, to_x, plot)
    if not words:
        return []
    at = float(marks.years([today])[0])
    x, left = float(to_x(at)), words[0] < to_x(at)
    said = marks.note("forecast from here →" if left else "forecast →", x - 5 if left else x + 5, 9, align="right" if left else "left")
    return [_rule(at, x_of, 0, height, color=theme.NEUTRAL["axis"]), *said]


def _inside(name, at, top, bottom, plot, fill, blocked) -> list:
    """The name of an area where it is thickest, in it if it fits, else above it."""
    at, top, bottom, half = np.asarray(at), np.asarray(top), np.asarray(bottom), marks.px(name) / 2 + 6
    mid = (top + bottom) / 2
    free = (at >= half) & (at <= plot - half)
    for left, right, low in blocked:
        free &= (at + half < left) | (at - half > right) | (mid - 8 > low)
    i = int(np.argmax(np.where(free, bottom - top, -1.0)))
    if bottom[i] - top[i] >= 18:
        return marks.note(name, at[i], mid[i], color=theme.text_on(fill), bold=True, align="center", halo=False)
    clear = (at >= 2 * half) & (top >= 24)
    for left, right, low in blocked:
        clear &= (at < left) | (at - 2 * half > right) | (top - 18 > low)
    i = int(np.flatnonzero(clear if clear.any() else at >= 2 * half)[-1])
    return marks.note(name, at[i], top[i] - 10, bold=True, align="right")


def _histogram(dates, extent, plot, middle, lines):
    """Draws by quarter (or longer) of their crossing; those of the middle 80 % in color, the words above."""
    known = np.asarray(dates, float)
    known = known[np.isfinite(known)]
    step = next(s for s in (0.25, 0.5, 1, 2, 5, 10, 20) if (extent[1] - extent[0]) / s <= MOST_BINS or s == 20)
    edges = np.arange(np.floor(extent[0] / step + 1e-9), np.ceil(extent[1] / step + 1e-9) + 1) * step
    count = np.histogram(np.clip(known, *extent), edges)[0]
    inner = (edges[:-1] <= middle[1]) & (edges[1:] > middle[0])
    bins = pd.DataFrame(
        dict(
            x=edges[:-1].clip(*extent),
            x2=edges[1:].clip(*extent),
            count=count / max(len(dates), 1),
            fill=np.where(inner, theme.PIVOT["inference"], theme.NEUTRAL["mark"]),
        )
    )
    bins = bins[bins["count"] > 0].assign(zero=0.0)
    x = marks.year_axis(extent, plot)
    y = alt.Y("count", type="quantitative", scale=alt.Scale(domain=[0, float(bins["count"].max()) if len(bins) else 1.0], nice=False), axis=None)
    bars = alt.Chart(bins).mark_bar(stroke=theme.PAPER, strokeWidth=1).encode(x=x("x"), x2="x2", y=y, y2="zero", fill=marks.style("fill", alt.Fill))
    lines = [line[:1].upper() + line[1:] for line in lines if line]
    layers = [bars]
    for i, line in enumerate(reversed(lines)):
        layers += marks.note(line, 0, -12 - 15 * i, halo=False, color=marks.INK2 if i < len(lines) - 1 else marks.INK)
    return alt.layer(*layers, width=plot, height=62)


def _ends(low, high, started, end) -> str:
    return f"{'the start' if low <= started else date(low)} and {date(high) if np.isfinite(high) else f'after {end}'}"


def _crossing_title(low, high, never, before, started, end, measure) -> str:
    """The 80 % range of the crossing, or what is known of it."""
    head = f"Inference overtakes training in {measure}"
    if low == np.inf:
        return f"{head} by {end} in {share(1 - never)} of the draws" if never < 1 else f"Inference does not overtake training in {measure} by {end} in any draw"
    if high <= started:
        return f"Inference is ahead of training in {measure} from the start in {share(before)} of the draws"
    if high == np.inf:
        first = "from the start" if low <= started else f"no sooner than {date(low)}"
        return f"{head} {first} or not by {end}: {share(never)} of the draws never do"
    if low <= started:
        return f"{head} by {date(high)} in nine of ten draws, in {share(before)} from the start"
    return f"{head} in {date(low)}" if date(low) == date(high) else f"{head} between {date(low)} and {date(high)}"


# ------------------------------------------------------------------ fans and what others say


def fan(
    bands, published=None, measure: str = "spend", year: float = 2030, today=None, width: int = theme.WIDTH["notebook"], height: int = 290
) -> figure.Figure:
    """Share of inference over time with bands of 50, 80 and 95 %, and published shares of the same measure with who said it.

    Parameters
    ----------
    bands : DataFrame
        A row a month: month, p2_5, p10, p25, p50, p75, p90, p97_5.
    published : DataFrame, optional
        month, value, low, high, who, kind (and item: one's statements about one thing are joined); forecasts are hollow.
    year : float
        The one in the title; the last drawn if it lies outside.
    """
    chart, at, inside = _fan(bands, published, "share", False, (0.0, 1.0), f"↑ Inference, share of {measure}", year, today, width, height)
    low, middle, high = (at[name] for name in ("p10", "p50", "p90"))
    when = f"{at['date']:.0f}"
    title = f"Inference takes {share(middle)} of {measure} by {when}; 80% of the draws lie between {share(low)} and {share(high)}"
    if low < 0.5 < high:
        title = f"Which side leads in {measure} in {when} is open: 80% of the draws give inference {share(low)} to {share(high)}"
    lines = _fan_lines(
        width, f"Share of inference in {MEASURES[measure][3].partition(' in ')[0]}; line = median, shades = 50%, 80% and 95% of the draws", published, inside
    )
    words = f"Fan chart of the share of inference in {measure}, {_span(bands)}. {title}. {_extremes(bands, share)} "
    words += f"{_statements(inside)} 95% of the draws lie between {share(at['p2_5'])} and {share(at['p97_5'])} in {when}. Values in the table beside it."
    return figure.Figure(chart, title, lines, words, _fan_table(bands, inside, share))


def volumes(
    bands, published=None, what: str = "tokens", year: float = 2030, today=None, width: int = theme.WIDTH["notebook"], height: int = 290
) -> figure.Figure:
    """As `fan` on a logarithmic scale, for tokens a month or dollars a year; published figures joined by who said them."""
    label, base, axis_title = VOLUMES[what]
    values = [bands[["p2_5", "p97_5"]].to_numpy().ravel()] + ([published["value"].to_numpy(float)] if published is not None and len(published) else [])
    values = np.concatenate(values)
    values = values[values > 0]
    chart, at, inside = _fan(bands, published, base, True, (values.min() / 1.6, values.max() * 1.6), axis_title, year, today, width, height)
    say = lambda v: units.format(v, base, 2, bare=True)  # noqa: E731
    low, middle, high = (at[name] for name in ("p10", "p50", "p90"))
    factor, when = units.format(np.sqrt(high / low), "ratio")[:-1], f"{at['date']:.0f}"
    verb = "reach" if what == "tokens" else "reaches"
    title = f"{label} {verb} {say(middle)} by {when}, known to a factor of {factor} either way"
    if high / low > OPEN**2:
        title = f"{label} in {when} can be anything from {say(low)} to {say(high)}: a factor of {factor} either way"
    lines = _fan_lines(
        width, f"{label}, logarithmic; line = median, shades = 50%, 80% and 95% of the draws" + "; grey: published" * bool(len(inside)), published, inside
    )
    words = f"Fan chart of {figure.lower(label)} on a logarithmic scale, {_span(bands)}. {title}. {_extremes(bands, say)} {_statements(inside)} "
    words += f"80% of the draws lie between {say(low)} and {say(high)} in {when}. Values in the table beside it."
    return figure.Figure(chart, title, lines, words, _fan_table(bands, inside, say))


def _fan(bands, published, base, log, extent, axis_title, year, today, width, height):
    """(Chart, the row of the year of the title, the statements drawn)."""
    x = marks.years(bands["month"])
    rows = bands.drop(columns="month").assign(date=x)
    span, plot = (x[0], x[-1]), width - Y_AXIS_PX - 78
    x_of = marks.year_axis(span, plot)
    y_of = marks.axis(alt.Y, "", extent, log=log, base=base, title=axis_title, minExtent=Y_AXIS_PX, maxExtent=Y_AXIS_PX)
    (to_x, from_x), (to_y, from_y) = marks.pixels(span, plot, log=False), marks.pixels(extent, height, log=log, down=True)
    drawn = rows.iloc[:: 1 + len(rows) // MOST_ROWS]
    drawn = drawn.clip(lower=extent[0]).assign(date=drawn["date"])
    color, layers = theme.PIVOT["inference"], []
    for percent, (a, b) in {95: ("p2_5", "p97_5"), 80: ("p10", "p90"), 50: ("p25", "p75")}.items():
        layers.append(alt.Chart(drawn).mark_area(color=color, opacity=theme.FAN[percent]).encode(x=x_of("date"), y=y_of(a), y2=b))
    layers.append(alt.Chart(drawn).mark_line(color=color, strokeWidth=2.5).encode(x=x_of("date"), y=y_of("p50")))
    if not log:
        half = alt.Chart(pd.DataFrame([dict(half=0.5)])).mark_rule(color=marks.INK, strokeDash=theme.DASH["threshold"])
        layers.append(half.encode(y=y_of("half")))
    layers += _forecast(today, span, x_of, to_x, plot, height)
    inside = _inside_span(published, span, extent)
    lines = [(rows["date"], rows["p50"])] + [([span[0], span[1]], [0.5, 0.5])] * (not log)
    off = [box for line in lines for box in _along(to_x(line[0]), to_y(line[1]))]
    layers += _said(inside, (x_of, to_x, from_x), (y_of, to_y, from_y), plot, height, log, off) if len(inside) else []
    end = rows.iloc[-1]
    ends = {"95%": "p97_5", "80%": "p90", "50%": "p75", "median": "p50"}  # top down, where they fall together
    for (word, name), place in zip(ends.items(), marks.spread(np.clip(to_y([max(end[n], extent[0]) for n in ends.values()]), 6, height), height), strict=True):
        layers += marks.note(word, plot + 6, place, bold=name == "p50", color=color if name == "p50" else marks.INK2, halo=False)
    chosen = rows.iloc[int(np.abs(x - year).argmin())] if x[0] <= year <= x[-1] + 1 / 12 else end
    return alt.layer(*layers, width=plot, height=height), dict(chosen) | dict(date=np.floor(chosen["date"] + 1e-6)), inside


def _inside_span(published, span, extent):
    """Statements within the years and values drawn, one a who, month and value; sorted by who and date."""
    if published is None or not len(published):
        return pd.DataFrame(columns=["date", "value", "who"])
    rows = published.assign(date=marks.years(published["month"]), value=published["value"].astype(float)).drop(columns="month")
    rows = rows.assign(**{name: rows[name].astype(float) if name in rows else np.nan for name in ("low", "high")})
    rows = rows.assign(series=rows["who"] + " " + rows["item"].astype(str) if "item" in rows else rows["who"])
    rows = rows[rows["date"].between(*span) & rows["value"].between(*extent)].drop_duplicates(["who", "date", "value"])
    return rows.sort_values(["who", "date"], kind="stable").reset_index(drop=True)


def _along(x, y, step: float = 6.0) -> list:
    """A line of pixels as small boxes that labels stay off."""
    at = np.arange(np.min(x), np.max(x), step)
    return [(a, b - 2, a + step, b + 2) for a, b in zip(at, np.interp(at, x, y), strict=True)]


def _said(rows, across, down, plot, height, log, off=()) -> list:
    """Points of what was published, one's joined, a range as a line, and who said it beside the last of them."""
    (x_of, to_x, from_x), (y_of, to_y, from_y), grey = across, down, theme.NEUTRAL["axis"]
    hollow = rows["kind"].eq("forecast") if "kind" in rows else pd.Series(False, rows.index)
    data = rows[["date", "value", "series"]].assign(fill=np.where(hollow, theme.PAPER, marks.INK2), outline=marks.INK2, shape="circle")
    layers = [alt.Chart(data).mark_line(color=grey, strokeWidth=1.75 if log else 1).encode(x=x_of("date"), y=y_of("value"), detail="series:N")]
    ranged = rows[rows["low"].notna() & rows["high"].notna()][["date", "low", "high"]]
    if len(ranged):
        layers.append(alt.Chart(ranged).mark_rule(color=marks.INK2, strokeWidth=1.5, clip=True).encode(x=x_of("date"), y=y_of("low"), y2="high"))
    layers.append(marks.points(data, x_of("date"), y_of("value"), 45))
    last = rows.groupby("series", sort=False).tail(1)
    order = np.argsort(to_x(last["date"]), kind="stable")[::-1]
    last = last.iloc[order]
    at_x, at_y, wide = to_x(last["date"]), to_y(last["value"]), [marks.px(who, 12) for who in last["who"]]
    left, mid = marks.beside(at_x, at_y, wide, plot, height, off=off)
    for i in np.flatnonzero(np.abs(mid - at_y) > 12):
        inner = left[i] if left[i] > at_x[i] else left[i] + wide[i]
        ends = pd.DataFrame(dict(date=[last["date"].iloc[i], float(from_x(inner))], value=[last["value"].iloc[i], float(from_y(mid[i]))]))
        layers.append(alt.Chart(ends).mark_line(color=grey, strokeWidth=0.75).encode(x=x_of("date"), y=y_of("value")))
    for who, a, b in zip(last["who"], left, mid, strict=True):
        layers += marks.note(who, a, b, size=theme.SIZE["note"], color=marks.INK2)
    return layers


def _fan_lines(width, what, published, inside):
    out = 0 if published is None else len(published.drop_duplicates(["who", "month", "value"])) - len(inside)
    notes = [
        "hollow: forecasts of others" if "kind" in inside and inside["kind"].eq("forecast").any() else "",
        f"{out} statement{'s' * (out > 1)} outside the frame" if out else "",
    ]
    return figure.subtitle(width, what, *notes)


def _span(bands) -> str:
    x = marks.years(bands["month"])
    return f"{int(x[0])} to {int(x[-1])}"


def _extremes(bands, say) -> str:
    first, last = bands.iloc[0], bands.iloc[-1]
    return f"The median goes from {say(first['p50'])} to {say(last['p50'])}."


def _statements(inside) -> str:
    if not len(inside):
        return "No published figure is drawn."
    who = list(dict.fromkeys(inside["who"]))
    return f"{len(inside)} published figures of {len(who)} sources are drawn beside it."


def _fan_table(bands, inside, say):
    """Median and ranges a year, then each statement."""
    x = marks.years(bands["month"])
    rows = bands[np.isclose(x % 1, x[0] % 1)]
    rows = rows.iloc[:: 1 + (len(rows) - 1) // 12]
    ranged = lambda a, b: [f"{say(low)}–{say(high)}" for low, high in zip(rows[a], rows[b], strict=True)]  # noqa: E731
    model = pd.DataFrame(
        {
            "date": [f"{d:.0f}" for d in np.floor(marks.years(rows["month"]))],
            "who": "this model, median",
            "value": [say(v) for v in rows["p50"]],
            "80%": ranged("p10", "p90"),
        }
    )
    said = pd.DataFrame(
        {"date": [f"{d:.0f}" for d in np.floor(inside["date"].astype(float))], "who": inside["who"], "value": [say(v) for v in inside["value"]], "80%": ""}
    )
    return pd.concat([model, said], ignore_index=True)
