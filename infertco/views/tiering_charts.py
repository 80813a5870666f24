"""Charts of a tiered fleet: what stands in each tier when, where the savings come from, and who is served by what.

As in `charts`, each function takes a table (of `studies.tiering`) and returns a `Figure`.
"""

import textwrap

import altair as alt
import numpy as np
import pandas as pd

from infertco import units
from infertco.views import figure, marks, theme

TIERS = dict(training="Training", premium="Premium inference", cost_optimized="Cost-optimized", batch="Batch", edge="Edge")  # from the base up
SPARE, SHED = "spare", "shed"  # SHED stands for a chip where requests are not served
UNITS = dict(  # unit: (base unit, title of the axis, "takes so much of ...", what is shown)
    chips=("1", "↑ Chips", "the chips", "Chips"), w=("W", "↑ {}", "the power", "Power of the chips"),
    usd=("USD", "↑ US$", "the cost", "Cost of a period, real US$"),
)  # fmt: skip
Y_AXIS_PX, SEGMENT_PX, MOST_COLUMNS, HEAD_LINES = 52, 14, 9, 3
ALIKE = 0.02  # shares closer than this are not ranked


def share(x) -> str:
    return units.format(round(x, 2) if 0.005 < abs(x) < 0.995 else x, "share")


def usd(x) -> str:
    return units.format(x, "USD", 2)


# ------------------------------------------------------------------ the fleet by tier


def by_tier(fleet, unit: str = "chips", width: int = theme.WIDTH["notebook"], height: int = 260) -> figure.Figure:
    """Stacked bars of the fleet by tier, a bar a period, those that stand by hollow on top.

    Rows: period (year or Timestamp), chip, tier, and chips, w or usd; `spare` of the `chips` stand by.
    """
    base, axis_title, of_what, what = UNITS[unit]
    idle = (fleet["spare"] / fleet["chips"].where(fleet["chips"] > 0)).fillna(0.0) if "spare" in fleet else 0.0
    rows = pd.DataFrame(dict(at=marks.years(fleet["period"]), tier=fleet["tier"].astype(str).to_numpy(), value=fleet[unit].to_numpy(float)))
    rows["idle"] = rows["value"] * np.asarray(idle)
    if unknown := set(rows["tier"]) - set(TIERS):
        raise ValueError(f"unknown tier '{sorted(unknown)[0]}'; known: {', '.join(TIERS)}")
    wide = (rows["value"] - rows["idle"]).groupby([rows["at"], rows["tier"]]).sum().unstack(fill_value=0.0)
    wide = wide.reindex(columns=[tier for tier in TIERS if tier in wide and wide[tier].max() > 0])
    wide[SPARE] = rows.groupby("at")["idle"].sum()
    total = wide.sum(axis=1)
    at, parts = wide.index.to_numpy(), [name for name in wide if wide[name].max() > 0]
    if not parts:
        return figure.nothing(fleet.assign(reason="the fleet is empty"), width)
    heads = [str(int(a)) if (at == at.astype(int)).all() else units.format(a, "date") for a in at]
    label_px = int(max(marks.px(f"{_name(p)} {_short(wide[p].iloc[-1], base, total.max())}", 11.5) for p in parts))
    plot = width - Y_AXIS_PX - label_px - 18
    gap = (np.diff(at).min() / (at[-1] - at[0] + np.diff(at).min()) if len(at) > 1 else 0.4) * plot
    bar, top = min(0.64 * gap, 64.0), (0.0, float(total.max()) * 1.12)
    x = gap / 2 + (at - at[0]) / max(at[-1] - at[0], 1e-9) * (plot - gap) if len(at) > 1 else np.array([plot / 2])
    to_y = marks.pixels(top, height, log=False, down=True)[0]
    word = units.word(top[1], base)[1]
    y_of = marks.axis(alt.Y, "", top, log=False, base=base, title=axis_title.format(word), minExtent=Y_AXIS_PX, maxExtent=Y_AXIS_PX)
    if unit == "chips" and word != "1":
        y_of = marks.axis(alt.Y, "", top, log=False, base="count", title=axis_title, minExtent=Y_AXIS_PX, maxExtent=Y_AXIS_PX)
    x_of = lambda name: alt.X(name, type="quantitative", axis=None, scale=alt.Scale(domain=[0, plot], nice=False))  # noqa: E731
    edges = np.cumsum(np.c_[np.zeros(len(at)), wide[parts]], axis=1)
    pieces = pd.concat(
        pd.DataFrame(dict(x=x - bar / 2, x2=x + bar / 2, y=edges[:, i], y2=edges[:, i + 1], part=part, fill=theme.TIERS[part])) for i, part in enumerate(parts)
    )
    pieces = pieces[pieces["y2"] > pieces["y"]].reset_index(drop=True)  # a tier that is empty in a period has no bar
    layers = []
    for hollow, of in pieces.groupby(pieces["part"] == SPARE):
        rim = dict(stroke=theme.NEUTRAL["axis"], strokeDash=theme.DASH["announced"]) if hollow else dict(stroke=theme.PAPER)
        layers.append(alt.Chart(of).mark_bar(strokeWidth=1, **rim).encode(x=x_of("x"), x2="x2", y=y_of("y"), y2="y2", fill=marks.style("fill", alt.Fill)))
    for c in range(len(at)):
        layers += marks.note(heads[c], x[c], height + 13, align="center", size=theme.SIZE["axis"], color=marks.INK2, halo=False)
        layers += marks.note(_short(total.iloc[c], base, total.max()), x[c], float(to_y(total.iloc[c])) - 9, align="center", bold=True)
        for i, part in enumerate(parts):
            low, high = float(to_y(edges[c, i])), float(to_y(edges[c, i + 1]))
            words = _short(wide[part].iloc[c], base, total.max())
            if c < len(at) - 1 and low - high >= SEGMENT_PX and marks.px(words, 11.5) < bar:
                color = marks.INK2 if part == SPARE else theme.text_on(theme.TIERS[part])
                layers += marks.note(words, x[c], (low + high) / 2, align="center", size=theme.SIZE["cell"], color=color, halo=False)
    ends = [i for i, part in enumerate(parts) if wide[part].iloc[-1] > 0]
    places = marks.spread([float(to_y((edges[-1, i] + edges[-1, i + 1]) / 2)) for i in ends], height)
    for i, place in zip(ends, places, strict=True):
        words = f"{_name(parts[i])} {_short(wide[parts[i]].iloc[-1], base, total.max())}"
        layers += marks.note(words, x[-1] + bar / 2 + 7, place, halo=False)

    tiers = wide.drop(columns=SPARE)
    last = (tiers.iloc[-1] / max(total.iloc[-1], 1e-300)).sort_values(ascending=False, kind="stable")
    title = f"{_name(last.index[0])} takes {share(last.iloc[0])} of {of_what} {'by' if len(at) > 1 else 'in'} {heads[-1]}"
    if len(last) > 1 and last.iloc[0] - last.iloc[1] < ALIKE:
        both = f"{_name(last.index[0])} and {figure.lower(_name(last.index[1]))}"
        title = f"{both} take alike of {of_what}: {share(last.iloc[0])} and {share(last.iloc[1])}"
    if "training" in tiers and len(at) > 1:
        peak = int(tiers["training"].to_numpy().argmax())
        title += (
            f"; training stops growing in {heads[peak]}" if 0 < peak < len(at) - 1 else "; training never grows" if peak == 0 else "; training grows to the end"
        )
    hollow = "hollow = spare" if SPARE in parts else ""
    lines = figure.subtitle(width, f"{what} by tier in the cheapest plan that meets the demand", hollow)
    words = f"Stacked bar chart of {figure.lower(what)} by tier, {len(at)} periods from {heads[0]} to {heads[-1]}. {title}. "
    say = lambda v: _short(v, base, v) if base == "1" else units.format(v, base, 2)  # noqa: E731
    words += f"The fleet goes from {say(total.iloc[0])} to {say(total.iloc[-1])}; {_name(last.index[0])} from {say(tiers[last.index[0]].iloc[0])} to "
    words += f"{say(tiers[last.index[0]].iloc[-1])}. The plan of one scenario, without intervals. Values in the table beside it."
    data = pd.DataFrame({"tier": [*(_name(p) for p in parts), "Total"]})
    for c, head in enumerate(heads):
        data[head] = [say(wide[p].iloc[c]) for p in parts] + [say(total.iloc[c])]
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, data)


def _name(part: str) -> str:
    return "Spare" if part == SPARE else TIERS[part]


def count(x) -> str:
    """A number of chips on a mark: whole from 10, two digits from 1,000, k from 10,000, m from a million."""
    return units.axis_labels([float(f"{x:.2g}") if x >= 1000 else round(x, 0 if x >= 10 else 1)], "count")[0]


def _short(x, base: str, most: float) -> str:
    """A number on a bar without its unit, all in the prefix of the axis."""
    if base == "1":
        return count(x)
    return units.format(x, base, 2, bare=True, as_word=None if base == "USD" else units.word(most, base))


# ------------------------------------------------------------------ where the savings come from


def savings(steps, width: int = theme.WIDTH["notebook"]) -> figure.Figure:
    """From the first total to the last, step by step: what each change saves or costs.

    Rows in order: step, usd; the first and the last are totals, those between are signed and must lead from one to the other.
    """
    amount = steps["usd"].to_numpy(float)
    if abs(amount[:-1].sum() - amount[-1]) > 1e-6 * abs(amount[0]):
        raise ValueError(f"steps lead to {usd(amount[:-1].sum())}, the last total is {usd(amount[-1])}")
    ends = np.cumsum(amount[:-1])
    start, low = np.r_[0.0, ends[:-1], 0.0], np.r_[ends, amount[-1]]
    total = np.r_[True, np.zeros(len(amount) - 2, bool), True]
    data = pd.DataFrame(dict(name=steps["step"].astype(str).to_numpy(), x=start, x2=low, amount=amount, total=total))
    data["fill"] = np.where(total, theme.CHANGE["total"], np.where(amount < 0, theme.CHANGE["lowers"], theme.CHANGE["raises"]))
    data["text"] = [
        usd(a) if t else f"{'+' if a > 0 else ''}{usd(a)}{units.NBSP * 2}{'+' if a > 0 else ''}{share(a / amount[0])}"
        for a, t in zip(amount, total, strict=True)
    ]
    data = data.assign(row=range(len(data)), stroke=data["fill"], end=data[["x", "x2"]].max(axis=1))
    left, height = int(max(marks.px(name, 11) for name in data["name"])) + 14, theme.ROW * len(data)
    plot = width - left - 20
    extent = 0.0, data["end"].max() * plot / (plot - 96)
    x = marks.axis(alt.X, "", extent, log=False, base="USD", orient="top", domain=False, ticks=False, title=None)
    band = alt.Y("row:O", axis=None, scale=alt.Scale(domain=data["row"].tolist(), paddingInner=0, paddingOuter=0))
    joints = data[:-1].assign(next=data["row"][:-1] + 1)[["x2", "row", "next"]]
    layers = [alt.Chart(joints).mark_rule(color=theme.NEUTRAL["axis"], strokeWidth=1).encode(x=x("x2"), y=band, y2="next:O")]
    layers += [marks.bars(data, data, x("x"), "x2"), *marks.texts(data, x("end"), marks.band(data), dx=7)]
    layers += marks.texts(data, alt.value(-8), marks.band(data), "name", align="right", halo=False)

    first, last, saved = data.iloc[0], data.iloc[-1], amount[0] - amount[-1]
    down = data[~data["total"] & (data["amount"] < 0)].sort_values("amount", kind="stable").head(2)
    title = f"The cost {'falls' if saved > 0 else 'rises'} by {share(abs(saved) / amount[0])} from {usd(amount[0])}"
    if abs(saved) < 0.01 * abs(amount[0]):
        title = f"The first plan and the last cost alike: {usd(amount[0])} and {usd(amount[-1])}"
    elif saved > 0 and len(down):
        parts = [f"{figure.lower(n)} ({share(-a / saved)})" for n, a in zip(down["name"], down["amount"], strict=True)]
        told = [f"{title}, most of it by {' and '.join(parts[:k])}" for k in (2, 1)]
        title = next((words for words in told if len(figure.title_lines(words)) <= 2), title)
    lines = figure.subtitle(width, "Cost of the plan, real US$; each step changes one thing more, the rest planned anew; % of the first")
    words = f"Waterfall chart of the cost of a fleet from {figure.lower(first['name'])} to {figure.lower(last['name'])} in {len(data) - 2} steps. {title}. "
    words += f"The steps, in order: {', '.join(f'{n} {a}' for n, a in zip(data['name'][1:-1], map(usd, amount[1:-1]), strict=True))}. "
    words += f"The total goes from {usd(amount[0])} to {usd(amount[-1])}. One scenario, without intervals. Values in the table beside it."
    table = pd.DataFrame({"step": data["name"], "US$": [usd(a) for a in amount], "of the first total": [share(a / amount[0]) for a in amount]})
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, table)


# ------------------------------------------------------------------ who is served by what


def serves(routes, width: int = theme.WIDTH["notebook"]) -> figure.Figure:
    """Classes of demand against the chips that serve them, the share of a class's requests in each cell, the tier at the head.

    Rows: demand, chip, tier, share (of the class's requests). The chip `shed` stands for requests that are not served.
    """
    rows = routes[routes["share"] > 0.005].assign(
        chip=lambda t: t["chip"].astype(str), tier=lambda t: t["tier"].astype(str), demand=lambda t: t["demand"].astype(str)
    )
    classes = list(dict.fromkeys(routes["demand"].astype(str)))
    order = {tier: i for i, tier in enumerate(TIERS)}
    places = rows.groupby(["tier", "chip"], observed=True)["share"].sum().reset_index()
    places = places.assign(order=places["tier"].map(order).fillna(len(order)) + 99 * (places["chip"] == SHED))
    places = places.sort_values(["order", "share"], ascending=[True, False], kind="stable").reset_index(drop=True)
    kept = places[(places["share"].rank(ascending=False, method="first") <= MOST_COLUMNS) | (places["chip"] == SHED)].reset_index(drop=True)
    chips = [c for c in kept["chip"] if c != SHED]
    known = figure.looks(chips)["name"] if chips else {}
    kept["name"] = ["Not served" if c == SHED else known[c] for c in kept["chip"]]
    left = int(max(marks.px(name, 12) for name in classes)) + 14
    plot, height = width - left - 20, theme.ROW * len(classes)
    cell = plot / len(kept)
    column = {(p.tier, p.chip): i for i, p in enumerate(kept.itertuples())}
    cells = rows[[key in column for key in zip(rows["tier"], rows["chip"], strict=True)]].copy()
    cells["i"] = [column[key] for key in zip(cells["tier"], cells["chip"], strict=True)]
    cells = cells.groupby(["demand", "i", "chip"], observed=True, sort=False)["share"].sum().reset_index()
    cells["row"] = [classes.index(d) for d in cells["demand"]]
    shades = theme.SEQUENTIAL[1:7]
    cells["fill"] = [
        theme.PAPER if c == SHED else shades[min(int(s * len(shades)), len(shades) - 1)] for s, c in zip(cells["share"], cells["chip"], strict=True)
    ]
    cells = cells.assign(x=cells["i"] * cell, x2=cells["i"] * cell + cell, y=cells["row"] * theme.ROW, y2=(cells["row"] + 1) * theme.ROW)
    cells["label"], cells["text"] = [theme.text_on(c) for c in cells["fill"]], [share(s) for s in cells["share"]]
    cells["stroke"] = [theme.NEUTRAL["axis"] if c == theme.PAPER else theme.PAPER for c in cells["fill"]]
    x_of = lambda name: alt.X(name, type="quantitative", axis=None, scale=alt.Scale(domain=[0, plot], nice=False))  # noqa: E731
    y_of = lambda name: alt.Y(name, type="quantitative", axis=None, scale=alt.Scale(domain=[height, 0], nice=False))  # noqa: E731
    rules = pd.DataFrame(dict(y=[theme.ROW * i for i in range(len(classes) + 1)], x=0.0, x2=cell * len(kept)))
    layers = [alt.Chart(rules).mark_rule(color=theme.NEUTRAL["grid"], strokeWidth=1).encode(x=x_of("x"), x2="x2", y=y_of("y"))]
    looks = dict(fill=marks.style("fill", alt.Fill), stroke=marks.style("stroke", alt.Stroke))
    layers.append(alt.Chart(cells).mark_rect(strokeWidth=1).encode(x=x_of("x"), x2="x2", y=y_of("y"), y2="y2", **looks))
    mid = cells.assign(x=(cells["x"] + cells["x2"]) / 2, y=(cells["y"] + cells["y2"]) / 2)[["x", "y", "text", "label"]]
    layers += marks.texts(mid, x_of("x"), y_of("y"), color="label", align="center", size=theme.SIZE["cell"], halo=False)
    for i, name in enumerate(classes):
        layers += marks.note(name, -8, theme.ROW * (i + 0.5), align="right", size=theme.SIZE["axis"], halo=False)
    layers += _heads(kept, cell)

    alone = int((rows.groupby("demand", observed=True)["share"].max() > 0.995).sum())
    count = rows[rows["chip"] != SHED].groupby("chip", observed=True)["demand"].nunique().sort_values(ascending=False, kind="stable")
    shed = sorted(set(rows["demand"][rows["chip"] == SHED]), key=classes.index)
    title = "No class of demand is served"
    if len(count):
        most = figure.looks([count.index[0]])["name"].iloc[0].replace(" ", units.NBSP)
        title = f"{most} serves {count.iloc[0]} of {len(classes)} classes of demand; {alone} {'are' if alone != 1 else 'is'} served by one chip alone"
        if len(count) > 1 and count.iloc[1] == count.iloc[0]:
            title = f"{len(count)} chips serve {len(classes)} classes of demand; {alone} {'are' if alone != 1 else 'is'} served by one chip alone"
    cut = len(places) - len(kept)
    notes = [f"not served in full: {', '.join(shed)}" if shed else "", f"{cut} more places left out, the least used" if cut else ""]
    lines = figure.subtitle(width, "Share of the requests of a class that a chip serves, by the tier it stands in; dark = more", *notes)
    words = f"Matrix of {len(classes)} classes of demand by the chips that serve them, shares of requests in the cells. {title}. "
    words += f"Chips: {', '.join(f'{n} ({_tier(t)})' for n, t, c in zip(kept['name'], kept['tier'], kept['chip'], strict=True) if c != SHED)}. "
    words += f"{len(shed)} classes are not served in full. The plan of one scenario, without intervals. Values in the table beside it."
    told = rows.assign(name=["Not served" if c == SHED else figure.looks([c])["name"].iloc[0] for c in rows["chip"]]).sort_values(
        "demand", key=lambda d: d.map(classes.index), kind="stable"
    )
    data = pd.DataFrame({"demand": told["demand"], "chip": told["name"], "tier": [_tier(t) for t in told["tier"]], "share": [share(s) for s in told["share"]]})
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, data.reset_index(drop=True))


def _tier(tier: str) -> str:
    return TIERS.get(tier, "")


def _heads(kept, cell) -> list:
    """Names of the chips over their columns, in lines as wide as these, and over them the bar and name of their tier."""
    layers, named = [], [textwrap.wrap(name, max(int(cell / 6.6), 4), break_long_words=False)[:HEAD_LINES] for name in kept["name"]]
    high = 27 + 13 * max(map(len, named)) - 13
    for i, lines in enumerate(named):
        for j, line in enumerate(reversed(lines)):
            layers += marks.note(line, (i + 0.5) * cell, -9 - 13 * j, align="center", size=theme.SIZE["cell"], halo=False)
    for tier, of in kept[kept["chip"] != SHED].groupby("tier", observed=True, sort=False):
        if tier in TIERS:
            at = pd.DataFrame([dict(fill=theme.TIERS[tier])])
            place = dict(x=alt.value(of.index[0] * cell + 1), x2=alt.value((of.index[-1] + 1) * cell - 1), y=alt.value(-high), y2=alt.value(5 - high))
            layers.append(alt.Chart(at).mark_rect(color=theme.TIERS[tier]).encode(**place))
            words = TIERS[tier] if marks.px(TIERS[tier], 11) <= cell * len(of) - 4 else TIERS[tier].split(" ")[0].replace("Cost-optimized", "Cost-opt.")
            layers += marks.note(words, of.index[0] * cell + 2, -high - 10, size=theme.SIZE["cell"], color=marks.INK2, halo=False)
    return layers
