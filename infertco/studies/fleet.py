"""A service of so many users: how many chips, megawatts and dollars a month, at how many nines.

`fleet` sizes it (one row a scenario and plan), `hours` follows it through a week. The sizing itself is the model's
(`kernel.fleet`, behind `demand_requests_per_s`); here users become requests, a quantile limit becomes the rate at which
a replica keeps it, and what the fleet means for racks, for hired capacity, for failures and for credits stands beside.
"""

from dataclasses import fields

import numpy as np

from infertco import catalog
from infertco.columns import from_frame
from infertco.kernel import cost, reliability
from infertco.kernel import fleet as sizing
from infertco.kernel.rows import chosen
from infertco.plans import DAY_S, FleetPlan, made
from infertco.scenario import Scenario, evaluate, scenario
from infertco.values import LOADS

STEPS_PER_HOUR = 4
MOST_EXACT = 3000  # replicas up to which racks are summed one by one
RATES = 24  # arrival rates tried at once, twice: a rate to 1/500 of the capacity
OUTPUTS = [
    "chips_per_replica", "batch", "meets_slo", "reason", "ttft_s", "tpot_s", "requests_per_s", "capacity_requests_per_s", "output_tokens_per_s_per_chip",
    "usd_per_chip_hour", "usd_per_mtok", "provisioned_j_per_request", "energy_j_per_request",
    "replicas", "spare_replicas", "fleet_chips", "fleet_w", "usd_per_month", "concurrent_requests",
]  # fmt: skip


def fleet(what=None, plan: FleetPlan | None = None, **plans):
    """The fleet of each scenario under each plan, one row a pair, scenarios slowest.

    Parameters
    ----------
    what : Scenario or DataFrame
        As for `evaluate`; its `demand_requests_per_s` stands where the plan names no users.
    plan : FleetPlan
        Or its fields by name, and any of the scenario: `fleet(s, users=2e6, nines=[2, 3, 4])`.

    Returns
    -------
    DataFrame
        The record of the scenario with `OUTPUTS`, and: users, nines, racks, `usd_per_user_month`;
        `replica_availability`, `failures_per_month`, `stock_chips`, `serving_failure_usd` (one failed replica);
        `mean_replicas` that stand ready over the week given the lag; `reserved_replicas`, `on_demand_replicas` (mean) and
        `mix_usd_per_month` in a cloud, spares reserved too, beside `all_reserved_usd_per_month`.
        Where `slo_quantile` is set, `simple_replicas` by the means and `pooled_replicas` with one line for all; where
        `domain_availability` is below 1, `domain_spare_replicas`; where the plan has a price, `paying_spares` and
        `credit_usd_per_month`. NaN where the scenario has no number; its `reason` says why.

    Raises
    ------
    ValueError
        For a bad plan, no demand at all, or users beside a demand.

    Notes
    -----
    With `slo_quantile` and no load, replicas are sized at the largest arrival rate at which one of them, with a line of
    its own, keeps the limits at that quantile. `pooled_replicas` would do if no request waited while any replica had room:
    `A + beta sqrt(A)` places, few of whose requests wait. Hours of the day are steps of a quarter of an hour.
    """
    plan, more = made(FleetPlan, plan, plans, "a fleet plan")
    frame, base, at = _crossed(what, plan, more)
    simple, frame = _staffed(frame, base)
    table = evaluate(frame, OUTPUTS, base=base)
    c = from_frame(frame, base)[0]
    replicas, spare, chips = (table[name].to_numpy() for name in ("replicas", "spare_replicas", "chips_per_replica"))
    parts, nines = reliability.replica(c, chips), -np.log10(1 - c.availability_target) + np.zeros(len(table))
    swaps = (replicas + spare) * chips * (c.chip_failures_per_year + c.memory_failures_per_year)
    found = dict(
        users=at(plan.users), nines=nines, racks=np.ceil(table["fleet_w"] / c.pue / at(plan.rack_w)),
        usd_per_user_month=table["usd_per_month"] / at(plan.users), replica_availability=parts.availability,
        failures_per_month=(replicas + spare) * parts.per_year / 12, stock_chips=reliability.stock(swaps, at(plan.part_lead_time_s), at(plan.stock_fill)),
        serving_failure_usd=_failure_usd(frame, base, c, table), **_hired(plan, c, table, at),
    )  # fmt: skip
    if simple is not None:
        found |= dict(simple_replicas=simple["replicas"].to_numpy(), pooled_replicas=_pooled(c, simple))
    if (at(plan.domain_availability) < 1).any():
        each = zip(replicas, parts.availability, c.availability_target + 0 * nines, at(plan.domain_replicas), at(plan.domain_availability), strict=True)
        found["domain_spare_replicas"] = [reliability.spares_by_domain(*row) if row[0] <= MOST_EXACT else np.nan for row in each]
    if not np.isnan(at(plan.usd_per_mtok_sold)).all():
        found["paying_spares"], found["credit_usd_per_month"] = _credits(c, table, parts, at(plan.usd_per_mtok_sold))
    return table.assign(**found)


def hours(what=None, plan: FleetPlan | None = None, **plans):
    """The week of one fleet, one row an hour, the first working day's busiest hour first.

    Returns
    -------
    DataFrame
        hour; requests_per_s; `ready_replicas`, those that must stand ready given the lag; of these `reserved` and
        `on_demand` (`fleet`, spares apart); utilization of those ready.

    Raises
    ------
    ValueError
        As `fleet`, and for more than one scenario or plan.
    """
    import pandas as pd

    plan, more = made(FleetPlan, plan, plans, "a fleet plan")
    frame, base, at = _crossed(what, plan, more)
    if len(frame) != 1:
        raise ValueError(f"hours takes one scenario and one plan, got {len(frame)} pairs")
    frame = _staffed(frame, base)[1]
    table, c = evaluate(frame, OUTPUTS, base=base), from_frame(frame, base)[0]
    load, ready = (x[::STEPS_PER_HOUR, 0] for x in _week(plan, c, table, at))
    held = _hired(plan, c, table, at)["reserved_replicas"][0]
    rate = load * np.broadcast_to(c.demand_requests_per_s, 1)[0]
    return pd.DataFrame(dict(
        hour=np.arange(168.0), requests_per_s=rate, ready_replicas=ready, reserved=np.minimum(ready, held), on_demand=np.maximum(ready - held, 0.0),
        utilization=rate / ready / table["capacity_requests_per_s"].to_numpy()[0],
    ))  # fmt: skip


def _crossed(what, plan, more):
    """(frame with a scenario and plan a row, scenario behind it, function that brings a field of the plan to the rows)."""
    import pandas as pd

    base = (what if isinstance(what, Scenario) else scenario()).vary(**more)
    frame = what
    if what is None or isinstance(what, Scenario):
        arrays = {name: x for name, x in base.fields().items() if np.ndim(x)}
        base = base.vary(**{name: float(x[0]) for name, x in arrays.items()})
        frame = pd.DataFrame(arrays, index=None if arrays else [0])
    count = max(np.size(getattr(plan, field.name)) for field in fields(plan))
    row = np.tile(np.arange(count), len(frame))
    frame = frame.iloc[np.repeat(np.arange(len(frame)), count)].reset_index(drop=True)
    at = lambda given: np.broadcast_to(given, count)[row]  # noqa: E731
    users, demanded = at(plan.users), "demand_requests_per_s" in frame or "demand_requests_per_s" in base.named
    if demanded and not np.isnan(users).all():
        raise ValueError("users make the demand; give users or demand_requests_per_s, not both")
    if not demanded and np.isnan(users).all():
        raise ValueError("a fleet needs users, or a scenario with demand_requests_per_s")
    if "utilization" in base.named:
        raise ValueError("utilization follows from the users or the demand; leave it out")
    if not demanded:
        frame["demand_requests_per_s"] = users * from_frame(frame, base)[0].requests_per_user_day / DAY_S
    if not np.isnan(at(plan.nines)).all():
        frame["availability_target"] = np.minimum(1 - 10.0 ** -at(plan.nines), 0.999999)
    return frame, base, at


def _staffed(frame, base):
    """(Sizing by the means, or None; frame with an arrival rate where a quantile is asked for and no load given)."""
    c = from_frame(frame, base)[0]
    quantile = c.slo_quantile + np.zeros(len(frame))
    if np.isnan(quantile).all() or set(LOADS) & {*frame, *base.named}:
        return None, frame
    simple = evaluate(frame.assign(slo_quantile=np.nan), ["replicas", "batch", "capacity_requests_per_s"], base=base)
    low, high = np.zeros(len(frame)), simple["capacity_requests_per_s"].to_numpy()
    steps = np.arange(1, RATES + 1) / RATES
    many = frame.iloc[np.repeat(np.arange(len(frame)), RATES)].reset_index(drop=True)
    for _ in range(2):
        tried = low[:, None] + (high - low)[:, None] * steps
        within = evaluate(many.assign(arrival_requests_per_s=tried.ravel()), ["meets_slo"], base=base)["meets_slo"].to_numpy()
        kept = np.minimum.accumulate(within.reshape(tried.shape), axis=1).sum(axis=1)
        low, high = low + (high - low) * kept / RATES, low + (high - low) * np.minimum(kept + 1, RATES) / RATES
    rate = np.where(low > 0, low, high)  # none keeps them: the row shows the slowest tried, and its reason
    return simple, frame.assign(arrival_requests_per_s=np.where(np.isnan(quantile), np.nan, rate))


def _peak(c):
    return c.demand_requests_per_s * c.diurnal_max_over_mean * c.workday_over_mean


def _pooled(c, simple):
    """Replicas with one line for all of them, as many places each as the means allow."""
    places, capacity = simple["batch"].to_numpy(), simple["capacity_requests_per_s"].to_numpy()
    return np.ceil(sizing.square_root_servers(_peak(c) * places / capacity, 1 - c.slo_quantile) / places)


def _week(plan, c, table, at):
    """(load over its mean, replicas that must stand ready) at each step of the week; NaN for days with a peak above 3."""
    highest = np.where(np.asarray(c.diurnal_max_over_mean) <= 3, c.diurnal_max_over_mean, np.nan) + np.zeros(len(table))
    load = sizing.week(sizing.shape(highest, c.diurnal_max_over_min, c.workday_over_mean), STEPS_PER_HOUR)
    each = np.minimum(table["requests_per_s"], table["capacity_requests_per_s"]).to_numpy()
    lag, most = np.ceil(at(plan.scale_up_lag_s) * STEPS_PER_HOUR / 3600), load
    for steps in np.unique(lag):
        most = np.where(lag == steps, sizing.ahead(load, steps), most)
    return load, np.ceil(most * c.demand_requests_per_s / each * (1 - 1e-12))


def _hired(plan, c, table, at) -> dict:
    """Replicas over the week, and what of them to reserve: dollars a month in a cloud."""
    ready = _week(plan, c, table, at)[1]
    held_usd = chosen(at(plan.reserved_usd_per_hour), c.cloud_usd_per_hour_reserved)
    hired_usd = chosen(at(plan.on_demand_usd_per_hour), c.cloud_usd_per_hour_on_demand)
    mix = sizing.newsvendor(ready, held_usd, hired_usd)
    month, spare = table["chips_per_replica"].to_numpy() * cost.HOURS / 12, table["spare_replicas"].to_numpy()
    return dict(
        mean_replicas=ready.mean(axis=0), reserved_replicas=mix.reserved, on_demand_replicas=mix.on_demand,
        mix_usd_per_month=(mix.cost + spare * held_usd) * month, all_reserved_usd_per_month=(table["replicas"].to_numpy() + spare) * held_usd * month,
    )  # fmt: skip


def _failure_usd(frame, base, c, table):
    """Cost of one failed replica: what was in flight is read anew, half its answer and its cached prefix too."""
    layout = {name: table[name].to_numpy() for name in ("tensor_parallel", "pipeline_parallel", "expert_parallel")}
    again = frame.assign(**layout, input_tokens=c.input_tokens + c.output_tokens / 2, prefix_hit_rate=0.0)
    read_s = evaluate(again, ["prefill_s"], base=base)["prefill_s"].to_numpy()
    return reliability.serving_failure_usd(table["batch"].to_numpy(), read_s, table["chips_per_replica"].to_numpy(), table["usd_per_chip_hour"].to_numpy())


def _credits(c, table, parts, sold):
    """(Spares where one more stops paying, credits a month with the spares there are)."""
    facts = catalog.facts("finance", c.base.as_of)
    bands = facts[facts["item"].str.startswith("sla/") & (facts["unit"] != "text")].pivot(index="item", columns="parameter", values="value").astype(float)
    levels, shares = bands.sort_values("service_level", ascending=False).to_numpy().T[::-1]
    bill = sold * c.demand_requests_per_s * c.output_tokens * reliability.MONTH_S / 1e6 + np.zeros(len(table))
    outage_s = (1 / parts.availability - 1) * reliability.YEAR_S / parts.per_year
    spare_usd = (table["usd_per_chip_hour"] * table["chips_per_replica"]).to_numpy() * cost.HOURS / 12
    best, credit = np.full(len(table), np.nan), np.full(len(table), np.nan)
    for i, (needed, spare) in enumerate(zip(table["replicas"], table["spare_replicas"], strict=True)):
        if np.isfinite(needed + spare + spare_usd[i] + bill[i]) and spare < MOST_EXACT:
            works, most = parts.availability[i], int(spare) + 64
            best[i] = reliability.paying_spares(needed, works, spare_usd[i], bill[i] / needed, outage_s[i], bill[i], levels, shares, most)[0]
            short = reliability.short_share(needed, works, most)[int(spare)]
            credit[i] = bill[i] * reliability.credit_share(short, outage_s[i] / (spare + 1), levels, shares)
    return best, credit
