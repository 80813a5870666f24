"""Why a row has no number, which limit it misses, and which weak facts it rests on: bits first, words last.

Every cause is one bit of an integer a row, so a million rows cost a few array operations; a text is composed once for
each distinct combination of ids and cause, and carries no row's own number.
"""

import numpy as np

from . import catalog, values
from .columns import distinct
from .kernel import roofline
from .kernel.rows import some

FACTS = dict(  # what each group of outputs rests on; facts without a bit are only named where they are weak
    model=("n_layers", "d_model", "n_heads", "n_kv_heads", "d_head", "d_ff", "vocab_size"),
    workload=("input_tokens", "output_tokens"),
    shape=("diurnal_max_over_mean",),
    memory=("hbm_bytes", "hbm_bytes_per_s"),
    format=("peak_flop_per_s_bf16",),
    link=("link_bytes_per_s", "scale_up_domain", "scale_out_bytes_per_s"),
    power=("tdp_w", "host_w", "network_w", "pue"),
    bought=("chip_usd", "host_usd", "network_usd", "usd_per_kwh"),
    owned=("facility_usd_per_w",),
    colo=("colo_usd_per_kw_month",),
    on_demand=("cloud_usd_per_hour_on_demand",),
    reserved=("cloud_usd_per_hour_reserved",),
    spot=("cloud_usd_per_hour_spot",),
    carbon=("grid_g_per_kwh",),
    load=("prefix_hit_rate", "ttft_slo_s", "tpot_slo_s", "utilization"),
    draw=("billing_power_share", "idle_power_share", "power_per_memory_use", "power_per_root_compute_use"),
    rates=("peak_flop_per_s_fp8", "compute_efficiency_16", "memory_efficiency_16", "tpot_spread"),
    capital=(
        "cost_of_capital", "chip_life_years", "price_performance_per_year", "spares_share", "scale_up_usd", "maintenance_share",
        "insurance_share", "staff_usd_per_kw_year", "software_usd_per_chip_year", "other_usd_per_chip", "availability",
    ),
    building=("facility_life_years", "facility_maintenance_share"),
    egress=("usd_per_gb_egress",),
    failures=(
        "chip_failures_per_year", "memory_failures_per_year", "host_failures_per_year", "network_failures_per_year",
        "software_failures_per_year", "repair_time_s", "restart_time_s", "workday_over_mean",
    ),
)  # fmt: skip
SERVED = ("model", "workload", "memory", "format", "link", "rates", "load", "power", "draw", "carbon")
GROUPS = {  # by ownership
    0: (*SERVED, "bought", "capital", "owned", "building"),
    1: (*SERVED, "bought", "capital", "colo"),
    2: (*SERVED, "egress"),
}
FLEETS = ("shape", "failures")  # of the rows with a demand, which in turn rest on neither of
DERIVED = ("utilization", "availability")
RENTS = (FACTS["on_demand"], FACTS["reserved"], FACTS["spot"])
CAUSES = dict(
    saturated="saturated: more requests arrive than the replica of {chip} can answer; capacity_requests_per_s says how many it can",
    pools="prefill workers have no decode workers to hand to; set decode_workers",
    heads="tensor_parallel does not divide the attention heads of {model}",
    experts="expert_parallel does not spread the experts of {model} evenly over the chips",
    fit="{model} does not fit: weights and one request of full length need more memory than the replica of {chip} has",
    batch="the batch does not fit: its KV cache needs more memory than the replica of {chip} has left",
    ttft="misses the TTFT limit",
    tpot="misses the TPOT limit",
    quantile="slo_quantile needs an arrival rate",
    context="the request is longer than the longest context of {model}",
)
TOLD = ("model", "workload", "shape", "memory", "format", "link", "power", "bought", "owned", "colo", "on_demand", "reserved", "spot", "carbon")
NONE = np.int64(0)
BIT = {name: np.int64(1) << np.int64(i) for i, name in enumerate([*(f for g in TOLD for f in FACTS[g]), *CAUSES])}
LIMITS = ("memory", "tpot", "ttft", "given", "max_batch", "")
BOUNDS = ("compute", "memory", "network", "overhead", "")


def lacking(c, group):
    """Bits of the facts of a group that a row has no figure for."""
    total = NONE
    for name in FACTS[group]:
        gap = c.missing(name)
        total = total if gap is False else total | np.where(gap, BIT[name], NONE)
    return total


def cause(name, where):
    """Bit of a cause where it holds."""
    return np.where(where, BIT[name], NONE) if some(where) else NONE


def unfit(faults):
    """True where the model or the batch does not fit in memory."""
    return faults & (BIT["fit"] | BIT["batch"]) != 0


def missed(faults):
    """True where a latency limit is missed, or cannot be judged."""
    return faults & (BIT["ttft"] | BIT["tpot"] | BIT["quantile"]) != 0


def texts(columns, found, names) -> dict:
    """Text columns of the result as Categoricals: reason, weak, bound, batch_limit, compute_format."""
    import pandas as pd

    def words(name, options):
        used = [option for option in options if option] + [""]
        codes = np.asarray(found[name])
        return pd.Categorical.from_codes(np.array([used.index(option) for option in options])[codes], used)

    out = {}
    for name, options in (("bound", BOUNDS), ("batch_limit", LIMITS), ("compute_format", roofline.FORMATS)):
        if name in names:
            out[name] = words(name, options)
    if "reason" in names:
        out["reason"] = _reasons(columns, found["faults"])
    if "weak" in names:
        out["weak"] = _weak(columns)
    return out


def _reasons(columns, faults):
    rows, bits = np.flatnonzero(faults), np.bitwise_or.reduce(faults)
    said = {key for name, text in CAUSES.items() if bits & BIT[name] for key in values.IDS if f"{{{key}}}" in text}
    said |= {values.OWNER[name] for group in TOLD for name in FACTS[group] if bits & BIT[name]}
    ids = {key: np.broadcast_to(columns.code(key), columns.n)[rows] for key in values.IDS if key in said}  # others make no text differ

    def told(i):
        return _reason(columns, faults[rows[i]], {key: columns.tables[key].ids[codes[i]] for key, codes in ids.items()})

    return _composed(columns.n, rows, [faults[rows], *ids.values()], told)


def _reason(columns, bits, ids):
    told = [text.format(**ids) for name, text in CAUSES.items() if bits & BIT[name]]
    for name in (name for group in TOLD for name in FACTS[group]):
        if bits & BIT[name]:
            id, label = ids[values.OWNER[name]], values.FIELDS[name].metadata["label"]
            told.append(f"{id} has no figure for {name} ({label}); overlay {catalog.overlay_line(id, name)}")
    return "; ".join(told)


def _weak(columns):
    """The weak facts among those a row's numbers rest on, per combination of ids, ownership and what the row names."""
    parts = {key: np.broadcast_to(columns.code(key), columns.n) for key in (*values.IDS, "finance")}
    who, how = (np.broadcast_to(getattr(columns, name), columns.n) for name in ("ownership", "commitment"))
    fleets = np.broadcast_to(~np.isnan(columns.demand_requests_per_s), columns.n)
    named = columns.named()
    partly = [name for name, rows in named.items() if np.ndim(rows) and not rows.all()]

    def told(i):
        facts = _rests_on(who[i], how[i], fleets[i])
        words = []
        for key, codes in parts.items():
            weak, row = columns.tables[key].weak, codes[i]
            mine = [f for f in dict.fromkeys(facts) if values.OWNER[f] == key and weak[f][row] and not _named(named, f, i)]
            words += [f"{columns.tables[key].ids[row]}: {', '.join(mine)}"] if mine else []
        return "; ".join(words)

    return _composed(columns.n, np.arange(columns.n), [*parts.values(), who, how, fleets, *(named[f] for f in partly)], told)


def _rests_on(who, how, fleet) -> list[str]:
    """Facts behind the numbers of a row: by ownership and commitment, and for a demand those of its fleet."""
    facts = [name for group in (*GROUPS[who], *(FLEETS if fleet else ())) for name in FACTS[group]] + (list(RENTS[how]) if who == 2 else [])
    return [name for name in facts if not (fleet and name in DERIVED)]


def _named(named, field, row):
    rows = named.get(field, False)
    return bool(rows[row]) if np.ndim(rows) else bool(rows)


def _composed(n, rows, keys, told):
    """Categorical of n texts: `told(i)` for entry i of `rows`, once a distinct combination of `keys`; '' elsewhere."""
    import pandas as pd

    first, number = distinct(len(rows), keys)
    found = [told(i) for i in first]
    texts = list(dict.fromkeys(["", *found]))
    small = np.int8 if len(texts) < 128 else np.int32
    codes = np.zeros(n, dtype=small)
    codes[rows] = np.array([texts.index(text) for text in found], dtype=small)[number]
    return pd.Categorical.from_codes(codes, texts)


def brief(reason: str) -> str:
    """The first cause of a reason in a few words, without ids: rows with the same cause read alike.

    Examples
    --------
    >>> brief("rubin has no figure for chip_usd (Chip price); overlay chips.csv: rubin,chip_usd,<value>,USD,,,<source>,<date>,press,")
    'no figure: Chip price'
    """
    first = reason.split(";")[0].split(": ")[0]
    if " has no figure for " in first:
        return "no figure: " + first.partition("(")[2].rstrip(")")
    return "does not fit" if " does not fit" in first else first


def assumptions(scenario):
    """What a scenario rests on: every fact with value, range, confidence, source and date, those changed marked.

    Returns
    -------
    DataFrame
        field, part, id, label, value, unit, low, high, confidence, source, date, changed; values in base units.
    """
    import pandas as pd

    who, how = ("owned", "colo", "cloud").index(scenario.finance.ownership), ("on_demand", "reserved", "spot").index(scenario.finance.commitment)
    fields = _rests_on(who, how, "demand_requests_per_s" in scenario.named)
    fields += [name for name in scenario.named if name not in (*values.IDS, *fields)]
    rows = []
    for name in dict.fromkeys(fields):
        meta, key, value = values.FIELDS[name].metadata, values.OWNER[name], scenario.value(name)
        id = "" if key == "deployment" else "default" if key == "finance" else getattr(scenario, key).__dict__[key]
        fact = None if key == "deployment" else catalog.fact(key, id, name, scenario.as_of)
        told = (fact.low, fact.high, fact.confidence, fact.source, fact.date) if fact else (np.nan, np.nan, "", "", "")
        changed = name in scenario.named
        rows.append((name, key, id, meta["label"], value, meta["unit"], *told, changed))
    columns = ["field", "part", "id", "label", "value", "unit", "low", "high", "confidence", "source", "date", "changed"]
    return pd.DataFrame(rows, columns=columns)
