"""The tables of a `Tiering`: what the columns of a solved programme say, in the words and units of the plan.

Each function takes the case and the values `x` of its columns.
"""

import numpy as np
import pandas as pd

from infertco import catalog
from infertco.kernel import cost, reliability
from infertco.studies.tiering_demand import TIERS
from infertco.studies.tiering_stock import BOUGHT, PFLOP, SCALE, used

UNITS = dict(  # of a limit, of its shadow price
    power=("W", "USD/MW"), budget=("USD", "USD/USD"), carbon=("g", "USD/t"), supply=("chips", "USD/chip"), training=("chips", "USD/chip"),
    compute=("FLOP/s", "USD/(PFLOP/s)"), vendor=("chips", "USD/chip"),
)  # fmt: skip


def routes(built, x):
    """One row a period, class and deployment that serves it, and one for what is not served; classes that were one come apart again."""
    share, shed = x[built.at["x"]], x[built.at["shed"]]
    r, t = np.nonzero(share > 1e-7)
    q = built.routes.iloc[r].reset_index(drop=True)
    rate, load = share[r, t] * built.rate[q["d"], t], share[r, t] * built.staff.route_load()[r, t]
    out = pd.DataFrame(dict(
        period=t, d=q["d"], chip=q["chip"], site=q["site"], tensor_parallel=q["tensor_parallel"], weight_bits=q["weight_bits"], tier=q["tier"],
        ownership=q["ownership"], share=share[r, t], requests_per_s=rate, ttft_s=q["ttft_s"], tpot_s=q["tpot_s"],
    ))  # fmt: skip
    seconds = cost.HOURS * 3600 * built.plan.period_years
    work = _work_usd(built, x)[r, t]
    of_pool = load / np.maximum(pd.DataFrame(dict(p=q["p"], t=t, load=load)).groupby(["p", "t"])["load"].transform("sum"), 1e-300)
    out["usd"] = work + of_pool * _pool_usd(built, x)[q["p"], t]
    d, when = np.nonzero(shed > 1e-7)
    lost = shed[d, when] * built.rate[d, when]
    out = pd.concat([out, pd.DataFrame(dict(
        period=when, d=d, chip="", site="", tensor_parallel=np.nan, weight_bits=np.nan, tier=built.demand["tier"].to_numpy()[d], ownership="shed",
        share=shed[d, when], requests_per_s=lost, ttft_s=np.nan, tpot_s=np.nan, usd=lost * seconds * built.demand["shed_usd_per_request"].to_numpy()[d],
    ))], ignore_index=True)  # fmt: skip
    members = [pd.DataFrame(dict(demand=m, part=p, d=i)) for i, (m, p) in enumerate(zip(built.demand["members"], built.demand["parts"], strict=True))]
    out = out.merge(pd.concat(members), on="d")
    tokens = _field(built, "output_tokens")[out["d"]]
    out["requests_per_s"], out["usd"] = out["requests_per_s"] * out["part"], out["usd"] * out["part"]
    out["usd_per_mtok"] = np.where(out["ownership"] == "shed", np.nan, 1e6 * out["usd"] / (out["requests_per_s"] * seconds * tokens))
    order = [
        "period", "demand", "chip", "site", "tensor_parallel", "weight_bits", "tier", "ownership", "share",
        "requests_per_s", "usd", "ttft_s", "tpot_s", "usd_per_mtok",
    ]  # fmt: skip
    return out.sort_values(["period", "d", "share"], ascending=[True, True, False], kind="stable")[order].reset_index(drop=True)


def _work_usd(built, x):
    """Dollars of each route and period for the electricity that its work takes beyond standing idle."""
    q, seconds = built.routes, cost.HOURS * 3600 * built.plan.period_years
    return x[built.at["x"]] * built.rate[q["d"]] * seconds * (q["work_j"] * q["work_usd_per_j"]).to_numpy()[:, None]


def _field(built, name):
    table = catalog.table("workload")
    own = built.demand[name].to_numpy(float) if name in built.demand else np.full(len(built.demand), np.nan)
    return np.where(np.isnan(own), [table.columns[name][table.row[x]] for x in built.demand["workload"]], own)


def _year_usd(built):
    """Of one chip of each place: keeping it, and its purchase spread over its life."""
    finance, places = built.finance, built.places
    recovery = cost.capital_usd_per_year(
        1.0,
        built.plan.resale_fraction * cost.market_share(finance.chip_life_years, finance.price_performance_per_year),
        finance.cost_of_capital,
        finance.chip_life_years,
    )
    return (places["keep_usd"] + np.nan_to_num(places["installed_usd"]) * recovery).to_numpy()


def _pool_usd(built, x):
    """Dollars of each pool and period for its chips, those it does not need included where it holds them."""
    pools, n = built.pools, x[built.at["n"]]
    year, place = pools["keep_usd"].to_numpy(copy=True), pools["place"].to_numpy()
    if len(built.places):
        year[place >= 0] = _year_usd(built)[place[place >= 0]]
    return n * (pools["chips_per_replica"].to_numpy() * year * built.plan.period_years)[:, None]


def _spares(built, x):
    """Chips of each pool and period beside those the peak needs: the exact count of spare replicas, spread over the ways of having them."""
    pools, load = built.pools, x[built.at["w"]].sum(axis=2)
    q, n = pools["q"].to_numpy(), x[built.at["n"]]
    all_ = np.zeros(load.shape)
    np.add.at(all_, q, n)
    whole = np.maximum(np.round(all_), 1.0)
    spare, k = np.zeros(all_.shape), np.broadcast_to(built.staff.works[:, None], all_.shape)
    for _ in range(40):  # the most that can be spared while the rest still has its own
        need = reliability.spares(np.maximum(whole - spare, 1.0), k, built.finance_target)
        if (need <= spare).all():
            break
        spare = np.where(need > spare, spare + 1, spare)
    spare = np.where(all_ > 0.5, np.minimum(spare, np.maximum(all_ - load, 0.0)), 0.0)
    return spare[q] * n / np.maximum(all_[q], 1e-9) * pools["chips_per_replica"].to_numpy()[:, None]


def fleet(built, x):
    """One row a period, place, tier, ownership and vintage."""
    plan, rows, T = built.plan, [], int(built.plan.periods)
    pools, n, first = built.pools, x[built.at["n"]], len(built.vintages) - int(plan.periods)
    chips = n * pools["chips_per_replica"].to_numpy()[:, None]
    spare, usd = _spares(built, x), _pool_usd(built, x)
    mean = np.zeros(n.shape)
    share = x[built.at["x"]]
    np.add.at(mean, built.routes["p"].to_numpy(), share * built.rate[built.routes["d"]] / built.routes["capacity_requests_per_s"].to_numpy()[:, None])
    busy = mean * pools["chips_per_replica"].to_numpy()[:, None]
    keys = pools[["site", "chip", "tier", "ownership"]]
    long = pd.concat(
        [
            keys.assign(period=t, chips=chips[:, t], spare=spare[:, t], busy=busy[:, t], rated_w=pools["rated_w"], usd=usd[:, t])
            for t in range(T)
        ]
    )
    group = ["period", "site", "chip", "tier", "ownership"]
    sums = long.assign(w=long["chips"] * long["rated_w"]).groupby(group, sort=False)[["chips", "spare", "busy", "w", "usd"]].sum()
    for key, r in sums[sums["chips"] > 1e-6].iterrows():
        if key[4] not in BOUGHT:
            rows.append(
                dict(zip(group, key, strict=True))
                | dict(vintage=np.nan, chips=r["chips"], bought=0.0, spare=r["spare"], w=r["w"], usd=r["usd"], utilization=r["busy"] / r["chips"])
            )
    if len(built.places):
        S, buy, year = x[built.at["S"]], x[built.at["buy"]], _year_usd(built)
        for c, v, k, t in np.argwhere(S > 1e-6):
            place, held = built.places.iloc[c], S[c, v, k, t]
            key = (t, place["site"], place["chip"], TIERS[k], place["ownership"])
            pool = sums.loc[key] if key in sums.index else None
            all_here = S[c, :, k, t].sum()
            part = held / all_here
            rows.append(dict(zip(group, key, strict=True)) | dict(
                vintage=built.vintages[v], chips=held, bought=buy[c, k, t] if v == first + t else 0.0,
                spare=0.0 if pool is None else pool["spare"] * part, w=held * place["rated_w"], usd=held * year[c] * plan.period_years,
                utilization=np.nan if k == 0 else 0.0 if pool is None else pool["busy"] / all_here,
            ))  # fmt: skip
    columns = ["period", "site", "chip", "tier", "ownership", "vintage", "chips", "bought", "spare", "w", "usd", "utilization"]
    return pd.DataFrame(rows, columns=columns).sort_values(["period", "chip", "tier"], kind="stable", ignore_index=True)


def flows(built, x):
    """One row a purchase, move down a tier, and sale."""
    rows = []
    if len(built.places):
        names, year = built.places["chip"].to_numpy(), built.vintages
        usd, plan = np.nan_to_num(built.places["installed_usd"].to_numpy()), built.plan
        g = built.finance.price_performance_per_year
        for c, k, t in np.argwhere(x[built.at["buy"]] > 1e-6):
            count = x[built.at["buy"][c, k, t]]
            rows.append((t, names[c], t * plan.period_years, "", TIERS[k], count, count * usd[c]))
        for c, v, a, b, t in np.argwhere(x[built.at["move"]] > 1e-6):
            count = x[built.at["move"][c, v, a, b, t]]
            rows.append((t, names[c], year[v], TIERS[a], TIERS[b], count, count * plan.move_usd_per_chip))
        for c, v, k, t in np.argwhere(x[built.at["retire"]] > 1e-6):
            count, age = x[built.at["retire"][c, v, k, t]], t * plan.period_years - year[v]
            rows.append((t, names[c], year[v], TIERS[k], "", count, -count * usd[c] * plan.resale_fraction * cost.market_share(age, g)))
    return pd.DataFrame(rows, columns=["period", "chip", "vintage", "tier_from", "tier_to", "chips", "usd"]).sort_values(
        ["period", "chip"], kind="stable", ignore_index=True
    )


def limits(built, x, shadow, ends):
    """One row a limit and period: what is used and allowed, and what one more would save."""
    low, high, group, period = built.programme.arrays()[4:]
    left, low, high = used(built, x, ends or (low, high))
    rows = []
    for i in np.flatnonzero([str(g).split(" ")[0] in UNITS for g in group]):
        kind, least = str(group[i]).split(" ")[0], not np.isfinite(high[i]) and np.isfinite(low[i])
        allowed = low[i] if least else high[i]
        if not np.isfinite(allowed):
            continue
        unit, per = UNITS[kind]
        to_unit = dict(power=1e6, carbon=1e6, budget=1 / SCALE, compute=PFLOP).get(kind, 1.0)
        price = np.nan if shadow is None or shadow.shadow is None else -shadow.shadow[i] / SCALE * (SCALE if kind == "budget" else 1.0)
        binds = abs(left[i] - allowed) <= 1e-6 * max(1.0, abs(allowed)) or abs(price) > 1e-9
        rows.append(
            dict(
                limit=group[i],
                period=int(period[i]),
                used=left[i] * to_unit,
                allowed=allowed * to_unit,
                unit=unit,
                binds=binds,
                shadow_usd=price + 0.0,
                shadow_unit=per,
            )
        )
    return pd.DataFrame(rows, columns=["limit", "period", "used", "allowed", "unit", "binds", "shadow_usd", "shadow_unit"])


def why(built, x):
    """The chips that miss a limit of latency, and those that could serve and are not used: by how much they are too dear.

    `reduced_usd`: what serving the whole class there, in its cheapest period, would add at least, by the reduced costs of
    the programme without whole numbers: of the share, of the load on a line, of the replicas, of buying their chips. Often 0, as limits
    that bind have more than one price; `savings.served_by` solves a problem for each instead.
    """
    out = built.rejected.drop(columns="over").assign(reduced_usd=np.nan)
    prog, routes, at = built.programme, built.routes, built.at
    dual = prog.shadow() if x is not None else None
    if dual is None or dual.x is None or not len(routes):
        return out
    reduced = np.maximum(prog.arrays()[0] - prog.matrix().T @ dual.shadow, 0.0) / SCALE
    p, load, place = routes["p"].to_numpy(), built.staff.route_load(), routes["place"].to_numpy()
    more = reduced[at["x"]] + load * (reduced[at["w"]].min(axis=2)[built.staff.q] + reduced[at["n"]][p])
    if len(built.places):
        own = np.flatnonzero(place >= 0)
        tier = [TIERS.index(tier) for tier in routes["tier"].iloc[own]]
        more[own] += load[own] * routes["chips_per_replica"].to_numpy()[own, None] * reduced[at["buy"]][place[own], tier]
    table = routes.assign(used=x[at["x"]].sum(axis=1) > 1e-7, reduced_usd=more.min(axis=1), demand=built.demand["demand"].to_numpy()[routes["d"]])
    lost = table.groupby(["demand", "chip"], sort=False).agg(used=("used", "any"), reduced_usd=("reduced_usd", "min")).reset_index()
    lost = lost[~lost["used"]].drop(columns="used").assign(why="too dear", nearest="")
    return pd.concat([out, lost], ignore_index=True)[["demand", "chip", "why", "nearest", "reduced_usd"]]


def by_tier(built, x, fleet, routes):
    """One row a tier, over all periods."""
    work = pd.Series(_work_usd(built, x).sum(axis=1)).groupby(built.routes["tier"].to_numpy()).sum()
    all_ = fleet.assign(busy=fleet["utilization"] * fleet["chips"]).groupby("tier", sort=False)[["chips", "w", "usd", "busy"]].sum()
    served = (
        routes[routes["ownership"] != "shed"].assign(mtok=lambda t: t["usd"] / t["usd_per_mtok"]).groupby("tier", sort=False)[["requests_per_s", "mtok"]].sum()
    )
    t = all_.join(served)
    t["usd"] += work.reindex(t.index, fill_value=0.0)
    periods = int(built.plan.periods)
    out = pd.DataFrame(dict(
        tier=t.index, chips=t["chips"] / periods, w=t["w"] / periods, usd=t["usd"], requests_per_s=t["requests_per_s"] / periods,
        utilization=np.where(t.index == "training", np.nan, t["busy"] / t["chips"]), usd_per_mtok=t["usd"] / t["mtok"],
    )).reset_index(drop=True)  # fmt: skip
    return out.sort_values("tier", key=lambda s: s.map(TIERS.index), ignore_index=True)


def summary(built, found, fleet):
    """The plan in one row."""
    x, capex = found.x, 0.0
    left, group = built.programme.matrix() @ x, built.programme.arrays()[6]
    if len(built.places):
        capex = float((x[built.at["buy"]] * np.nan_to_num(built.places["installed_usd"].to_numpy())[:, None, None]).sum())
    carbon = float(left[group == "carbon"].sum() * 1e6)
    peak_w = fleet.groupby("period")["w"].sum().max() if len(fleet) else 0.0
    lost = float((x[built.at["shed"]] * built.rate).sum() / built.rate.sum())
    return pd.DataFrame([dict(
        status=found.status, usd_npv=found.objective / SCALE, bound_usd=found.bound / SCALE, gap=found.gap, capex_usd=capex, carbon_g=carbon, w=peak_w,
        shed_share=lost, solve_s=found.solve_s,
    )])  # fmt: skip
