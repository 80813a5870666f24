"""What memory is worth: bandwidth, capacity, generation and price of HBM, and how much of it tokens need.

A what-if scales a chip's memory and leaves the rest of the chip as it is; layout, width of the weights and batch are
chosen anew at every point (`sensitivity.optimum`). A price of HBM reaches the price of a chip by one of two rules: the
maker keeps its margin in dollars, or in per cent:

    dollars:  price' = price + change of the HBM bill
    share:    price' = price (1 + change of the HBM bill / bill of materials)
"""

import numpy as np
import pandas as pd

from infertco import catalog
from infertco.columns import from_frame
from infertco.kernel import transformer
from infertco.scenario import Scenario, evaluate
from infertco.studies.ranges import as_frame, in_force, one
from infertco.studies.sensitivity import CHOICES, optimum

RULES = ("dollars", "share")
CHOSEN = CHOICES | dict(weight_bits=(16.0, 8.0), kv_bits=(16.0, 8.0))  # what a what-if chooses anew, beside the batch
OUTPUTS = ("usd_per_mtok", "tokens_per_usd", "output_tokens_per_s_per_chip", "tpot_s", "ttft_s", "provisioned_j_per_request", "bound", "batch_limit", "batch")
KINDS = dict(SRAM="SRAM", HBM="HBM", GDDR="GDDR", LPDDR="LPDDR", DDR="DDR", MRDIMM="DDR", DRAM="DDR")  # word in memory_type: kind of memory
GB, MONTH_S = 1e9, 365.25 / 12 * 86400


def generations(as_of: str | None = None) -> pd.DataFrame:
    """One stack of every generation: index = generation; capacity and bandwidth with their ranges, date."""
    facts = catalog.demand(as_of)
    facts = facts[facts["item"].str.startswith("hbm-stack/") & (facts["unit"] != "text")].assign(generation=lambda t: t["item"].str.removeprefix("hbm-stack/"))
    wide = facts.pivot(index="generation", columns="parameter", values=["value", "low", "high"]).sort_values(("value", "hbm_stack_bytes_per_s"))
    wide.columns = [name + {"value": "", "low": "_low", "high": "_high"}[end] for end, name in wide.columns]
    return wide.astype(float).join(facts.groupby("generation")["date"].first())


def bills(as_of: str | None = None) -> pd.DataFrame:
    """The chips whose bill of materials is known: index = chip; bom_usd, hbm_bom_share, hbm_usd, hbm_usd_per_gb, chip_usd."""
    facts = catalog.demand(as_of)
    facts = facts[facts["item"].str.startswith("hbm-bom/") & (facts["unit"] != "text")].assign(chip=lambda t: t["item"].str.removeprefix("hbm-bom/"))
    table = facts.pivot(index="chip", columns="parameter", values="value").reindex(facts["chip"].unique()).astype(float)
    known = catalog.chips(as_of).reindex(table.index)
    table["hbm_usd"] = table["bom_usd"] * table["hbm_bom_share"]
    table["hbm_usd_per_gb"] = table["hbm_usd"] / known["hbm_bytes"] * GB
    return table.assign(chip_usd=known["chip_usd"])


def price_shock(rise: float = 0.2, as_of: str | None = None) -> pd.DataFrame:
    """What dearer HBM does to a chip's bill of materials, and to its price under either rule; index = chip.

    Returns
    -------
    DataFrame
        hbm_bom_share, bom_change (share), bom_change_usd, price_change_dollars, price_change_share: shares of `chip_usd`.
    """
    table = bills(as_of)
    change = rise * table["hbm_bom_share"]
    usd = change * table["bom_usd"]
    return table[["hbm_bom_share"]].assign(bom_change=change, bom_change_usd=usd, price_change_dollars=usd / table["chip_usd"], price_change_share=change)


def chip_price(scenario: Scenario, hbm_bytes=None, hbm_usd_per_gb=None, pass_through: str = "dollars"):
    """Price of a scenario's chip with other memory or memory at another price. [USD]

    Parameters
    ----------
    hbm_bytes, hbm_usd_per_gb : Number, optional
        As it is today where not given.
    pass_through : str
        dollars: the maker's margin stays the same in dollars; share: in per cent.

    Raises
    ------
    ValueError
        For an unknown rule, and a chip whose bill of materials no fact states.
    """
    if pass_through not in RULES:
        raise ValueError(f"pass_through is {' or '.join(RULES)}, got {pass_through!r}")
    bill, chip = bills(scenario.as_of).reindex([scenario.chip.chip]).iloc[0], scenario.chip.chip
    if not bill["hbm_usd"] > 0:
        raise ValueError(f"{chip} has no bill of materials; overlay demand.csv: hbm-bom/{chip},bom_usd,... and hbm-bom/{chip},hbm_bom_share,...")
    held = catalog.fact("chip", chip, "hbm_bytes", scenario.as_of).value if hbm_bytes is None else hbm_bytes
    per_gb = bill["hbm_usd_per_gb"] if hbm_usd_per_gb is None else hbm_usd_per_gb
    change, price = np.asarray(held) / GB * per_gb - bill["hbm_usd"], in_force(scenario, "chip_usd")
    return price + change if pass_through == "dollars" else price * (1 + change / bill["bom_usd"])


def what_if(
    scenario: Scenario, hbm_bytes_per_s=None, hbm_bytes=None, hbm_usd_per_gb=None, pass_through: str | None = None, outputs=OUTPUTS, choices=None
) -> pd.DataFrame:
    """A chip with other memory: every bandwidth with every capacity, layout, widths and batch chosen anew at each.

    Parameters
    ----------
    hbm_bytes_per_s, hbm_bytes : numbers
        Bandwidths and capacities of one chip; today's where not given.
    hbm_usd_per_gb, pass_through
        With a rule, the price of the chip follows its memory (`chip_price`); without one it stays.
    choices : dict
        As `sensitivity.optimum` takes it; `CHOSEN` if None.

    Returns
    -------
    DataFrame
        hbm_bytes_per_s, hbm_bytes, chip_usd, what was chosen, the outputs, `feasible`, `reason`.
    """
    scenario = one(scenario)
    axes = dict(hbm_bytes_per_s=hbm_bytes_per_s, hbm_bytes=hbm_bytes)
    points = np.meshgrid(*(np.atleast_1d(in_force(scenario, name) if given is None else given) for name, given in axes.items()), indexing="ij")
    frame = pd.DataFrame({name: axis.ravel().astype(float) for name, axis in zip(axes, points, strict=True)})
    if pass_through is not None:
        frame["chip_usd"] = chip_price(scenario, frame["hbm_bytes"].to_numpy(), hbm_usd_per_gb, pass_through)
    return optimum(frame, scenario, [*outputs, "reason"], CHOSEN if choices is None else choices)


def by_generation(scenario: Scenario, stacks: float | None = None, pass_through: str | None = None, premium: dict | None = None, **how) -> pd.DataFrame:
    """The chip with as many stacks of each generation of HBM: `what_if` at the capacity and bandwidth of each.

    `stacks` is the chip's own where it is known. `premium` maps generations to a price per GB over today's (1.3: 30 %
    more); it counts with a rule of `pass_through`.
    """
    stacks = in_force(scenario, "hbm_stacks") if stacks is None else stacks
    if not stacks > 0:
        raise ValueError(f"how many stacks has {scenario.chip.chip}? give stacks=")
    today = bills(scenario.as_of)["hbm_usd_per_gb"].get(scenario.chip.chip, np.nan)
    parts = []
    for name, row in generations(scenario.as_of).iterrows():
        price = today * (premium or {}).get(name, 1.0) if pass_through else None
        found = what_if(scenario, stacks * row["hbm_stack_bytes_per_s"], stacks * row["hbm_stack_bytes"], price, pass_through, **how)
        parts.append(found.assign(generation=name, stacks=stacks))
    return pd.concat(parts, ignore_index=True)


def price_elasticity(scenario: Scenario, pass_through: str = "dollars", output: str = "usd_per_mtok", step: float = 0.01) -> float:
    """Per cent by which an output moves for one per cent of the price of HBM, under a rule of passing it on."""
    price = bills(scenario.as_of)["hbm_usd_per_gb"].get(scenario.chip.chip, np.nan)
    paid = [float(chip_price(scenario, None, price * factor, pass_through)) for factor in (1 + step, 1 - step)]
    found = optimum(pd.DataFrame(dict(chip_usd=paid)), scenario, [output])[output].to_numpy(float)
    return float(np.log(found[0] / found[1]) / np.log((1 + step) / (1 - step)))


def memories(as_of: str | None = None, chips=None) -> pd.DataFrame:
    """The memory of every chip: index = chip; name, kind (SRAM, HBM, GDDR, LPDDR, DDR), hbm_bytes, hbm_bytes_per_s, sweep_s.

    `sweep_s` is how long the chip takes to read its whole memory once: no token of a model that fills it can come sooner.
    """
    table = catalog.chips(as_of)[["name", "memory_type", "hbm_bytes", "hbm_bytes_per_s"]]
    table = table if chips is None else table.loc[list(chips)]
    kind = [next((kind for word, kind in KINDS.items() if word in text.upper()), "") for text in table["memory_type"]]
    table = table.assign(kind=kind, sweep_s=table["hbm_bytes"] / table["hbm_bytes_per_s"])
    return table[table["sweep_s"].notna() & (table["kind"] != "")]


# ------------------------------------------------------------------ how much of it tokens need


def need(what, base: Scenario | None = None, choices=None) -> pd.DataFrame:
    """Bytes that a token reads and a user holds, at the best layout and batch within the limits.

    Returns
    -------
    DataFrame
        The columns of `what`, those chosen, `usd_per_mtok`, `feasible`, and
        read_bytes_per_token (weights and cache that decoding a token moves),
        cache_bytes_per_user, weight_bytes_per_user (held, of the batch in flight), hbm_bytes_per_user (installed).
    """
    frame, base = as_frame(what, base)
    wanted = ["batch", "mbu", "chips_per_replica", "output_tokens_per_s_per_chip", "weight_bytes_per_chip", "usd_per_mtok"]
    found = optimum(frame, base, wanted, choices)
    columns = from_frame(frame, base)[0]
    cached = transformer.cached_tokens(columns, columns.input_tokens + columns.output_tokens / 2)
    bits = evaluate(frame, ["batch"], base=base)["kv_bits"].to_numpy(float)
    cache = transformer.kv_bytes_per_token_layer(columns, bits) * cached + columns.n_linear_layers * columns.linear_state_bytes
    users = found["batch"] / found["chips_per_replica"]
    return found.drop(columns=["mbu", "meets_slo"]).assign(
        read_bytes_per_token=found["mbu"] * columns.hbm_bytes_per_s / found["output_tokens_per_s_per_chip"],
        cache_bytes_per_user=cache, weight_bytes_per_user=found["weight_bytes_per_chip"] / users, hbm_bytes_per_user=columns.hbm_bytes / users,
    )  # fmt: skip


def savings(scenario: Scenario, choices=None) -> pd.DataFrame:
    """What each way of using less memory saves, one at a time against the scenario: `need` a row, with ratios to the first.

    Grouped heads and the latent cache are shown by taking them away. A prefix found in the cache saves the time of
    reading it; its bytes are still counted for each user, as pages shared between users are not modeled.
    """
    heads, latent = in_force(scenario, "n_heads"), in_force(scenario, "kv_lora_rank") > 0
    grouped = in_force(scenario, "n_kv_heads") < heads and not latent
    ways = {"as it is": {}, "cache in 8 bit": dict(kv_bits=8.0), "weights in 8 bit": dict(weight_bits=8.0)}
    ways |= {"half of each prompt cached": dict(prefix_hit_rate=0.5), "prompts on chips of their own": dict(decode_workers=1.0)}
    ways |= {"without grouped heads": dict(n_kv_heads=heads)} if grouped else {}
    ways |= {"without the latent cache": dict(kv_lora_rank=0.0, n_kv_heads=heads)} if latent else {}
    table = pd.concat([need(scenario.vary(**change), choices=choices).assign(way=way) for way, change in ways.items()], ignore_index=True)
    for name in ("cache_bytes_per_user", "hbm_bytes_per_user", "read_bytes_per_token", "usd_per_mtok"):
        table[f"{name}_ratio"] = table[name] / table[name].iloc[0]
    return table


def fleet(scenario: Scenario, tokens_per_month: float, output_only: bool = False, choices=None) -> dict:
    """HBM that a stream of tokens needs, beside what is shipped in a year.

    Parameters
    ----------
    tokens_per_month : float
        Prompts and answers together, in the scenario's proportion; answers alone with `output_only`.

    Returns
    -------
    dict
        output_tokens_per_s, chips, hbm_bytes (installed), used_bytes (weights and cache of the requests in flight),
        hbm_bits, supply_bits (a year), supply_date, share (installed over a year's supply), feasible.
    """
    row = need(scenario, choices=choices).iloc[0]
    answers = 1.0 if output_only else scenario.value("output_tokens") / (scenario.value("output_tokens") + scenario.value("input_tokens"))
    rate = tokens_per_month / MONTH_S * answers
    chips = rate / row["output_tokens_per_s_per_chip"] / in_force(scenario, "utilization")
    users = chips * in_force(scenario, "utilization") * row["batch"] / row["chips_per_replica"]
    facts = catalog.demand(scenario.as_of)
    shipped = facts[(facts["item"] == "hbm-shipments/all-hbm") & (facts["parameter"] == "hbm_bytes")].iloc[-1]
    held = chips * in_force(scenario, "hbm_bytes")
    used = users * row["cache_bytes_per_user"] + chips * row["weight_bytes_per_chip"]
    return dict(
        output_tokens_per_s=rate, chips=chips, hbm_bytes=held, used_bytes=used, hbm_bits=8 * held, supply_bits=8 * shipped["value"],
        supply_date=shipped["date"], share=held / shipped["value"], feasible=bool(row["feasible"]),
    )  # fmt: skip
