"""Charts of money: the bill of one deployment term by term, own against rent over the utilization, spares, a hired day.

As in `charts`, each function takes a table and returns a `Figure`.
"""

import altair as alt
import numpy as np
import pandas as pd

from infertco import units, values
from infertco.views import figure, marks, theme
from infertco.views.tables import meta, text

USD, Y_AXIS_PX = "usd_per_mtok", 48
TERMS = [(part, term) for part in theme.COST for term in ([t for t, of in values.TERMS.items() if of == part] or [part])]
APIS = 2  # of the token prices, the least and the highest are drawn
STYLES = dict(owned=[6, 3], colo=[6, 3], reserved=[2, 3], on_demand=[1, 0], spot=[4, 3], api=[1, 3])


def share(x) -> str:
    return units.format(x, "share")


def dollars(x: float, decimals: int) -> str:
    """An amount of a bill that is added up: all with the same decimals."""
    return f"{units.MINUS if x < 0 else ''}${abs(x):,.{decimals}f}"


# ------------------------------------------------------------------ the bill, term by term


def waterfall(table, width: int = theme.WIDTH["notebook"]) -> figure.Figure:
    """The bill of a million output tokens, term on term, and what of it pays for hours in use and for idle ones.

    Rows: the first that has a price is drawn; `outputs="all"`. The amounts printed add up to the total printed: each is
    the step between two rounded sums.
    """
    names = [f"{USD}_{term}" for _, term in TERMS]
    rows = figure.drawable(table, [USD], within_limits=False, also=[*names, f"{USD}_usage", f"{USD}_idle"])
    if not len(rows):
        return figure.nothing(table, width)
    row = rows.iloc[0]
    total, chip = row[USD], row["name"].replace(" ", units.NBSP)
    decimals = 2 if total >= 1 else 3 if total >= 0.1 else 4
    found = [(part, term, row[name]) for (part, term), name in zip(TERMS, names, strict=True) if row[name] > 1e-9 * total]
    ends = np.cumsum([amount for *_, amount in found])
    bars = [(meta(f"{USD}_{term}")["label"], theme.COST[part], end - amount, end) for (part, term, amount), end in zip(found, ends, strict=True)]
    used = row[f"{USD}_usage"]
    bars += [("Whole bill", theme.CHANGE["total"], 0.0, total), ("In use", theme.CHANGE["lowers"], 0.0, used), ("Idle", theme.PAPER, used, total)]
    data = pd.DataFrame(bars, columns=["name", "fill", "x", "x2"])
    data = data.assign(row=range(len(data)), stroke=np.where(data["fill"] == theme.PAPER, theme.NEUTRAL["axis"], data["fill"]))
    data["amount"] = np.round(data["x2"], decimals) - np.round(data["x"], decimals)
    data["text"] = [f"{dollars(a, decimals)}{units.NBSP * 2}{share(s)}" for a, s in zip(data["amount"], (data["x2"] - data["x"]) / total, strict=True)]

    left, height = int(max(marks.px(name, 12) for name in data["name"])) + 14, theme.ROW * len(data)
    plot = width - left - 20
    extent = 0.0, total * plot / (plot - 92)
    x = marks.axis(alt.X, USD, extent, log=False, orient="top", domain=False, ticks=False, title=None)
    steps = data[: len(found)].assign(next=data["row"][: len(found)] + 1)
    band = alt.Y("row:O", axis=None, scale=alt.Scale(domain=data["row"].tolist(), paddingInner=0, paddingOuter=0))
    joints = alt.Chart(steps).mark_rule(color=theme.NEUTRAL["axis"], strokeWidth=1).encode(x=x("x2"), y=band, y2="next:O")
    layers = [joints, marks.bars(data, data, x("x"), "x2"), *marks.texts(data, x("x2"), marks.band(data), dx=7)]
    layers += marks.texts(data, alt.value(-8), marks.band(data), "name", align="right", halo=False)

    most = max(found, key=lambda of: of[2])
    label, idle = figure.lower(meta(f"{USD}_{most[1]}")["label"]), row[f"{USD}_idle"]
    title = f"Of {dollars(total, decimals)} per million tokens on {chip} {share(most[2] / total)} pays for the {label}"
    title += f"; {share(idle / total)} of all is paid for idle hours" if idle > 0 else ""
    scenario = figure.scenario_line(table)
    what = f"Cost of 1 million output tokens, US$, by term; {figure.INTERVAL} of the whole bill {units.span(row[f'{USD}_low'], row[f'{USD}_high'], 'USD/Mtok')}"
    lines = figure.subtitle(width, what, scenario, "In use and Idle split the same bill by the hours")
    words = f"Waterfall chart of the cost of a million output tokens by term on {row['name']}, {scenario or 'one scenario'}. {title}. "
    least = dollars(min(amount for *_, amount in found), decimals)
    words += f"The {len(found)} terms add up to {dollars(total, decimals)}, from {least} to {dollars(most[2], decimals)} each. "
    words += f"The 80% interval of the total is {units.span(row[f'{USD}_low'], row[f'{USD}_high'], 'USD/Mtok')}. Values in the table beside it."
    table = pd.DataFrame(
        {
            "term": data["name"],
            "US$/Mtok": [dollars(a, decimals) for a in data["amount"]],
            "share of the bill": [share(s) for s in (data["x2"] - data["x"]) / total],
        }
    )
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, table)


# ------------------------------------------------------------------ own, rent or buy


def over_utilization(table, now: float | None = None, width: int = theme.WIDTH["notebook"], height: int = 270) -> figure.Figure:
    """Cost of a million output tokens over the utilization, a line an ownership, and where owning undercuts each other one.

    Rows: those of `ownership.curves`. Lines in color are the chip's own; token prices are grey. `now` is marked.
    """
    rows = table[table["usd_per_mtok"].notna()]
    mine = rows[rows["own"]].sort_values("utilization")
    if not len(mine):
        return figure.nothing(table[table["own"]], width)
    prices = rows[rows["ownership"] == "api"].sort_values(USD, kind="stable")["title"].drop_duplicates().tolist()
    drawn = set(rows["title"][rows["ownership"] != "api"]) | ({prices[0], prices[-1]} if prices else set())
    rows = rows[rows["title"].isin(drawn)]
    look, first = figure.looks(table["chip"]).iloc[0], mine["title"].iloc[0]
    ends = rows.sort_values("utilization").groupby("title", sort=False).tail(1).sort_values(USD, kind="stable")
    ends = ends.assign(text=[_short(row) for row in ends.itertuples()])

    plot = width - Y_AXIS_PX - 20 - int(max(marks.px(words + " ↑") for words in ends["text"]))
    y_extent = rows[USD].min() / 1.25, min(rows[USD].max(), 8 * mine[USD].min()) * 1.25
    x_extent = 0.0, 1.0
    at = [0, 0.25, 0.5, 0.75, 1]
    labels = dict(values=at, labelExpr=f"{[share(v) for v in at]!r}[indexof({at!r}, datum.value)]")
    x = alt.X(
        "utilization",
        type="quantitative",
        scale=alt.Scale(domain=list(x_extent), nice=False),
        axis=alt.Axis(title="Utilization: served over capacity →", **labels),
    )
    y = marks.axis(alt.Y, USD, y_extent, title="↑ US$ per million output tokens", minExtent=Y_AXIS_PX, maxExtent=Y_AXIS_PX)
    to_y, from_y = marks.pixels(y_extent, height, down=True)
    columns = ["utilization", USD]
    layers = [
        alt.Chart(mine[[*columns, f"{USD}_low", f"{USD}_high"]])
        .mark_area(color=look["color"], opacity=theme.BAND_OPACITY, clip=True)
        .encode(x=x, y=y(f"{USD}_low"), y2=f"{USD}_high")
    ]
    for title, line in rows.sort_values("utilization").groupby("title", sort=False):
        of = line.iloc[0]
        kind = of["commitment"] or of["ownership"]
        how = dict(
            color=theme.NEUTRAL["axis"] if kind == "api" else look["color"],
            strokeDash=[1, 0] if title == first else STYLES[kind],
            strokeWidth=3 if title == first else 1.75,
        )
        layers.append(alt.Chart(line[columns]).mark_line(clip=True, **how).encode(x=x, y=y(USD)))
    if now:
        layers.append(alt.Chart(pd.DataFrame([dict(utilization=now)])).mark_rule(color=marks.INK, strokeDash=theme.DASH["threshold"]).encode(x=x))
        side, dx = ("right", -6) if now > 0.3 else ("left", 6)
        layers += marks.note(f"here {share(now)}", plot * now + dx, height - 9, align=side, size=theme.SIZE["note"])
    met = ends[ends["break_even_utilization"].between(0.02, 1) & (ends["title"] != first) & ends[USD].between(*y_extent)]
    if len(met):
        spots = met.assign(
            utilization=met["break_even_utilization"],
            fill=theme.PAPER,
            outline=look["outline"],
            shape="circle",
            text=[share(b) for b in met["break_even_utilization"]],
        )
        spots["at"] = from_y(marks.spread(to_y(spots[USD]) - 9, height))
        layers.append(marks.points(spots, x, y(USD), 80))
        for right, of in spots.groupby(spots["utilization"] > 0.9):
            layers += marks.texts(of, x, y("at"), bold=True, **(dict(dx=-8, dy=18, align="right") if right else dict(dx=7)))
    beyond = ends[USD] > y_extent[1]
    ends["text"] = ends["text"].where(~beyond, ends["text"] + f"{units.NBSP}↑")
    ends["at"] = from_y(marks.spread(np.clip(to_y(ends[USD]), 4, height), height))
    ends["label"] = np.where(ends["title"] == first, look["label"], marks.INK2)
    layers += marks.texts(ends, alt.value(plot + 6), y("at"), color="label", bold=True, halo=False)

    own, title = _owning(first), ""
    rival = ends[(ends["ownership"] == "cloud") & (ends["commitment"] == "on_demand")]
    api = ends[ends["ownership"] == "api"].head(1)
    if len(rival):
        met_at = rival["break_even_utilization"].iloc[0]
        title = f"From {share(met_at)} use on, {own} beats the cloud on demand"
        title = title if met_at <= 1 else f"{own} is dearer than the cloud on demand at any use"
    if len(api):
        full, price = mine.iloc[-1], api[USD].iloc[0]
        if full[f"{USD}_low"] < price < full[f"{USD}_high"]:
            said = f"{'fully used it' if title else f'fully used, {own}'} ties with the cheapest API"
        elif price < full[USD]:
            said = f"the cheapest API undercuts {'it' if title else own} at any use"
        else:
            said = f"{'it' if title else own} undercuts the cheapest API from {share(api['break_even_utilization'].iloc[0])} use on"
        title = "; ".join(filter(None, [title, said]))
    low, high = mine.iloc[0], mine.iloc[-1]
    title = title or f"A million tokens cost {text(USD, high[USD])} in {own} fully used, {text(USD, low[USD])} at {share(low['utilization'])}"
    title = title[0].upper() + title[1:]
    gone = table["title"][table[USD].isna()].nunique()
    notes = [
        look["name"],
        "waits of an API not known" if prices else "",
        f"{len(prices)} API prices, lowest and highest drawn" if len(prices) > APIS else "",
        f"{gone} without a price left out" if gone else "",
    ]
    what = f"Logarithmic; sloped: always paid; level: paid by use; circle: break-even; band: {figure.INTERVAL}"
    lines = figure.subtitle(width, what, *notes)
    words = f"Line chart of the cost of a million output tokens against utilization by ownership, {look['name']}. {title}. "
    words += f"Fully used, from {text(USD, ends[USD].min())} ({ends['text'].iloc[0]}) to {text(USD, ends[USD].max())} ({ends['text'].iloc[-1]}). "
    words += "The band is the 80% interval of the model; lines of one chip share its error. Values in the table beside it."
    even = [_even(b) if title != first else "" for b, title in zip(ends["break_even_utilization"], ends["title"], strict=True)]
    data = pd.DataFrame({"alternative": ends["text"], "paid": ends["paid"], USD: ends[USD], f"{first} is cheaper": even})
    return figure.Figure(
        alt.layer(*layers, width=plot, height=height), title, lines, words, data.rename(columns={USD: "fully used, US$/Mtok"}).reset_index(drop=True)
    )


def _short(row) -> str:
    return f"API, {row.title.rpartition(' on ')[2].removesuffix(' API')}" if row.ownership == "api" else row.title


def _owning(title: str) -> str:
    return "an own building" if title.startswith("Own") else figure.lower(title)


def _even(utilization) -> str:
    """A break-even in words."""
    if utilization != utilization:
        return units.MISSING
    return "at any use" if utilization <= 0 else f"from {share(utilization)}" if utilization <= 1 else "never"


# ------------------------------------------------------------------ spares


def nines(table, width: int = theme.WIDTH["notebook"], height: int = 230) -> figure.Figure:
    """What spare replicas cost a month and, where a price brings credits, what those cost, against the number of spares.

    Rows: those of `fleet` for one scenario at several nines; the most nines that a number of spares reaches stand beside it.
    """
    rows = table[table["usd_per_month"].notna()].sort_values("nines").drop_duplicates("spare_replicas", keep="last")
    if len(rows) < 2:
        return figure.nothing(table, width)
    rows = rows.assign(spares_usd=rows["usd_per_month"] * rows["spare_replicas"] / (rows["replicas"] + rows["spare_replicas"]))
    look, last, owed = figure.looks(rows["chip"]).iloc[0], rows.iloc[-1], "credit_usd_per_month" in rows and rows["credit_usd_per_month"].notna().any()
    amounts = [rows["spares_usd"][rows["spares_usd"] > 0], rows["credit_usd_per_month"][rows["credit_usd_per_month"] > 0] if owed else []]
    amounts_ = np.concatenate([np.asarray(a, float) for a in amounts])
    floor = max(amounts_.min(), rows["spares_usd"][rows["spares_usd"] > 0].min() / 100)
    y_extent, ends_px = (floor / 2, amounts_.max() * 2), 64
    plot = width - Y_AXIS_PX - 20 - ends_px
    most = float(rows["spare_replicas"].max())
    x_extent = -0.4, most + 0.4
    ticks = np.unique(np.round(np.linspace(0, most, min(int(most), 6) + 1))).tolist()
    x = alt.X(
        "spare_replicas",
        type="quantitative",
        scale=alt.Scale(domain=list(x_extent), nice=False),
        axis=alt.Axis(title=f"Spare replicas beside {last['replicas']:,.0f} →", values=ticks, format=",d"),
    )
    y = marks.axis(alt.Y, "usd_per_month", y_extent, title="↑ US$ a month", titleY=-24, minExtent=Y_AXIS_PX, maxExtent=Y_AXIS_PX)
    to_y, _ = marks.pixels(y_extent, height, down=True)
    lines = [("Spares", "spares_usd", look["color"], look["label"], [1, 0])]
    lines += [("Credits", "credit_usd_per_month", theme.CHANGE["raises"], theme.CHANGE["raises"], [6, 3])] if owed else []
    layers, places = [], []
    for _, name, color, _, dash in lines:
        data = rows[rows[name] > 0][["spare_replicas", name]]
        layers.append(alt.Chart(data).mark_line(color=color, strokeWidth=2.5, strokeDash=dash, clip=True).encode(x=x, y=y(name)))
        dots = data[data[name].between(*y_extent)].assign(fill=color, outline=color, shape="circle")
        layers.append(marks.points(dots, x, y(name), 50))
        places.append(float(np.clip(to_y(data[name].iloc[-1]), 4, height - 4)))
    for (word, _, _, label, _), place in zip(lines, marks.spread(places, height - 4), strict=True):
        layers += marks.note(word, plot + 5, place, color=label, bold=True, halo=False)
    told = rows if len(rows) <= 7 else rows.iloc[np.unique(np.round(np.linspace(0, len(rows) - 1, 7)).astype(int))]
    heads = told.assign(text=[f"{n:.2g} nines" if i == 0 else f"{n:.2g}" for i, n in enumerate(told["nines"])])
    layers += marks.texts(heads, x, alt.value(-8), align="center", size=theme.SIZE["axis"], color=marks.INK2, halo=False)
    pays = rows["paying_spares"].iloc[0] if owed else np.nan
    if pays == pays and pays <= most:
        layers.append(alt.Chart(pd.DataFrame([dict(spare_replicas=pays)])).mark_rule(color=marks.INK, strokeDash=theme.DASH["threshold"]).encode(x=x))
        spot = (pays - x_extent[0]) / (x_extent[1] - x_extent[0]) * plot
        side = dict(align="right") if pays > most / 2 else dict(align="left")
        layers += marks.note("the last spare that pays", spot + (-6 if side["align"] == "right" else 6), height - 9, size=theme.SIZE["note"], **side)

    each = last["spares_usd"] / last["spare_replicas"]
    usd = lambda x: units.format(x, "USD", 2)  # noqa: E731
    title = f"A spare replica costs {usd(each)} a month; {last['spare_replicas']:,.0f} beside {last['replicas']:,.0f} make {last['nines']:.2g} nines"
    if pays == pays:
        title += f", past {pays:,.0f} another no longer pays" if pays > 0 else ", none pays for itself"
    words = f"Line chart of what spare replicas{' and service credits' if owed else ''} cost a month by the number of spares, {look['name']}. {title}. "
    words += f"All spares cost {usd(last['spares_usd'])} of {usd(last['usd_per_month'])} a month. "
    words += f"Credits fall from {usd(rows['credit_usd_per_month'].iloc[0])} to {usd(last['credit_usd_per_month'])}. " if owed else ""
    words += "Failures are independent of each other unless the scenario says otherwise; no intervals are known. Values in the table beside it."
    what = "Logarithmic. Above: nines of the share of time that enough replicas work for the peak"
    notes = [look["name"], figure.scenario_line(table, limits=False), "credits by the bands of data/finance.csv" if owed else ""]
    shown = {"spare replicas": [f"{k:,.0f}" for k in rows["spare_replicas"]], "nines": [f"{n:.2g}" for n in rows["nines"]]}
    shown |= {f"{word.lower()}, US$ a month": [usd(v) for v in rows[name]] for word, name, *_ in lines}
    return figure.Figure(
        alt.layer(*layers, width=plot, height=height), title, figure.subtitle(width, what, *notes), words, pd.DataFrame(shown).reset_index(drop=True)
    )


# ------------------------------------------------------------------ a day of a fleet


def day(table, chip: str, width: int = theme.WIDTH["notebook"], height: int = 190) -> figure.Figure:
    """Replicas that must stand ready through the first day, reserved ones and those hired by the hour.

    Rows: those of `fleet.hours`; the first 24 are drawn, the busiest hour first.
    """
    rows = table.head(24)
    if not rows["ready_replicas"].notna().all():
        rows = rows.assign(chip=chip, reason="the load over a day is not known")
        return figure.nothing(rows, width)
    look, parts = figure.looks([chip]).iloc[0], []
    held = rows["reserved"].notna().all()
    for name, low, high, fill in (("Reserved", 0.0, rows["reserved"], look["color"]), ("On demand", rows["reserved"], rows["ready_replicas"], theme.PAPER)):
        parts.append(rows[["hour"]].assign(y=low, y2=high, part=name, fill=fill)) if held else None
    parts = parts or [rows[["hour"]].assign(y=0.0, y2=rows["ready_replicas"], part="Ready", fill=look["color"])]
    data = pd.concat(parts)
    data = data[data["y2"] > data["y"]].assign(x=lambda d: d["hour"], x2=lambda d: d["hour"] + 1)
    plot = width - Y_AXIS_PX - 90
    most = rows["ready_replicas"].max()
    x = alt.X(
        "x",
        type="quantitative",
        scale=alt.Scale(domain=[0, 24], nice=False),
        axis=alt.Axis(title="Hours after the busiest hour begins →", values=[0, 6, 12, 18, 24]),
    )
    y = marks.axis(alt.Y, "replicas", (0.0, most * 1.1), log=False, title="↑ Replicas that stand ready", minExtent=Y_AXIS_PX, maxExtent=Y_AXIS_PX)
    bars = alt.Chart(data).mark_bar(stroke=look["outline"], strokeWidth=1).encode(x=x, x2="x2", y=y("y"), y2="y2", fill=marks.style("fill", alt.Fill))
    to_y, _ = marks.pixels((0.0, most * 1.1), height, log=False, down=True)
    end = data[data["hour"] == 23]
    places = marks.spread([float(to_y((a + b) / 2)) for a, b in zip(end["y"], end["y2"], strict=True)], height)
    layers = [bars]
    for word, place in zip(end["part"], places, strict=True):
        layers += marks.note(word, plot + 6, place, color=look["label"], bold=True, halo=False)
    least, used = rows["ready_replicas"].min(), table["requests_per_s"].sum() / (table["requests_per_s"] / table["utilization"]).sum()
    title = f"From {least:,.0f} to {most:,.0f} replicas must stand ready over a day"
    title += f"; to reserve {table['reserved'].max():,.0f} of them and hire the rest is cheapest" if held else ""
    lines = figure.subtitle(
        width, "Replicas for the load of each hour with the lag of hiring; spares not shown", look["name"], f"{share(used)} of what stands ready is used"
    )
    words = f"Bar chart of the replicas that must stand ready by hour of the day, {look['name']}. {title}. "
    words += f"On average {table['ready_replicas'].mean():,.1f} stand ready and {share(used)} of their capacity is used over the week. "
    words += "The day is a shape of two harmonics through the workload's peak. No intervals are known. Values in the table beside it."
    shown = {"hour": [f"{h:.0f}" for h in rows["hour"]], "requests/s": [units.format(v, digits=3) for v in rows["requests_per_s"]]}
    for name, column in dict(ready="ready_replicas", reserved="reserved", on_demand="on_demand").items():
        shown[name.replace("_", " ")] = [units.format(v) for v in rows[column]]
    return figure.Figure(alt.layer(*layers, width=plot, height=height), title, lines, words, pd.DataFrame(shown))
