"""Tables of a procurement memo, in words: what to order now, what stands when, who is served, what binds, why chips lost.

Each takes a `studies.tiering.Tiering` and returns a DataFrame of text for `report.table`, or the rows of a chart.
"""

import pandas as pd

from infertco import units
from infertco.studies.tiering import Tiering
from infertco.studies.tiering_stock import BOUGHT
from infertco.views import figure
from infertco.views.tiering_charts import TIERS, share

HOW = dict(owned="bought", colo="bought", reserved="reserved", on_demand="rented")
LIMITS = dict(power="Power cap", budget="Budget", carbon="Carbon cap")
NEEDS = ("training", "compute of training")  # to be met, not to be kept to
SHORT = dict(TTFT="first token too late", TPOT="tokens too slow", fit="does not fit", price="no price")


def usd(x) -> str:
    return units.format(x, "USD", 3)


def chip(id: str) -> str:
    return figure.looks([id])["name"].iloc[0]


def tier(name: str) -> str:
    return TIERS.get(name, name)


def site(id: str) -> str:
    """An id of a site as a word: us-average is US average, germany is Germany."""
    words = id.replace("-", " ")
    return words[:2].upper() + words[2:] if words[:3] in ("us ", "eu ", "uk") else words[:1].upper() + words[1:]


def orders(found: Tiering, period: int = 0) -> pd.DataFrame:
    """What is to be done for one period: Do, Chips, What, Where, For, US$; the last rows are what is paid for purchases and for rent.

    Dollars of a purchase are those of chips, servers and network; of what is rented, those of the period's rent; a sale
    brings money in.
    """
    now = found.fleet[found.fleet["period"] == period]
    price = found.case.places.set_index(["chip", "site"])["installed_usd"] if len(found.case.places) else pd.Series(dtype=float)
    rows = []
    for (id, where), of in now[now["bought"] > 0].groupby(["chip", "site"], sort=False):
        count = of.groupby("tier", sort=False)["bought"].sum()
        rows.append(("Buy", count.sum(), chip(id), where, _tiers(count), count.sum() * price[id, where]))
    for (way, id, where), of in now[~now["ownership"].isin(BOUGHT)].groupby(["ownership", "chip", "site"], sort=False):
        count = of.groupby("tier", sort=False)["chips"].sum()
        rows.append(("Reserve" if way == "reserved" else "Rent", count.sum(), chip(id), where, _tiers(count), of["usd"].sum()))
    flows = found.flows[(found.flows["period"] == period) & (found.flows["tier_from"] != "")]
    for (id, a, b), of in flows.groupby(["chip", "tier_from", "tier_to"], sort=False):
        to = f"from {tier(a).lower()}" + (f" to {tier(b).lower()}" if b else "")
        rows.append(("Move" if b else "Sell", of["chips"].sum(), chip(id), "", to, of["usd"].sum()))
    rows.sort(key=lambda r: (("Buy", "Reserve", "Rent", "Move", "Sell").index(r[0]), -abs(r[5])))
    out = [[do, units.format(n), what, site(where) if where else "", for_, usd(paid)] for do, n, what, where, for_, paid in rows]
    sums = [(words, sum(r[5] for r in rows if r[0] in dos)) for words, dos in (("Spent on purchases", ("Buy",)), ("Paid for rent", ("Reserve", "Rent")))]
    totals = [[words, "", "", "", "", usd(paid)] for words, paid in sums if paid > 0]
    return pd.DataFrame([*out, *totals], columns=["Do", "Chips", "What", "Where", "For", "US$"])


def order_list(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of `orders` as a list to sign: Order ("Buy 24 B200 SXM"), Where, For, US$."""
    words = [" ".join(filter(None, row)) for row in table[["Do", "Chips", "What"]].itertuples(index=False)]
    return table.assign(Order=words)[["Order", "Where", "For", "US$"]]


def _tiers(count) -> str:
    names = [tier(name).lower().removesuffix(" inference") for name in count.index]
    return names[0] if len(names) == 1 else ", ".join(f"{units.format(n)} {name}" for n, name in zip(count, names, strict=True))


def standing(found: Tiering, years) -> pd.DataFrame:
    """Chips that stand, spares included: What, Where, How, and a column a year, newly bought ones in brackets."""
    of = found.fleet.assign(how=found.fleet["ownership"].map(HOW))
    sums = of.groupby(["site", "chip", "how", "period"], sort=False)[["chips", "bought"]].sum()
    most = sums.groupby(level=[0, 1, 2], sort=False)["chips"].max()
    keys = sorted(most.index, key=lambda key: (list(HOW.values()).index(key[2]), -most[key]))
    rows = []
    for key in keys:
        cells = [sums.loc[(*key, t)] if (*key, t) in sums.index else None for t in range(len(years))]
        said = ["" if c is None else units.format(c["chips"]) + (f" ({units.format(c['bought'])})" if c["bought"] > 0 else "") for c in cells]
        rows.append([chip(key[1]), site(key[0]), key[2], *said])
    return pd.DataFrame(rows, columns=["What", "Where", "How", *map(str, years)])


def served(found: Tiering, period: int) -> pd.DataFrame:
    """Who is served by what in a period: Class, Chip, How, TP, Share, TTFT, TPOT, US$/Mtok."""
    of = found.routes[(found.routes["period"] == period) & (found.routes["share"] > 0.005)]
    rows = [
        [r.demand, chip(r.chip) if r.chip else "not served", HOW.get(r.ownership, ""), f"{r.tensor_parallel:g}" if r.chip else "", share(r.share),
         *(("", "", "") if not r.chip else (units.format(r.ttft_s, "s", 2), units.format(r.tpot_s, "s", 2), units.format(r.usd_per_mtok, "USD/Mtok", 2)))]
        for r in of.itertuples()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["Class", "Chip", "How", "TP", "Share", "TTFT", "TPOT", "US$/Mtok"])


def by_tier(found: Tiering) -> pd.DataFrame:
    """What a tier takes: Tier, Chips and Rated (mean of the periods), US$ (of all), Utilization, US$/Mtok."""
    rows = [
        [tier(r.tier), units.format(r.chips, digits=3), units.format(r.w, "W", 2), usd(r.usd), share(r.utilization) if r.utilization > 0 else "",
         units.format(r.usd_per_mtok, "USD/Mtok", 2) if r.usd_per_mtok > 0 else ""]
        for r in found.by_tier.itertuples()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=["Tier", "Chips", "Rated", "US$", "Utilization", "US$/Mtok"])


def cluster(found: Tiering, first_year: int) -> pd.DataFrame:
    """Where the chips owned at the start go: rows of `stock_charts.flows`, the year before the first as their purchase."""
    year = lambda t: pd.Timestamp(int(first_year + t), 1, 1)  # noqa: E731
    line = ["chip", "vintage"]
    flows, stand = (of[of["vintage"] < 0] for of in (found.flows, found.fleet))
    moved = flows.assign(period_to=flows["period"].map(year), tier_to=flows["tier_to"].replace("", "sold"))[
        ["period_to", *line, "tier_from", "tier_to", "chips"]
    ]
    at_first = flows[flows["period"] == 0]
    start = pd.concat(  # what stands in the first year, before it was moved
        [
            stand[stand["period"] == 0][[*line, "tier", "chips"]],
            at_first.assign(tier=at_first["tier_from"])[[*line, "tier", "chips"]],
            at_first[at_first["tier_to"] != ""].assign(tier=at_first["tier_to"], chips=-at_first["chips"])[[*line, "tier", "chips"]],
        ]
    )
    start = start.groupby([*line, "tier"], sort=False, as_index=False)["chips"].sum().query("chips > 1e-6")
    owned = start.assign(period_to=year(-1), tier_from="bought", tier_to=start["tier"])[moved.columns]
    years = pd.DataFrame(dict(period_to=[year(t) for t in range(int(found.case.plan.periods))], tier_from="training", tier_to="sold", chips=0.0))
    quiet = owned[line].drop_duplicates().merge(years, how="cross")[moved.columns]  # a year without a move is drawn too
    return pd.concat([owned, moved, quiet], ignore_index=True).sort_values("period_to", kind="stable", ignore_index=True)


def limits(found: Tiering) -> pd.DataFrame:
    """What one more of each limit, in every period, saves: rows of `limit_charts.shadow`; requirements left out."""
    of = found.limits[~found.limits["limit"].isin(NEEDS)]
    rows = []
    for name, part in of.groupby("limit", sort=False):
        worth, unit = part["shadow_usd"].clip(lower=0.0), part["shadow_unit"].iloc[0].partition("/")[2]
        scale = dict(MW=1e-6, t=1e-6).get(unit, 1.0)
        amount = float((worth * part["allowed"]).sum() / worth.sum()) if worth.sum() > 0 else float(part["allowed"].mean())
        unit = {"USD": "US$", "chip": "chip"}.get(unit, unit)
        rows.append(dict(limit=_limit(name), unit=f"{unit} a year", usd=float(worth.sum()), amount=amount * scale, binds=bool((worth > 0).any())))
    return pd.DataFrame(rows, columns=["limit", "unit", "usd", "amount", "binds"])


def binding(found: Tiering, period: int = 0) -> str:
    """In a sentence, the limits that bind in a period and what one more of each is worth."""
    of = found.limits[(found.limits["period"] == period) & ~found.limits["limit"].isin(NEEDS) & (found.limits["shadow_usd"] > 0)]
    per = dict(MW="one MW more", USD="one dollar more", chip="one more", t="one tonne more")
    told = [
        f"the {figure.lower(_limit(r.limit))} ({per[r.shadow_unit.partition('/')[2]]} saves {units.format(r.shadow_usd, 'USD', 2)})" for r in of.itertuples()
    ]
    if not told:
        return "no limit binds"
    return f"{', '.join(told[:-1])} and {told[-1]} bind" if len(told) > 1 else f"{told[0]} binds"


def _limit(name: str) -> str:
    if name.startswith("supply of "):
        return f"Supply of {chip(name.removeprefix('supply of '))}"
    return LIMITS.get(name, name[:1].upper() + name[1:])


def why(found: Tiering, instead: pd.DataFrame, most: int = 6) -> pd.DataFrame:
    """Classes against chips: the share that a chip serves over all periods, else what it misses, or what it would add to serve all of it.

    `instead` is that of `savings.served_by`.
    """
    routes, lost = found.routes, found.rejected.drop_duplicates(["demand", "chip"]).set_index(["demand", "chip"])["why"]
    chips = list(dict.fromkeys([*routes["chip"][routes["chip"] != ""], *instead["chip"], *found.rejected["chip"]]))[:most]
    rate, adds = routes.groupby(["demand", "chip"], sort=False)["requests_per_s"].sum(), instead.set_index(["demand", "chip"])["usd"]
    rows = []
    for members in found.case.demand["members"]:
        for name in members:
            part = {id: rate.get((name, id), 0.0) / rate[name].sum() for id in chips}
            rows.append([name, *(share(part[id]) if part[id] > 0.005 else _cause((name, id), members[0], lost, adds) for id in chips)])
    return pd.DataFrame(rows, columns=["Class", *map(chip, chips)])


def _cause(key, first, lost, adds) -> str:
    if key in adds.index:
        return f"+{units.format(adds[key], 'USD', 2)}" if adds[key] == adds[key] else "no room"
    word = lost.get((first, key[1]), "no price")
    return next((said for part, said in SHORT.items() if part in word), word.partition(":")[0])


def shopping(found: Tiering, period: int = 0) -> str:
    """What is bought for a period, in words: "48 B200 SXM and 30 H200 SXM"; where nothing is, what is rented."""
    now = found.fleet[found.fleet["period"] == period]
    rented = now[~now["ownership"].isin(BOUGHT)].groupby("chip")["chips"].sum().sort_values(ascending=False)
    of = now.groupby("chip")["bought"].sum().sort_values(ascending=False)
    told = [f"{units.format(n)} {chip(id)}" for id, n in of.items() if n > 0] or [f"{units.format(n)} rented {chip(id)}" for id, n in rented.items()]
    if len(told) < 2:
        return "".join(told) or "nothing"
    return f"{', '.join(told[:-1])} and {told[-1]}"


def classes(found: Tiering) -> pd.DataFrame:
    """The classes of demand: Class, Tier, Model, Requests/s, Growth, First token, Per token, Where, If not served."""
    rows = []
    for r in found.case.demand.to_dict("records"):
        limit = [units.format(r[name], "s", 2) if r[name] == r[name] else "none" for name in ("ttft_slo_s", "tpot_slo_s")]
        where = ", ".join(map(site, filter(None, r["residency"].split(",")))) or "anywhere"
        shed = "must be" if r["shed_usd_per_request"] != r["shed_usd_per_request"] else f"{units.format(r['shed_usd_per_request'], 'USD', 2)} each"
        rows += [
            [
                name,
                tier(r["tier"]).removesuffix(" inference"),
                r["model"],
                units.format(r["demand_requests_per_s"] * part),
                share(r["growth_per_year"]),
                *limit,
                where,
                shed,
            ]
            for name, part in zip(r["members"], r["parts"], strict=True)
        ]
    return pd.DataFrame(rows, columns=["Class", "Tier", "Model", "Req/s", "Growth", "First token", "Per token", "Where", "Not served"])


def singles(found: Tiering, alone: pd.DataFrame) -> pd.DataFrame:
    """The plan and each kind alone: Fleet, Net present cost, Above the plan, Gap or why not."""
    s = found.summary.iloc[0]
    rows = [["Tiers", usd(s["usd_npv"]), "", f"{share(s['gap'])} open"]]
    for r in alone.itertuples():
        cost, least = r.usd_npv, r.bound_usd
        if cost > 0:
            rows.append([chip(r.chip), usd(cost), share(cost / s["usd_npv"] - 1), f"{share(r.gap)} open"])
        elif least > 0:
            rows.append([chip(r.chip), f"at least {usd(least)}", f"{share(least / s['usd_npv'] - 1)} or more", "dearer than the best: not solved"])
        else:
            rows.append([chip(r.chip), "none", "", r.why])
    return pd.DataFrame(rows, columns=["Fleet", "Net present cost", "Above the plan", "Left open, or why not"])


def training(found: Tiering) -> str:
    """In a sentence, what one unit less of the need to train would save each year."""
    of = found.limits[found.limits["limit"].isin(NEEDS) & (found.limits["shadow_usd"] < 0)]
    if of.empty:
        return "Training binds nothing."
    (low, high), unit = (-of["shadow_usd"]).agg(["min", "max"]), of["shadow_unit"].iloc[0].partition("/")[2].strip("()")
    between = usd(low) if usd(low) == usd(high) else f"{usd(low)} to {usd(high)}"
    return f"The need to train binds too: one {unit} less needed in a year would save {between}, by the year."


def carbon(found: Tiering) -> float:
    """Operational carbon of the dirtiest period without whole numbers and without a cap. [g]"""
    from infertco.studies.tiering import relaxed

    t = relaxed(found.case)
    _, _, _, _, _, _, group, _ = found.case.programme.arrays()
    return float((found.case.programme.matrix() @ t.solution.x)[group == "carbon"].max() * 1e6)
