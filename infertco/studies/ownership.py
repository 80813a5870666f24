"""Own, rent or buy tokens: the same requests under every ownership in one table; what hardware is worth, and how long to keep it.

`alternatives` lays own building, colocation, the three commitments of a cloud and the token prices of `data/apis.csv`
side by side, each marked by its `ownership` (`api` exists in this table only); `curves` follows it over the utilization. `depreciation` is the book and the
market of what was bought, `refresh` the age at which to replace it.
"""

import numpy as np

from infertco import catalog
from infertco.kernel import cost
from infertco.scenario import Scenario, evaluate, scenario
from infertco.vocabulary import WEAK

ALWAYS = (("owned", ""), ("colo", ""), ("cloud", "reserved"))  # paid for whether used or not
CLOUD = ("on_demand", "reserved", "spot")
TITLES = ("Own building", "Colocation", "Cloud, on demand", "Cloud, reserved", "Cloud, spot")
PRICES = ("usd_per_mtok_input", "usd_per_mtok_cached", "usd_per_mtok_output")
UNIT_COSTS = ("usd_per_mtok", *PRICES, "usd_per_mtok_blended", "usd_per_request", "usd_per_user_month")
TERMS = tuple(f"usd_per_mtok_{term}" for term in (*cost.CAPITAL, "cloud", "egress"))
OUTPUTS = (
    *UNIT_COSTS, *TERMS, "usd_per_mtok_usage", "usd_per_chip_hour", "capacity_requests_per_s", "chips_per_replica", "active_w_per_chip", "idle_w_per_chip",
    "meets_slo", "reason", "weak",
)  # fmt: skip
COLUMNS = (
    "ownership", "commitment", "title", "model", "equivalent", "paid", *UNIT_COSTS, "usd_per_chip_hour", "margin_share", "break_even_utilization",
    "break_even_hours", "meets_slo", "reason", "weak", "break_even_weak",
)  # fmt: skip
SAME_SIZE = 0.01  # models that differ by less in parameters, as logarithms added up, cost the same to serve
YEARS = np.linspace(0.25, 20.0, 80)
SHARES = np.linspace(0.1, 1.0, 37)


def alternatives(what: Scenario | None = None, own: str = "owned"):
    """What the requests of one scenario cost under each ownership, and when owning beats each of the others.

    Parameters
    ----------
    what : Scenario
        One row; its ownership and commitment are replaced.
    own : str
        The ownership that the break-evens are of: `owned` or `colo`.

    Returns
    -------
    DataFrame
        One row an alternative: `ownership` (owned, colo, cloud, api), `commitment`, `title`, `model` (what is served),
        `equivalent` (True where that is not the scenario's model but the one nearest to it in parameters), `paid`
        (`always`, or `by use`), the unit costs at the workload's mix, `usd_per_chip_hour` (of an api: what its price
        comes to for the tokens a chip serves), `margin_share` (what owning would leave of the price),
        `break_even_utilization`, `break_even_hours`, `meets_slo` (of an api: False, its latency is not known here),
        `reason`, `weak` and `break_even_weak` (of both sides).

    Raises
    ------
    ValueError
        For a scenario of several rows, or an `own` that is neither.

    Notes
    -----
    `break_even_utilization` is the share of full load above which owning is cheaper than paying only for what is
    used, `u > c_own / c_other` with own electricity by use [1]_. Against what is paid always it is 0 where owning is
    cheaper at the scenario's utilization and inf where not. `break_even_hours` is `K / (c_other - c_running)`, hours
    in service after which the capital has paid for itself, both sides kept running; K is all capital beyond the
    other's own: chip, host, networks, spares, the rest, and the building where owned. Both leave out what changes
    with time: falling rents make every break-even later.

    References
    ----------
    .. [1] Lenovo Press LP2225, "On-Premise vs Cloud: Generative AI Total Cost of Ownership", 2025.
    """
    import pandas as pd

    base = _single(what)
    if own not in ("owned", "colo"):
        raise ValueError(f"own must be 'owned' or 'colo', got {own!r}")
    ways = [("owned", "on_demand"), ("colo", "on_demand"), *(("cloud", word) for word in CLOUD)]
    found = evaluate(pd.DataFrame(ways, columns=["ownership", "commitment"]), list(OUTPUTS), base=base)
    found = found.astype(dict.fromkeys(("ownership", "reason", "weak", "model"), object)).assign(commitment=["", "", *CLOUD], title=TITLES, equivalent=False)
    table = pd.concat([found, _bought(base)], ignore_index=True)
    table["paid"] = ["always" if way in ALWAYS else "by use" for way in zip(table["ownership"], table["commitment"], strict=True)]
    return _break_even(base, table, own)[list(COLUMNS)]


def curves(what: Scenario | None = None, own: str = "owned", utilizations=SHARES):
    """What a million output tokens cost under each ownership, from little used to fully used; a demand is left out.

    Returns
    -------
    DataFrame
        For each row of `alternatives` one row a utilization: chip, ownership, commitment, title, `own` (True for the
        ownership that break-evens are of), paid, utilization, usd_per_mtok with its interval, break_even_utilization,
        reason. What is paid by use costs the same at each: its hours are full, or its tokens have a price.

    Raises
    ------
    ValueError
        As `alternatives`.
    """
    import pandas as pd

    base = _single(what).vary(demand_requests_per_s=None)
    ways, steps = alternatives(base, own), np.asarray(utilizations, dtype=float)
    ways = ways.assign(own=ways["ownership"] == own)
    table = ways.loc[np.repeat(ways.index, len(steps))].assign(chip=base.chip.chip, utilization=np.tile(steps, len(ways)))
    price, hired = table["usd_per_mtok"], (table["ownership"] != "api").to_numpy()
    used = np.where(table["paid"] == "by use", 1.0, table["utilization"])[hired]
    asked = dict(ownership=table["ownership"][hired].to_numpy(), commitment=table["commitment"][hired].replace("", "on_demand").to_numpy(), utilization=used)
    found = evaluate(pd.DataFrame(asked), [f"usd_per_mtok{end}" for end in ("", "_low", "_high")], base=base)
    for end in ("", "_low", "_high"):
        table[f"usd_per_mtok{end}"] = price
        table.loc[hired, f"usd_per_mtok{end}"] = found[f"usd_per_mtok{end}"].to_numpy()
    columns = ["chip", "ownership", "commitment", "title", "own", "paid", "utilization", *(f"usd_per_mtok{end}" for end in ("", "_low", "_high"))]
    return table[[*columns, "break_even_utilization", "reason"]].reset_index(drop=True)


def _break_even(base, table, own):
    """The table with what its rows come to for a chip-hour, and when owning beats each."""
    mine, api = table.iloc[("owned", "colo").index(own)], table["ownership"] == "api"
    requests = mine["capacity_requests_per_s"] * 3600 / mine["chips_per_replica"]  # of a chip-hour at full load
    served = mine["usd_per_mtok_usage"] / mine["usd_per_mtok"]
    busy = (mine["active_w_per_chip"] - mine["idle_w_per_chip"]) * base.site.pue / 1e3 * base.site.usd_per_kwh / _availability(base)
    table.loc[api, "usd_per_chip_hour"] = table.loc[api, "usd_per_request"] * requests * served
    hourly, own_hourly = table["usd_per_chip_hour"], mine["usd_per_chip_hour"]
    egress = (table["usd_per_mtok_egress"] / table["usd_per_mtok"] * hourly).fillna(0.0)
    full = hourly.where(~api, table["usd_per_request"] * requests) + egress * (1 / served - 1)
    by_use = cost.break_even_utilization(own_hourly - busy * served, busy, full)
    capital = {"owned": _capital_usd(base, building=True), "colo": _capital_usd(base, building=False)}
    beyond = capital[own] - table["ownership"].map(capital).fillna(0.0)
    running = _running_usd_per_hour(table)
    judged = (table.index != mine.name) & hourly.notna() & (own_hourly == own_hourly)
    table["break_even_utilization"] = np.where(table["paid"] == "by use", by_use, np.where(own_hourly < hourly, 0.0, np.inf))
    table["break_even_hours"] = cost.break_even_hours(np.maximum(beyond, 0.0), running[mine.name], running)
    table["margin_share"] = cost.margin_share(table["usd_per_request"], mine["usd_per_request"])
    table.loc[~judged, ["margin_share", "break_even_utilization", "break_even_hours"]] = np.nan
    both = [filter(None, dict.fromkeys([mine["weak"], weak])) if ok else () for weak, ok in zip(table["weak"], judged, strict=True)]
    table["break_even_weak"] = list(map("; ".join, both))
    if own_hourly != own_hourly:
        table["reason"] = [text or f"{own}: {mine['reason']}" for text in table["reason"]]
    return table


def depreciation(what: Scenario | None = None, ages=range(11)):
    """What the hardware of one chip slot is worth by age: on the books, and in the market.

    Returns
    -------
    DataFrame
        `age_years`, `book_usd` (straight line over `chip_life_years` to nothing, as filings do), `market_usd`
        (`V0 (1 + g)^-a`, g the yearly rise of price-performance), `gap_usd` (books less market: what a write-off costs).
    """
    import pandas as pd

    base, ages = _single(what), np.asarray(list(ages), dtype=float)
    price = _installed_usd(base)
    book = price * cost.book_share(ages, base.finance.chip_life_years, 0.0)
    market = price * cost.market_share(ages, base.finance.price_performance_per_year)
    return pd.DataFrame(dict(age_years=ages, book_usd=book, market_usd=market, gap_usd=book - market))


def refresh(what: Scenario | None = None):
    """When to replace the hardware of one chip slot: the age of least yearly cost, and the age at which it is scrap.

    Returns
    -------
    DataFrame
        One row: `refresh_age_years` (sold at its market value; of ages up to 20 years), `refresh_age_years_unsold`
        (nothing fetched), `scrap_age_years` (what a chip-hour earns, at first its cost, no longer pays its running),
        `kept_usd_per_year` at the chip's life and `least_usd_per_year`, in the first year, for one chip's performance
        kept up for good; and `reason`.

    Notes
    -----
    Bought again at each replacement are chip, host, networks and spares; storage, racks and installation are sunk.
    """
    import pandas as pd

    base = _single(what)
    base = base if base.finance.ownership != "cloud" else base.vary(ownership="colo")
    row = evaluate(base, list(OUTPUTS)).iloc[0]
    money, running = base.finance, _running_usd_per_hour(row)
    yearly = running * cost.HOURS * _availability(base)

    def kept(age, resold):
        rates = money.price_performance_per_year, money.cost_of_capital
        return cost.kept_usd_per_year(age, _installed_usd(base), money.other_usd_per_chip, yearly, *rates, resold)

    sold, unsold = kept(YEARS, 1.0), kept(YEARS, 0.0)
    priced = not np.isnan(sold[0])
    found = dict(
        refresh_age_years=YEARS[np.argmin(sold)] if priced else np.nan, refresh_age_years_unsold=YEARS[np.argmin(unsold)] if priced else np.nan,
        scrap_age_years=cost.scrap_age_years(row["usd_per_chip_hour"], running, money.price_performance_per_year),
        kept_usd_per_year=kept(money.chip_life_years, 1.0), least_usd_per_year=sold.min(), reason=row["reason"],
    )  # fmt: skip
    return pd.DataFrame([found])


def _single(what):
    base = what or scenario()
    if any(np.ndim(x) for x in base.named.values()):
        raise ValueError("one scenario at a time; this one has several rows")
    return base


def _availability(base):
    """As the cost has it: spare replicas stand for it in the fleet of a demand."""
    return 1.0 if "demand_requests_per_s" in base.named else base.finance.availability


def _installed_usd(base):
    chip = base.chip
    return (chip.chip_usd + chip.host_usd + chip.scale_up_usd + chip.network_usd) * (1 + base.finance.spares_share)


def _capital_usd(base, building):
    chip, site = base.chip, base.site
    return _installed_usd(base) + base.finance.other_usd_per_chip + building * site.facility_usd_per_w * (chip.tdp_w + chip.host_w + chip.network_w)


def _running_usd_per_hour(table):
    """Dollars per chip-hour that are paid as time goes by: all but the recovery of capital."""
    capital = sum(np.nan_to_num(table[f"usd_per_mtok_{term}"]) for term in cost.CAPITAL)
    return table["usd_per_chip_hour"] * (1 - np.nan_to_num(capital / table["usd_per_mtok"]))


def _bought(base):
    """One row an API that serves the scenario's model, else the model nearest to it in parameters; NaN and a reason for a missing price."""
    import pandas as pd

    facts = catalog.apis(base.as_of)
    known = facts.sort_values("date", kind="stable").drop_duplicates(["item", "parameter"], keep="last").set_index(["item", "parameter"])
    value = known["value"].unstack() if len(known) else pd.DataFrame()
    model, work, rows = base.model.model, base.workload, []
    for item in _nearest(base, value):
        api = value.loc[item]
        new, cached, written = (float(api.get(name, np.nan)) for name in PRICES)
        lacks = [name for name, x in zip(PRICES[::2], (new, written), strict=True) if np.isnan(x)]
        cached = new if np.isnan(cached) else cached  # no discount is told
        prompt = work.prefix_hit_rate * cached + (1 - work.prefix_hit_rate) * new
        request = (prompt * work.input_tokens + written * work.output_tokens) / 1e6
        title = api["title"] if isinstance(api.get("title"), str) else item
        weak = [name for name in PRICES if (item, name) in known.index and known.loc[(item, name), "confidence"] in WEAK]
        rows.append(dict(
            ownership="api", commitment="", title=title, model=api["model"], equivalent=api["model"] != model,
            usd_per_mtok=request / work.output_tokens * 1e6, usd_per_mtok_input=prompt, usd_per_mtok_cached=cached, usd_per_mtok_output=written,
            usd_per_mtok_blended=request / (work.input_tokens + work.output_tokens) * 1e6, usd_per_request=request,
            usd_per_user_month=request * base.finance.requests_per_user_day * cost.DAYS, meets_slo=False,
            reason="; ".join(f"{item} has no figure for {name}; overlay apis.csv: {item},{name},<value>,USD/Mtok,,,<source>,<date>,press," for name in lacks),
            weak=f"{item}: {', '.join(weak)}" if weak else "",
        ))  # fmt: skip
    if not rows:
        reason = f"no API serves {model}; overlay apis.csv: <api>,model,{model},text,,,<source>,<date>,press,"
        rows = [dict(ownership="api", commitment="", title="", model=model, equivalent=False, meets_slo=False, reason=reason, weak="")]
    return pd.DataFrame(rows)


def _nearest(base, apis):
    """Items of the model itself and of those of its size; without any, of the model whose parameters, all and active, are nearest in ratio."""
    if "model" not in apis:
        return []
    served, models = apis["model"].dropna(), catalog.models(base.as_of)
    served = served[served.isin(models.index)]
    sizes = np.log(models[["total_params", "active_params"]])
    apart = (sizes - sizes.loc[base.model.model]).abs().sum(axis=1, skipna=False)[served]
    same = (served == base.model.model).to_numpy()
    return list(served.index[same | (apart <= np.fmax(apart[~same].min() * (not same.any()), SAME_SIZE)).to_numpy()])
