"""Classes of demand and what could serve them: the inputs of `tiering`, checked, and every deployment within the limits.

A class is one row: `demand` (its name), `model`, `workload`, any field of the scenario, and OWN. A candidate is one
deployment (chip, tensor_parallel, weight_bits, site) that serves one class within its latency limits.
"""

import numpy as np
import pandas as pd

from infertco import catalog, values
from infertco.checking import check_numbers, nearest
from infertco.scenario import Scenario, evaluate
from infertco.values import LOADS, quantity

TIERS = ("training", "premium", "cost_optimized", "batch", "edge")  # chips move down this list, never to the edge
NUMBERS = {
    "demand_requests_per_s": values.FIELDS["demand_requests_per_s"],
    "growth_per_year": quantity("Growth", "1/year", "Rise of the demand a year", (-0.99, 100), default=0.0),
    "shed_usd_per_request": quantity("Penalty", "USD", "Of a request that is not served; NaN: all must be", (0, 1e6)),
}
OWN = ("demand", "residency", "offline", "tier", *NUMBERS)
CHOSEN = dict(chip=" among `chips`", site="; say residency for where a class must be served", tensor_parallel="", weight_bits="")
OUTPUTS = [
    "chips_per_replica", "batch", "meets_slo", "fits_memory", "reason", "ttft_s", "tpot_s", "capacity_requests_per_s", "active_w_per_chip", "idle_w_per_chip",
]  # fmt: skip


def demands(demand, scenario: Scenario, premium_tpot_s: float = 0.03) -> pd.DataFrame:
    """The classes with every column there is, one row a class; `peak_over_mean` and `tier` follow from the workload.

    A class that names no model or workload has the scenario's, what was changed of it included; one that does has the catalog's.

    Raises
    ------
    ValueError
        In one line: row, field, what was given, what is allowed, the nearest name.
    """
    table = pd.DataFrame(demand).reset_index(drop=True)
    if table.empty:
        raise ValueError("demand needs at least one class")
    known = (*OWN, *values.FIELDS)
    for name in table:
        if name in CHOSEN:
            raise ValueError(f"demand has no field '{name}': the plan chooses it{CHOSEN[name]}")
        if name not in known or name in LOADS:
            raise ValueError(f"demand has no field '{name}'{nearest(str(name), known)}")
    if "demand_requests_per_s" not in table:
        raise ValueError("demand needs demand_requests_per_s, the mean rate of each class")
    names = [str(x) for x in table.get("demand", [f"class {i + 1}" for i in table.index])]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"two classes of demand are named '{twice[0]}'")
    out = table.assign(demand=names)
    for name in NUMBERS:
        default = NUMBERS[name].default
        out[name] = [_number(name, x, who, default) for x, who in zip(table.get(name, [default] * len(table)), names, strict=True)]
    for kind in ("model", "workload"):
        out[kind] = [_id(kind, x, who, getattr(getattr(scenario, kind), kind)) for x, who in zip(table.get(kind, [None] * len(table)), names, strict=True)]
    out["offline"] = [_truth(x, who) for x, who in zip(table.get("offline", [False] * len(table)), names, strict=True)]
    out["residency"] = [_sites(x, who) for x, who in zip(table.get("residency", [""] * len(table)), names, strict=True)]
    inherits = {kind: np.array([_blank(x) for x in table.get(kind, [None] * len(table))]) for kind in ("model", "workload")}
    for name in scenario.named:  # a class that names no model or workload has that of the scenario, what was changed of it included
        if name not in values.IDS and values.OWNER[name] in inherits:
            own = out[name] if name in out else pd.Series(np.nan, out.index)
            out[name] = own.where(~(inherits[values.OWNER[name]] & own.isna()), scenario.value(name))
    facts = catalog.table("workload", scenario.as_of)
    for name in ("ttft_slo_s", "tpot_slo_s", "diurnal_max_over_mean", "workday_over_mean"):
        of_id = [facts.columns[name][facts.row[x]] for x in out["workload"]]
        own = pd.to_numeric(out[name]) if name in out else np.nan
        out[name] = np.where(np.isnan(own + np.zeros(len(out))), np.where(inherits["workload"], scenario.value(name), of_id), own)
    out.loc[out["offline"], ["ttft_slo_s", "tpot_slo_s"]] = np.nan
    out["peak_over_mean"] = np.where(
        out["offline"], 1.0, np.nan_to_num(out["diurnal_max_over_mean"], nan=1.0) * np.nan_to_num(out["workday_over_mean"], nan=1.0)
    )
    follows = np.select([out["offline"], out["workload"] == "edge", out["tpot_slo_s"] <= premium_tpot_s], ["batch", "edge", "premium"], "cost_optimized")
    given = table.get("tier", pd.Series([""] * len(table)))
    out["tier"] = [_tier(x, who) or y for x, y, who in zip(given, follows, names, strict=True)]
    return out


def _blank(x):
    return x is None or x != x or x == ""


def _number(name, given, who, default):
    try:
        return float(
            check_numbers(name, default if _blank(given) else given, nan_is_none=default != default and name != "demand_requests_per_s", fields=NUMBERS)
        )
    except ValueError as error:
        raise ValueError(f"demand '{who}': {error}") from None


def _id(kind, given, who, default):
    given = default if _blank(given) else given
    try:
        catalog.check_id(kind, given)
    except ValueError as error:
        raise ValueError(f"demand '{who}': {error}") from None
    return given


def _sites(given, who):
    sites = [] if _blank(given) else [x.strip() for x in (given.split(",") if isinstance(given, str) else given)]
    for site in sites:
        _id("site", site, f"{who}', residency '{site}", "")
    return ",".join(sites)


def _truth(given, who):
    if given in (True, False, 0, 1) or _blank(given):
        return bool(given) and not _blank(given)
    raise ValueError(f"demand '{who}': offline must be true or false, got {given!r}")


def _tier(given, who):
    if _blank(given):
        return ""
    if given not in TIERS[1:]:
        raise ValueError(f"demand '{who}': unknown tier '{given}'{nearest(str(given), TIERS[1:])} It is one of {', '.join(TIERS[1:])}")
    return given


def sites_of(demand, scenario) -> list[str]:
    """The scenario's site and those that residency names."""
    return list(dict.fromkeys([scenario.site.site, *(x for text in demand["residency"] for x in text.split(",") if x)]))


def candidates(demand, chips, scenario: Scenario, sites=None, tensor_parallel=(1, 2, 4, 8), weight_bits=(np.nan,)):
    """(Deployments within the limits of each class, why the other pairs of class and chip are out).

    Parameters
    ----------
    demand : DataFrame
        As `demands` gives it.
    chips, sites : lists of ids
        Sites: the scenario's and those that residency names, if None.
    tensor_parallel, weight_bits : numbers
        Layouts tried; NaN bits: as published.

    Returns
    -------
    (DataFrame, DataFrame)
        One row a class, chip, site and layout, of these the one with the most capacity a chip and the one with the
        fewest chips, `d` being the row of the class; and demand, chip, why, nearest (the layout that came nearest, in words).
    """
    sites = sites_of(demand, scenario) if sites is None else sites
    for kind, ids in (("chip", chips), ("site", sites)):
        for id in ids:
            catalog.check_id(kind, id, scenario.as_of)
    lists = (np.arange(len(demand)), np.arange(len(chips)), np.arange(len(sites)), np.asarray(tensor_parallel, float), np.asarray(weight_bits, float))
    d, chip, site, ways, bits = (x.ravel() for x in np.meshgrid(*lists, indexing="ij"))
    d, chip, site = d.astype(int), chip.astype(int), site.astype(int)
    allowed = np.array([[not text or name in text.split(",") for name in sites] for text in demand["residency"]])[d, site]
    d, chip, site, ways, bits = (x[allowed] for x in (d, chip, site, ways, bits))
    fields = [name for name in demand if name in values.FIELDS and name not in ("demand_requests_per_s", "site", "chip")]
    frame = demand[fields].iloc[d].reset_index(drop=True)
    frame = frame.assign(chip=np.asarray(chips, object)[chip], site=np.asarray(sites, object)[site], tensor_parallel=ways, weight_bits=bits)
    found = evaluate(frame, OUTPUTS, base=scenario.vary(demand_requests_per_s=None)).assign(d=d, demand=demand["demand"].to_numpy()[d])
    found["limit_ttft_s"], found["limit_tpot_s"] = frame["ttft_slo_s"].to_numpy(), frame["tpot_slo_s"].to_numpy()
    good = found["meets_slo"].to_numpy(bool) & (found["capacity_requests_per_s"] > 0).to_numpy()
    kept = found[good].assign(per_chip=lambda t: t["capacity_requests_per_s"] / t["chips_per_replica"])
    group = ["d", "chip", "site"]
    most = kept.sort_values("per_chip", ascending=False, kind="stable").drop_duplicates(group)
    least = kept.sort_values(["chips_per_replica", "per_chip"], ascending=[True, False], kind="stable").drop_duplicates(group)
    out = pd.concat([most, least]).loc[lambda t: ~t.index.duplicated()].sort_index().reset_index(drop=True)
    return out.astype(dict(chip=object, site=object, model=object)), _rejected(found[~good], out)


def _rejected(lost, kept):
    """One row a class and chip without a candidate: what the layout that came nearest misses."""
    served = set(zip(kept["demand"], kept["chip"], strict=True))
    over = np.fmax(np.nan_to_num(lost["ttft_s"] / lost["limit_ttft_s"], nan=0.0), np.nan_to_num(lost["tpot_s"] / lost["limit_tpot_s"], nan=0.0))
    over = np.where(lost["tpot_s"].isna(), np.inf, over)
    rows, first = [], lost.assign(over=over).sort_values("over", kind="stable").drop_duplicates(["demand", "chip"])
    for r in first.to_dict("records"):
        if (r["demand"], r["chip"]) in served:
            continue
        near = f"{r['chip']} at tensor_parallel {r['tensor_parallel']:g}"
        if r["tpot_s"] > r["limit_tpot_s"]:
            near += f" reaches {1e3 * r['tpot_s']:.3g} ms a token; the limit is {1e3 * r['limit_tpot_s']:.3g} ms"
        elif r["ttft_s"] > r["limit_ttft_s"]:
            near += f" reaches the first token in {r['ttft_s']:.3g} s; the limit is {r['limit_ttft_s']:.3g} s"
        else:
            near += f": {r['reason'] or 'no capacity'}"
        rows.append(dict(demand=r["demand"], chip=r["chip"], why=str(r["reason"]) or "no capacity", nearest=near, over=r["over"]))
    return pd.DataFrame(rows, columns=["demand", "chip", "why", "nearest", "over"])
