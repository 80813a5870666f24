"""Charts of a fleet bought for training: where its chips go, and what stands idle under three policies.

As in `charts`, each function takes tables (of `studies.vintages`) and returns a `Figure`.
"""

import altair as alt
import numpy as np
import pandas as pd

from infertco import units
from infertco.views import figure, marks, theme
from infertco.views.tiering_charts import count

TIERS = dict(  # in the order drawn, top down: what chips do, then what they no longer do
    training="Training", premium="Premium inference", cost_optimized="Cost-optimized", batch="Batch", edge="Edge", idle="Idle", sold="Sold", retired="Retired",
)  # fmt: skip
SERVING, GONE, BOUGHT = ("premium", "cost_optimized", "batch", "edge"), ("sold", "retired"), "bought"
MOST_RIBBONS, MOST_COLUMNS, LEAST, POINTS = 20, 6, 0.01, 13  # LEAST: share of the largest column under which a ribbon is not drawn
RIBBON_OPACITY = 0.42
POLICIES = dict(hand_down="Handed down", resell="Sold", idle="Left idle")
ACTS = dict(hand_down="Handing chips down", resell="Selling chips", idle="Leaving chips idle")


def _color(tier: str) -> str:
    return theme.NEUTRAL["hair"] if tier == "idle" else theme.TIERS["retired" if tier in GONE else tier]


# ------------------------------------------------------------------ where chips go


def composed(flows, periods):
    """Chips by where they were and where they are between periods: (moves, stock), each (periods, tiers from, tiers to) or (periods, tiers).

    Parameters
    ----------
    flows : DataFrame
        period_to, tier_from, tier_to, vintage (and chip), chips, from the first purchase on; `bought` is a tier from. Where
        no flow stays in its tier, what does not leave is taken to stay.
    periods : sequence of Timestamp
        The columns to draw, in order. What is sold or retired between two of them is in the moves, not in the stock.

    Raises
    ------
    ValueError
        Where more chips leave a tier than it holds, or fewer move and stay.

    Notes
    -----
    Chips of one vintage in one tier are alike, so what moves on is a fair sample of where they came from.
    """
    tiers, names = list(TIERS), [*TIERS, BOUGHT]
    unknown = set(flows["tier_from"].astype(str)) | set(flows["tier_to"].astype(str))
    if unknown - set(names):
        raise ValueError(f"unknown tier '{sorted(unknown - set(names))[0]}'; known: {', '.join(names)}")
    line = flows.groupby([name for name in ("vintage", "chip") if name in flows], observed=True).ngroup().to_numpy()
    source, target = (flows[c].astype(str).map(names.index).to_numpy() for c in ("tier_from", "tier_to"))
    all_periods = np.sort(flows["period_to"].unique())
    when = np.searchsorted(all_periods, flows["period_to"].to_numpy())
    stays, n, t = bool((source == target).any()), line.max() + 1, len(tiers)
    held, gone = np.zeros((n, t)), [tiers.index(tier) for tier in GONE]
    origin, moves, stock = np.zeros((n, t + 1, t)), [], []
    for i, period in enumerate(all_periods):
        of = when == i
        moved = np.zeros((n, t + 1, t))
        np.add.at(moved, (line[of], source[of], target[of]), flows["chips"].to_numpy(float)[of])
        rest = held - moved[:, :t].sum(axis=2)
        if (rest < -1e-6 * held.sum() - 1e-9).any() or stays and (rest > 1e-6 * held.sum() + 1e-9).any():
            k = int(np.abs(rest).sum(axis=0).argmax())
            off, when = rest[:, k].sum(), f"{pd.Timestamp(period):%Y-%m}"
            raise ValueError(f"flows of {tiers[k]} do not balance in {when}: {abs(off):,.1f} chips too {'few' if off > 0 else 'many'} leave or stay")
        moved[:, range(t), range(t)] += np.maximum(rest, 0.0)
        going = np.divide(moved[:, :t], held[:, :, None], out=np.zeros((n, t, t)), where=held[:, :, None] > 0)
        left = origin[:, :, gone]
        origin = origin @ going
        origin[:, :, gone] += left
        origin[:, t] += moved[:, t]
        held = moved.sum(axis=1)
        held[:, gone] = 0.0
        if pd.Timestamp(period) in periods:
            moves.append(origin.sum(axis=0))
            stock.append(held.sum(axis=0))
            origin = np.zeros((n, t + 1, t))
            origin[:, range(t), range(t)] = held
    return np.array(moves), np.array(stock)


def _columns(flows):
    """(Periods, moves, stock): as many equal steps of whole years as leave no more than the most ribbons."""
    periods = pd.DatetimeIndex(np.sort(flows["period_to"].unique()))
    for years in range(1, 50):
        at = [p for p in periods if (p.year - periods[0].year) % years == 0 and p.month == periods[0].month]
        moves, stock = composed(flows, at)
        if len(at) <= 2 or len(at) <= MOST_COLUMNS and (moves[1:, :-1] > LEAST * stock.sum(axis=1).max()).sum() <= MOST_RIBBONS:
            return at, moves, stock


def flows(table, stock=None, width: int = theme.WIDTH["notebook"], height: int = 330) -> figure.Figure:
    """Chips by tier at a few dates, ribbons for those that stay or move on, in the color of where they come from.

    Rows: those of `vintages.flows`; hollow: bought since the date before. `stock` (period, tier, chips), if given, must be
    what the flows lead to; a `ValueError` says where it is not.
    """
    at, moves, held = _columns(table)
    if len(at) < 2:
        return figure.nothing(table.assign(chip="", reason="flows of two dates at least are needed"), width)
    _check(stock, at, held)
    tiers, heads = list(TIERS), [str(p.year) if p.month == 1 else f"{p:%Y-%m}" for p in at]
    blocks = held.copy()
    blocks[1:, -len(GONE) :] = moves[1:, :-1, -len(GONE) :].sum(axis=1)
    least, most = LEAST * held.sum(axis=1).max(), blocks.sum(axis=1).max()
    shown = blocks > 1e-9 * most
    gap = theme.LABEL_GAP + 2
    names = {tier: f"{TIERS[tier]} " for tier in TIERS}
    left, right = (int(max((marks.px(names[tiers[k]] + count(blocks[c, k]), 11.5) for k in np.flatnonzero(shown[c])), default=0)) for c in (0, -1))
    plot, bar = width - left - right - 20, 13
    size = (height - gap * (shown.sum(axis=1).max() - 1)) / most
    x = np.linspace(0, plot - bar, len(at))
    top = np.array([[(blocks[c, :k] * size + gap * shown[c, :k]).sum() for k in range(len(tiers))] for c in range(len(at))])

    pieces, ribbons, small = [], [], 0.0
    for c in range(len(at)):
        for k in np.flatnonzero(shown[c]):
            y, y2, color = top[c, k], top[c, k] + blocks[c, k] * size, _color(tiers[k])
            new = moves[c, -1, k] * size if c and tiers[k] not in GONE else 0.0
            pieces.append(dict(x=x[c], x2=x[c] + bar, y=y, y2=y2 - new, fill=color, stroke=theme.NEUTRAL["axis"] if tiers[k] == "idle" else color))
            pieces.append(dict(x=x[c], x2=x[c] + bar, y=y2 - new, y2=y2, fill=theme.PAPER, stroke=color))
    u = np.linspace(0, 1, POINTS)
    for c in range(1, len(at)):
        out, into = top[c - 1].copy(), top[c].copy()
        for k in range(len(tiers)):
            for j in range(len(tiers)):
                chips = moves[c, k, j]
                if chips > least:
                    bend = u * u * (3 - 2 * u)
                    y = out[k] + (into[j] - out[k]) * bend
                    color = theme.NEUTRAL["mark"] if tiers[k] == "idle" else _color(tiers[k])
                    ribbons.append(
                        pd.DataFrame(dict(x=x[c - 1] + bar + u * (x[c] - x[c - 1] - bar), y=y, y2=y + chips * size, ribbon=f"{c} {k} {j}", fill=color))
                    )
                else:
                    small += chips
                out[k], into[j] = out[k] + chips * size, into[j] + chips * size
    x_of = lambda name: alt.X(name, type="quantitative", axis=None, scale=alt.Scale(domain=[0, plot], nice=False))  # noqa: E731
    y_of = lambda name: alt.Y(name, type="quantitative", axis=None, scale=alt.Scale(domain=[height, 0], nice=False))  # noqa: E731
    layers = []
    if ribbons:
        area = alt.Chart(pd.concat(ribbons, ignore_index=True).round(1)).mark_area(opacity=RIBBON_OPACITY, interpolate="monotone")
        layers.append(area.encode(x=x_of("x"), y=y_of("y"), y2="y2", detail="ribbon:N", fill=marks.style("fill", alt.Fill)))
    pieces = pd.DataFrame(pieces)
    pieces = pieces[pieces["y2"] - pieces["y"] > 0.2].round(1)
    rects = alt.Chart(pieces).mark_rect(strokeWidth=1.5)
    layers.append(rects.encode(x=x_of("x"), x2="x2", y=y_of("y"), y2="y2", fill=marks.style("fill", alt.Fill), stroke=marks.style("stroke", alt.Stroke)))
    named = shown[0] | shown[-1]
    for c, head in enumerate(heads):
        layers += marks.note(head, x[c] + bar / 2, -14, align="center", bold=True, halo=False)
        for k in np.flatnonzero(shown[c]):
            first, words = c == 0, count(blocks[c, k])
            words = names[tiers[k]] + words if c in (0, len(at) - 1) or not named[k] else words
            side = dict(align="right") if first else dict(align="left")
            layers += marks.note(words, x[c] - 6 if first else x[c] + bar + 5, top[c, k] + blocks[c, k] * size / 2, size=theme.SIZE["note"], **side)

    title = _flow_title(table, at, heads, held)
    what = "Chips by tier; ribbons follow them in the color of their origin; hollow = bought since the date before"
    lines = figure.subtitle(width, what, f"flows under {LEAST:.0%} of the fleet not drawn: {count(small)} chips" if small > 0 else "")
    words = f"Flow diagram of chips by tier at {len(at)} dates, {heads[0]} to {heads[-1]}. {title}. "
    words += f"The fleet goes from {count(held[0].sum())} to {count(held[-1].sum())} chips; {count(moves[1:, -1].sum())} are bought after the first date and "
    words += f"{count(moves[1:, :-1, -len(GONE) :].sum())} sold or retired by the last. One path, without intervals. Values in the table beside it."
    data = pd.DataFrame({"tier": [TIERS[tiers[k]] for k in np.flatnonzero(shown.any(axis=0))]})
    for c, head in enumerate(heads):
        data[head] = [units.format(blocks[c, k], digits=2) if shown[c, k] else "0" for k in np.flatnonzero(shown.any(axis=0))]
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, data)


def _check(stock, at, held):
    if stock is None:
        return
    given = stock[stock["period"].isin(at)].groupby(["period", stock["tier"].astype(str)], observed=True)["chips"].sum()
    for period, row in zip(at, held, strict=True):
        for tier, chips in zip(TIERS, row, strict=True):
            there = float(given.get((period, tier), 0.0))
            if tier not in GONE and abs(there - chips) > 1e-6 * held.sum():
                raise ValueError(f"stock and flows do not agree: {tier} in {period:%Y-%m} holds {there:,.1f} chips, flows lead to {chips:,.1f}")


def _flow_title(table, at, heads, held) -> str:
    """How many of the first training chips serve users, by the date at which most do."""
    training, tiers = float(held[0, 0]), list(TIERS)
    if training <= 0:
        return f"The fleet goes from {count(held[0].sum())} chips in {heads[0]} to {count(held[-1].sum())} in {heads[-1]}"
    at_all = [composed(table, [at[0], period])[0][1][0] for period in at[1:]]
    serving = np.array([sum(of[tiers.index(tier)] for tier in SERVING) for of in at_all])
    best = int(serving.argmax())
    say = lambda x: units.format(x, digits=2) if x >= 1000 else units.format(round(x))  # noqa: E731
    head = f"the {say(training)} training chips of {heads[0]}"
    if serving[best] < 0.005 * training:
        left = max((name for name in TIERS if name != "training"), key=lambda name: at_all[-1][tiers.index(name)])
        gone = at_all[-1][tiers.index(left)]
        return (
            f"None of {head} serve users later; {say(gone)} are {TIERS[left].lower()} by {heads[-1]}"
            if gone
            else f"All of {head} still train in {heads[-1]}"
        )
    return f"Of {head}, {say(serving[best])} serve users by {heads[best + 1]}"


# ------------------------------------------------------------------ what stands idle


def stranded(table, summary=None, width: int = theme.WIDTH["notebook"], height: int = 210) -> figure.Figure:
    """Dollars of capital that stand idle a year, and dollars paid a year, under three policies for chips that leave training.

    Parameters
    ----------
    table : DataFrame
        policy, year (or period), stranded_usd and usd; periods of one year are added up.
    summary : DataFrame, optional
        policy and npv_usd, the whole cost with what the stock is worth in the end; without it the years are added up.
    """
    table = table if "year" in table else table.assign(year=pd.DatetimeIndex(table["period"]).year)
    rows = table.groupby(["policy", "year"], observed=True, sort=False)[["stranded_usd", "usd"]].sum().reset_index()
    policies = [p for p in POLICIES if p in set(rows["policy"])]
    total = rows.groupby("policy", observed=True)[["stranded_usd", "usd"]].sum().loc[policies]
    whole = total["usd"] if summary is None else summary.set_index("policy")["npv_usd"].loc[policies]
    ends_px, gap = int(max(marks.px(POLICIES[p]) for p in policies)) + 10, 14
    plot = (width - 20 - 2 * (52 + ends_px) - gap) // 2
    panels = []
    for name, title in (("stranded_usd", "Stranded, US$ a year"), ("usd", "Paid, US$ a year")):
        low, high = min(rows[name].min(), 0.0), max(float(rows[name].max()), 1.0)
        extent = (low * 1.08, high * 1.08)
        years = float(rows["year"].min()), float(rows["year"].max())
        x, y = marks.year_axis(years, plot), marks.axis(alt.Y, "", extent, log=False, base="USD", title=None, minExtent=52, maxExtent=52)
        to_y = marks.pixels(extent, height, log=False, down=True)[0]
        layers, places = marks.note(title, 0, -13, bold=True, halo=False), []
        for policy in reversed(policies):
            line, mine = rows[rows["policy"] == policy][["year", name]], policy == policies[0]
            how = (
                dict(color=theme.PIVOT["inference"], strokeWidth=3)
                if mine
                else dict(color=theme.NEUTRAL["axis"], strokeWidth=1.75, strokeDash=[1, 0] if policy == "resell" else theme.DASH["twin"])
            )
            layers.append(alt.Chart(line).mark_line(**how).encode(x=x("year"), y=y(name)))
            places.append(float(to_y(line[name].iloc[-1])))
        for policy, place in zip(reversed(policies), marks.spread(places, height), strict=True):
            mine = policy == policies[0]
            layers += marks.note(POLICIES[policy], plot + 6, place, bold=mine, color=theme.PIVOT["inference"] if mine else marks.INK2, halo=False)
        panels.append(alt.layer(*layers, width=plot, height=height))

    usd = lambda v: units.format(v, "USD", 2)  # noqa: E731
    order, first, last = whole.sort_values(kind="stable"), int(rows["year"].min()), int(rows["year"].max())
    best, of = order.index[0], dict(hand_down="handing down", resell="selling", idle="idling")
    others = " and ".join(f"{usd(order[p] - order.iloc[0])} against {of[p]}" for p in order.index[1:])
    title = f"{ACTS[best]} saves {others}, {first} to {last}"
    if len(order) < 2 or order.iloc[1] - order.iloc[0] < 0.01 * abs(order.iloc[0]):
        title = f"The two cheapest policies for old chips cost alike: within 1%, {first} to {last}"
    basis = "saving: present value, less what the stock is worth in the end" if summary is not None else "saving: the years added up"
    lines = figure.subtitle(width, "Chips that leave training handed down, sold or left idle; stranded: capital cost of chips without work", basis)
    stranded_of = ", ".join(f"{usd(total['stranded_usd'][p])} {figure.lower(POLICIES[p])}" for p in policies)
    words = (
        f"Line charts of stranded dollars and of dollars paid a year under {len(policies)} policies for chips that leave training, {first} to {last}. {title}. "
    )
    words += f"Stranded in all: {stranded_of}. Real dollars of one path, without intervals. Values in the table beside it."
    data = pd.DataFrame(
        {"policy": [POLICIES[p] for p in policies], "stranded, US$": [usd(v) for v in total["stranded_usd"]], "paid, US$": [usd(v) for v in total["usd"]]}
    )
    if summary is not None:
        data["present value, US$"] = [usd(v) for v in whole]
    return figure.Figure(alt.hconcat(*panels, spacing=gap), title, lines, words, data)
