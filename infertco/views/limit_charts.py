"""Charts of what binds a fleet: cost against a limit, what one more of each is worth, plans over scenarios.

As in `charts`, each function takes a table (of `studies.tiering`) and returns a `Figure`.
"""

import altair as alt
import numpy as np
import pandas as pd

from infertco import units
from infertco.views import figure, marks, tables, theme
from infertco.views.tiering_charts import share, usd

Y_AXIS_PX, LOG_FROM = 56, 8.0  # LOG_FROM: a limit that spans so many times is drawn on a logarithmic scale
ENDINGS = dict(_usd="USD", _s="s", _w="W", _g="g", _j="J", _kwh="USD/kWh", _bytes="byte")
WORDS = dict(tpot_factor=("TPOT limits", "share"))  # what is walked and is no field: label, unit; 100% is what was asked for
FLAT = 0.01  # changes of the cost under this are none
SURE = 0.8  # share of scenarios that must agree before one plan is said to be cheaper


# ------------------------------------------------------------------ cost against a limit


def base_unit(name: str) -> str:
    """The unit of a column: of its field, or by its ending."""
    known = WORDS[name][1] if name in WORDS else tables.unit(name)
    return known or next((unit for end, unit in ENDINGS.items() if name.endswith(end)), "1")


def label(name: str) -> str:
    """A limit in words; the unit at the end of a name that is no field goes."""
    if name in WORDS:
        return WORDS[name][0]
    words = tables.meta(name)["label"]
    return words if name in tables.FIELDS else words.removesuffix(next((end.replace("_", " ") for end in ENDINGS if name.endswith(end)), ""))


def frontier(table, x: str, width: int = theme.WIDTH["notebook"], height: int = 250) -> figure.Figure:
    """Cost of the best plan against a limit, one point a plan, the chosen one marked; limits without a plan hollow on the axis.

    Rows: the limit `x`, usd (NaN where no plan meets it) and perhaps `chosen`.
    """
    rows, unit = table.dropna(subset=[x]).sort_values(x, ignore_index=True), base_unit(x)
    found = rows[rows["usd"].notna()].reset_index(drop=True)
    if len(found) < 2:
        return figure.nothing(table.assign(chip="", reason="two plans at least are needed"), width)
    say = lambda v: units.format(float(f"{v:.3g}"), unit, name=x)  # noqa: E731
    plot = width - Y_AXIS_PX - 40
    log = rows[x].min() > 0 and rows[x].max() > LOG_FROM * rows[x].min()
    room = (rows[x].max() / rows[x].min()) ** 0.04 if log else 0.04 * (rows[x].max() - rows[x].min())
    x_extent = (rows[x].min() / room, rows[x].max() * room) if log else (rows[x].min() - room, rows[x].max() + room)
    spread = max(found["usd"].max() - found["usd"].min(), 0.05 * found["usd"].max())
    y_extent = max(found["usd"].min() - 0.25 * spread, 0.0), found["usd"].max() + 0.2 * spread
    word = units.word(x_extent[1], unit, x)[1]
    head = f"{label(x)}{'' if unit in ('1', 'share') else ', US$' if unit.startswith('USD') else ', ' + word} →"
    x_of = marks.axis(alt.X, x, x_extent, log=log, base=unit, grid=False, title=head)
    y_of = marks.axis(alt.Y, "", y_extent, log=False, base="USD", title="↑ Cost of the plan, US$", minExtent=Y_AXIS_PX, maxExtent=Y_AXIS_PX)
    to_x, to_y = marks.pixels(x_extent, plot, log)[0], marks.pixels(y_extent, height, log=False, down=True)[0]
    color = theme.PIVOT["inference"]
    layers = [alt.Chart(found[[x, "usd"]]).mark_line(color=color, strokeWidth=2.5).encode(x=x_of(x), y=y_of("usd"))]
    chosen = found["chosen"].astype(bool) if "chosen" in found else pd.Series(False, found.index)
    dots = found[[x, "usd"]].assign(fill=color, outline=color, shape="circle")
    layers.append(marks.points(dots[~chosen], x_of(x), y_of("usd"), 40) if (~chosen).any() else marks.points(dots, x_of(x), y_of("usd"), 40))
    out = rows[rows["usd"].isna()]
    if len(out):
        none = out[[x]].assign(usd=y_extent[0], fill=theme.PAPER, outline=theme.NEUTRAL["axis"], shape="circle")
        layers.append(marks.points(none, x_of(x), y_of("usd"), 40))
        at = float(to_x(out[x].iloc[len(out) // 2]))
        layers += marks.note("no plan", at, height - 14, align="center" if at > 30 else "left", size=theme.SIZE["note"], color=marks.INK2)
    if chosen.any():
        here = found[chosen].iloc[0]
        layers.append(marks.points(dots[chosen].head(1).assign(fill=marks.INK, outline=marks.INK), x_of(x), y_of("usd"), 130))
        at, words = float(to_x(here[x])), f"chosen: {say(here[x])}, {usd(here['usd'])}"
        left = at + marks.px(words) + 14 > plot
        layers += marks.note(words, at - 10 if left else at + 10, float(to_y(here["usd"])) - 12, align="right" if left else "left", bold=True)

    start = found[chosen].iloc[0] if chosen.any() else found.loc[found["usd"].idxmin()]
    dear, cheap, name = found.loc[found["usd"].idxmax()], found.loc[found["usd"].idxmin()], figure.lower(label(x))
    more, less = dear["usd"] / start["usd"] - 1, 1 - cheap["usd"] / start["usd"]
    title = f"Moving {name} from {say(start[x])} to {say(dear[x])} costs {share(more)} more"
    if more < FLAT and less < FLAT:
        title = f"The {name} hardly matters: from {say(found[x].iloc[0])} to {say(found[x].iloc[-1])} the cost moves by under 1%"
    elif more < FLAT:
        title = f"Moving {name} from {say(start[x])} to {say(cheap[x])} saves {share(less)}; nothing dearer was found"
    elif less >= FLAT:
        title += f", to {say(cheap[x])} saves {share(less)}"
    notes = [f"{len(out)} limit{'s' * (len(out) > 1)} that no plan meets" if len(out) else "", "logarithmic limit" if log else ""]
    lines = figure.subtitle(width, f"Cost of the cheapest plan at each {name}, present value in real US$; all else as in the chosen plan", *notes)
    words = f"Line chart of the cost of the cheapest plan against {name}, {len(found)} plans. {title}. The cost runs from "
    words += f"{usd(cheap['usd'])} at {say(cheap[x])} to {usd(dear['usd'])} at {say(dear[x])}; {len(out)} of {len(rows)} limits are met by no plan. "
    words += "One scenario, without intervals. Values in the table beside it."
    data = pd.DataFrame({label(x): [say(v) for v in rows[x]], "cost, US$": [usd(v) for v in rows["usd"]]})
    data["above the least"] = [units.MISSING if v != v else share(max(round(v / cheap["usd"] - 1, 6), 0.0)) for v in rows["usd"]]
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, data)


# ------------------------------------------------------------------ what one more is worth


def shadow(limits, width: int = theme.WIDTH["notebook"], most: int = 12) -> figure.Figure:
    """What one more unit of each limit saves, largest first; what does not bind in words.

    Rows: limit, unit (in words, of one), usd (what one more of it takes off the cost) and binds. With `amount`, the limit
    itself in that unit, bars are what one per cent more of it saves, so that limits in unlike units compare.
    """
    binds = limits["binds"].astype(bool) & (limits["usd"] > 0)
    relative = "amount" in limits
    rows = limits.assign(binds=binds, value=np.where(binds, limits["usd"] * (limits["amount"] / 100 if relative else 1.0), 0.0))
    rows = rows.sort_values(["binds", "value"], ascending=False, kind="stable").head(most).reset_index(drop=True).assign(row=lambda t: range(len(t)))
    each = [f"{usd(v)} per {unit}" for v, unit in zip(rows["usd"], rows["unit"], strict=True)]
    rows["text"] = [
        (f"{usd(v)}{units.NBSP * 2}({e})" if relative else e) if b else "does not bind" for v, e, b in zip(rows["value"], each, rows["binds"], strict=True)
    ]
    left, height = int(max(marks.px(name, 11) for name in rows["limit"])) + 14, theme.ROW * len(rows)
    plot = width - left - 20
    room = max(marks.px(words, 12) for words in rows["text"]) + 12
    extent = 0.0, max(float(rows["value"].max()), 1e-9) * plot / max(plot - room, 60)
    color = theme.CHANGE["lowers"]
    data = rows[rows["binds"]].assign(fill=color, stroke=color)[["row", "value", "fill", "stroke"]]
    x = marks.axis(
        alt.X,
        "",
        extent,
        log=False,
        base="USD",
        orient="top",
        domain=False,
        ticks=False,
        labels=bool(relative and len(data)),
        grid=bool(relative and len(data)),
        title=None,
    )
    layers = [marks.bars(data, rows, x("value"))] if len(data) else []
    for part, of in rows[["row", "value", "text", "binds"]].groupby("binds"):
        layers += marks.texts(of, x("value"), marks.band(rows), dx=7, color=marks.INK if part else theme.NEUTRAL["muted"])
    layers += marks.texts(rows[["row", "limit"]], alt.value(-8), marks.band(rows), "limit", align="right", halo=False)
    base = pd.DataFrame([dict(value=0.0)])
    layers.append(alt.Chart(base).mark_rule(color=theme.NEUTRAL["axis"], strokeWidth=1).encode(x=x("value")))

    n, idle = int(rows["binds"].sum()), int((~binds).sum())
    first = rows.iloc[0]
    title = f"None of {len(limits)} limits binds: more of any saves nothing"
    if n:
        what = (
            f"1% more of the {figure.lower(first['limit'])} saves {usd(first['value'])}"
            if relative
            else f"One more {first['unit']} of {figure.lower(first['limit'])} saves {usd(first['usd'])}"
        )
        title = f"{what}; {n} of {len(limits)} limits bind" if n > 1 else f"{what}; no other limit binds"
    bars = "Saved by 1% more of each limit (by one unit more)" if relative else "Saved by one unit more of each limit"
    more = len(limits) - len(rows)
    lines = figure.subtitle(width, f"{bars}, present value in real US$; for small changes", f"{more} more limits save less or nothing" if more else "")
    told = "; ".join(f"{name} {e}" for name, e, b in zip(rows["limit"], each, rows["binds"], strict=True) if b) or "none"
    words = f"Bar chart of what one more of each limit of the plan saves, {len(limits)} limits. {title}. Those that bind: {told}. "
    words += f"{idle} do not bind. Shadow prices hold for small changes with whole numbers kept; one scenario, without intervals. "
    words += "Values in the table beside it."
    saved = [usd(v) if b else "$0" for v, b in zip(rows["usd"], rows["binds"], strict=True)]
    table = pd.DataFrame({"limit": rows["limit"], "one more": rows["unit"], "saves, US$": saved, "binds": [tables.YES[bool(b)] for b in rows["binds"]]})
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, table)


# ------------------------------------------------------------------ plans over scenarios


def robust(table, width: int = theme.WIDTH["notebook"], most: int = 12) -> figure.Figure:
    """Cost of each plan over the scenarios: all of them thin, the middle 80 % thick, the median marked; and how often it is the best.

    Rows: plan, scenario, usd; every plan in every scenario, NaN where it cannot meet the demand (counted as dearest).
    """
    wide = table.pivot(index="scenario", columns="plan", values="usd")
    known = wide.notna()
    filled = wide.fillna(np.inf)
    best = filled.eq(filled.min(axis=1), axis=0) & known
    best = best.div(best.sum(axis=1).replace(0, 1), axis=0).mean()
    mid = filled.quantile(0.5, interpolation="lower")
    order = mid.sort_values(kind="stable").index[:most]
    ends = {name: wide[order].quantile(q) for name, q in dict(least=0.0, low=0.1, high=0.9, top=1.0).items()}
    rows = pd.DataFrame(dict(name=[str(p) for p in order], mid=mid[order].to_numpy(), best=best[order].to_numpy(), missed=1 - known[order].mean().to_numpy()))
    rows = rows.assign(**{name: of.to_numpy() for name, of in ends.items()}, row=range(len(rows)))
    rows["mid"] = rows["mid"].where(np.isfinite(rows["mid"]), rows["top"])
    rows = rows[rows["mid"].notna()].reset_index(drop=True)
    if not len(rows):
        return figure.nothing(table.assign(chip="", reason="no plan meets the demand in any scenario"), width)
    left, height, words_px = int(max(marks.px(name, 11) for name in rows["name"])) + 14, theme.ROW * len(rows), 140
    plot = width - left - words_px
    span = max(rows["top"].max() - rows["least"].min(), 0.02 * rows["top"].max())
    extent = max(rows["least"].min() - 0.05 * span, 0.0), rows["top"].max() + 0.05 * span
    x = marks.axis(alt.X, "", extent, log=False, base="USD", orient="top", domain=False, ticks=False, title=None)
    layers = []
    for a, b, size in (("least", "top", 1.25), ("low", "high", 6)):
        color = theme.NEUTRAL["axis"] if size < 2 else theme.NEUTRAL["mark"]
        layers.append(alt.Chart(rows[["row", a, b]]).mark_rule(color=color, strokeWidth=size).encode(x=x(a), x2=b, y=marks.band(rows)))
    color = theme.PIVOT["inference"]
    dots = rows[["row", "mid"]].assign(fill=[color] + [theme.NEUTRAL["axis"]] * (len(rows) - 1), outline=marks.INK, shape="circle")
    layers.append(marks.points(dots, x("mid"), marks.band(rows), 90))
    layers += marks.texts(rows[["row", "name"]], alt.value(-8), marks.band(rows), "name", align="right", halo=False)
    for head, name, say, at in (("Median", "mid", usd, plot + 62), ("Best in", "best", share, plot + words_px - 20)):
        told = rows[["row"]].assign(text=[say(v) for v in rows[name]])
        layers += marks.texts(told, alt.value(at), marks.band(rows), align="right", color=marks.INK2, size=theme.SIZE["cell"], halo=False)
        layers += marks.note(head, at, -11, align="right", color=marks.INK2, size=theme.SIZE["axis"], halo=False)

    first, n = rows.iloc[0], len(wide)
    others = [r for r in rows.iloc[1:].itertuples() if (filled[order[0]] < filled[order[r.row]]).mean() < SURE]
    title = f"{first['name']}: {usd(first['mid'])} at the median and the best in {share(first['best'])} of {n} scenarios"
    if others:
        words = figure.COUNT[len(others) + 1] if len(others) + 1 < len(figure.COUNT) else str(len(others) + 1)
        low, high = usd(first["mid"]), usd(max(r.mid for r in others))
        cost = low if low == high else f"{low} to {high}"
        title = f"{words.capitalize()} plans cannot be told apart: {cost} at the median of {n} scenarios"
    often, missed = rows.loc[rows["best"].idxmax()], rows[rows["missed"] > 0]
    notes = [f"best {len(rows)} of {wide.shape[1]} plans" if len(rows) < wide.shape[1] else ""]
    notes += [f"without a plan in some scenarios: {', '.join(f'{r.name} in {share(r.missed)}' for r in missed.itertuples(index=False))}" if len(missed) else ""]
    lines = figure.subtitle(width, "Cost of each plan over the scenarios, real US$; mark = median, thick = 80% of them, thin = all", *notes)
    words = f"Range chart of the cost of {len(rows)} plans over {n} scenarios of demand and prices. {title}. "
    words += f"{often['name']} is the best most often, in {share(often['best'])}. Medians run from {usd(rows['mid'].min())} to {usd(rows['mid'].max())}, "
    words += f"single scenarios from {usd(rows['least'].min())} to {usd(rows['top'].max())}. "
    words += "Thick lines hold 80% of the scenarios. Values in the table beside it."
    ranges = [units.span(a, b, "USD", joint="–") for a, b in zip(rows["low"], rows["high"], strict=True)]
    data = {"plan": rows["name"], "median, US$": [usd(v) for v in rows["mid"]], "80%": ranges, "dearest, US$": [usd(v) for v in rows["top"]]}
    data = pd.DataFrame(data | {"best in": [share(v) for v in rows["best"]]})
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, data)
