"""The fleet that was bought for training: vintages by tier, handed down, sold or left idle; what stands stranded and what it costs.

Chips of two lines, those of training and those of serving, are bought period by period as late as the need allows, and
each chip is in exactly one tier: training, premium (served within limits), batch (work that can wait), idle, or gone
(sold, retired). Every move goes through `kernel.stock.step`. Need is counted in chips of the first generation; a chip
bought later does `(1 + price_performance_per_year)^years` the work for the same real price, and
`(1 + energy_gain_per_year)^years` the work for a joule, so its draw is the quotient. An old chip goes on doing its own
generation's work. Chips are counted in fractions. Left out: failures (the need holds its spares), what a move costs,
money of orders before their delivery (purchases are known `lead_time_years` ahead; `waiting` is about when they are not).
"""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np

from infertco import catalog
from infertco.kernel import cost, power, stock
from infertco.plans import PivotPlan
from infertco.scenario import Scenario, best, evaluate

TIERS = ("training", "premium", "batch", "idle", "sold", "retired")
TRAINING, PREMIUM, BATCH, IDLE, SOLD, RETIRED = range(6)
STANDING = slice(0, 4)
NEEDS = ("training_chips", "premium_chips", "batch_chips")
POLICIES = ("hand_down", "resell", "idle")
ASKED = ("refresh_years", "buy_ahead_years", "resale_share", "energy_gain_per_year")
BY_POWER = ("building", "upkeep", "space", "staff")  # hourly terms in proportion to rated power; a building stays when chips go
BY_CHIP = ("maintenance", "insurance", "software")
WAYS = (1.0, 2.0, 4.0, 8.0, 16.0)  # tensor parallelism tried
SERVED = ["output_tokens_per_s_per_chip", "meets_slo", "active_w_per_chip", "reason"]
DECODED = ["tokens_per_usd", "meets_slo", "fits_memory", "tpot_s", "chips_per_replica", "reason"]
MONEY = ("bought_usd", "running_usd", "resale_usd", "stranded_usd", "energy_j")


class Vintages(NamedTuple):
    """One policy's fleet as tables; periods are Timestamps, `vintage` the period of purchase.

    stock : period, vintage, chip, tier, chips, used (mean), idle, eligible (tiers it may work in); sold and retired add up.
    flows : period_from, period_to, tier_from, tier_to, vintage, chip, chips; `bought` is a tier from, staying a flow too.
    money : period, years, bought_usd, running_usd, resale_usd, stranded_usd, usd, npv_usd, energy_j, stranded_chips.
    summary : npv_usd (less what the stock is worth in the end), left_usd, bought_chips, and the sums of `money`.
    """

    stock: object
    flows: object
    money: object
    summary: dict


class Run(NamedTuple):
    """What `run` returns: lines x periods are rows; trailing axes are draws."""

    stock: np.ndarray  # (periods, rows, tiers, ...)
    moved: np.ndarray  # (periods, rows, tiers, tiers, ...)
    bought: np.ndarray  # (periods, rows, tiers, ...)
    used: np.ndarray  # (periods, rows, standing tiers, ...)


def vintages(need, scenario: Scenario, plan: PivotPlan, months: int = 3) -> Vintages:
    """The fleet that meets a need, period by period, under the plan's `fleet_policy`.

    Parameters
    ----------
    need : DataFrame
        A row a month: `month` (Timestamp, without a gap), `training_chips`, `premium_chips`, `batch_chips`, counted in
        chips of the first month's generation, spares included.
    scenario : Scenario
        The chip served on, the model, its limits, finance and site. Rented chips are taken as bought in colocation.
    plan : PivotPlan
        `refresh_years, buy_ahead_years, resale_share, energy_gain_per_year, fleet_policy` and, where there is training,
        `training_fabric_bytes_per_s`; `training_chip` none: the scenario's.
    months : int
        Months of a period, a last one of fewer counted whole. Chips stand for the largest need of a period and work for its mean.

    Raises
    ------
    ValueError
        For a bad need or plan, a tier with need that its chip is not eligible for, a fact that lacks.

    Notes
    -----
    Chips leave the training tier at `refresh_years`, needed or not, and every tier at `chip_life_years`, for nothing.
    `hand_down`: to premium, then batch, as far as these have need beyond the chips they hold and the chip runs there for
    less than a new one costs in all for the same work, else sold; sold later too once that is no longer so. `resell`:
    sold at `resale_share (1 + g)^-age` of the installed price. `idle`: left running idle. Premium and batch lend each
    other what one has too many. Stranded is the capital cost of the hours in which chips have no work. Training draws
    the rated power. Stock-flow by vintage and tier; what a chip is eligible for follows from its facts.
    """
    return _tables(prepared(need, scenario, plan, months), _policy(plan.fleet_policy))


def compare(need, scenario: Scenario, plan: PivotPlan, months: int = 3):
    """The three policies side by side: (summary, a row a policy; money, a row a policy and period)."""
    import pandas as pd

    case = prepared(need, scenario, plan, months)
    found = {policy: _tables(case, policy, listed=False) for policy in POLICIES}
    summary = pd.DataFrame([dict(policy=policy, **each.summary) for policy, each in found.items()])
    return summary, pd.concat([each.money.assign(policy=policy) for policy, each in found.items()], ignore_index=True)


def refresh_cadence(need, scenario: Scenario, plan: PivotPlan, years=(2.0, 3.0, 4.0, 5.0, 6.0), months: int = 3):
    """What each age of leaving the training tier comes to: refresh_years, the summary of `vintages`, `best` (least npv_usd)."""
    import pandas as pd

    case, policy = prepared(need, scenario, plan, months), _policy(plan.fleet_policy)
    rows = [dict(refresh_years=year, **_tables(_with(case, refresh_years=year), policy, listed=False).summary) for year in map(float, years)]
    table = pd.DataFrame(rows)
    return table.assign(best=table["npv_usd"] == table["npv_usd"].min())


# --- what a run rests on


def prepared(need, scenario, plan, months=3) -> SimpleNamespace:
    """Need by period, work, draw and dollars of each line and generation: all a run asks for, whatever the policy."""
    months_at, most, mean = _periods(need, months)
    for name in ASKED + (("training_fabric_bytes_per_s",) if most[:, TRAINING].any() else ()):
        given = getattr(plan, name)
        if np.ndim(given) or np.isnan(given):
            raise ValueError(f"the fleet needs one {name}; give it in the plan or its story")
    base = scenario.vary(demand_requests_per_s=None, batch=None, **(dict(ownership="colo") if scenario.finance.ownership == "cloud" else {}))
    if any(np.ndim(x) for x in base.named.values()):
        raise ValueError("one scenario at a time; this one has several rows")
    ids = (most[:, TRAINING].any() and plan.training_chip or base.chip.chip, base.chip.chip)
    lines = (base if ids[0] == ids[1] else base.vary(chip=ids[0]), base)
    served = _served(lines[1])
    judged = (served if ids[0] == ids[1] else _served(lines[0]), served)
    _check(lines, judged, most, plan)
    work = np.ones((2, 3))
    for tier in (PREMIUM, BATCH):
        work[0, tier] = judged[0][tier - 1]["output_tokens_per_s_per_chip"] / judged[1][tier - 1]["output_tokens_per_s_per_chip"]
    able = ~np.isnan(work)
    able[1] = False, bool(judged[1][0]["ok"]), bool(judged[1][1]["ok"])
    able[0, 0] = lines[0].chip.scale_out_bytes_per_s >= plan.training_fabric_bytes_per_s
    rates = [_rates(line, each[1]["active_w_per_chip"] if each[1]["ok"] else each[0]["active_w_per_chip"]) for line, each in zip(lines, judged, strict=True)]
    years = np.arange(len(most)) * months / 12
    case = SimpleNamespace(
        months=months_at, years=years, step_years=months / 12, most=most, mean=mean, ids=ids, work=np.where(able, np.nan_to_num(work), 0.0), able=able,
        finance=base.finance, pue=base.site.pue, refresh_years=plan.refresh_years, buy_ahead_years=plan.buy_ahead_years, resale_share=plan.resale_share,
        energy_gain=plan.energy_gain_per_year, rates=rates,
    )  # fmt: skip
    return _with(case)


def _with(case, **changes):
    """The case with numbers changed, and what follows from them by row (line, vintage) and period."""
    case = SimpleNamespace(**vars(case) | changes)
    rise, n = case.finance.price_performance_per_year, len(case.years)
    case.line, case.at = np.repeat([0, 1], n), np.tile(np.arange(n), 2)
    grown = (1 + rise) ** case.years
    case.generation = np.tile(grown, 2)
    case.power_scale = np.tile(((1 + rise) / (1 + case.energy_gain)) ** case.years, 2)
    case.row_work = case.work[case.line] * case.generation[:, None]  # (rows, 3)

    def each(name):
        return np.array([rate[name] for rate in case.rates], dtype=float)[case.line]

    case.price_usd, case.resold_usd, case.capital_per_hour = each("price_usd"), each("resold_usd"), each("capital_per_hour")
    case.busy_w, case.busy_training_w, case.idle_w = (each(name) * case.power_scale for name in ("busy_w", "busy_training_w", "idle_w"))
    case.fixed_per_hour = each("by_chip") + each("by_power") * case.power_scale
    case.usd_per_w_hour = case.rates[0]["usd_per_w_hour"]
    case.age = case.years[:, None] - np.tile(case.years, 2)  # (periods, rows)
    case.value_usd = case.resale_share * case.resold_usd * np.where(case.age >= 0, cost.market_share(np.maximum(case.age, 0), rise), 0.0)
    running = case.fixed_per_hour + case.busy_w * case.usd_per_w_hour
    new = ((case.capital_per_hour + running) / case.generation)[n:]  # a chip of the serving line bought now, for first-generation work
    with np.errstate(divide="ignore", invalid="ignore"):
        case.worth = running[:, None] / case.row_work < new[:, None, None]  # (periods, rows, 3): runs for less than a new one costs
    return case


def _periods(need, months):
    """(first month of each period, largest need, mean need), each need (periods, 3)."""
    import pandas as pd

    for name in ("month", *NEEDS):
        if name not in need:
            raise ValueError(f"the need has no column '{name}'{catalog.nearest(name, list(need.columns))}")
    at, given = pd.DatetimeIndex(need["month"]), need[list(NEEDS)].to_numpy(dtype=float)
    if not len(at):
        raise ValueError("the need has no month")
    gaps = np.flatnonzero(np.diff(at.year * 12 + at.month) != 1)
    if len(gaps):
        raise ValueError(f"months of the need must follow each other; after {at[gaps[0]]:%Y-%m} comes {at[gaps[0] + 1]:%Y-%m}")
    bad = np.argwhere(~(np.isfinite(given) & (given >= 0)))
    if len(bad):
        raise ValueError(f"{NEEDS[bad[0, 1]]} must be at least 0 and finite, got {given[tuple(bad[0])]:g} in {at[bad[0, 0]]:%Y-%m}")
    starts = np.arange(0, len(at), months)
    return at[starts], np.maximum.reduceat(given, starts), np.add.reduceat(given, starts) / np.diff([*starts, len(at)])[:, None]


def _served(base, ids=None):
    """The best row of one chip (or of each of several) with its limits (premium) and without (batch), over tensor parallelism."""
    import pandas as pd

    known = list(ids) if ids is not None else [None]
    limits = [(base.workload.ttft_slo_s, base.workload.tpot_slo_s), (np.nan, np.nan)]
    asked = [(chip, ways, *limit) for chip in known for limit in limits for ways in WAYS]
    frame = pd.DataFrame(asked, columns=["chip", "tensor_parallel", "ttft_slo_s", "tpot_slo_s"])
    free = base.vary(tensor_parallel=None, pipeline_parallel=None, ttft_slo_s=np.nan, tpot_slo_s=np.nan)
    found = evaluate(frame.drop(columns=[] if ids is not None else "chip"), SERVED, base=free)
    rate, meets = found["output_tokens_per_s_per_chip"].to_numpy(), found["meets_slo"].to_numpy()
    order = np.where(meets, rate, np.where(np.isnan(rate), -2.0, -1.0)).reshape(-1, len(WAYS))  # without any, the row that got furthest
    rows = found.iloc[np.argmax(order, axis=1) + np.arange(len(order)) * len(WAYS)].assign(ok=order.max(axis=1) >= 0)
    rows["output_tokens_per_s_per_chip"] = np.where(rows["ok"], rows["output_tokens_per_s_per_chip"], np.nan)
    return rows.to_dict("records")


def _rates(line, active_w):
    """Dollars and watts of one chip of a line, first generation."""
    chip, money, site = line.chip, line.finance, line.site
    rest_w = money.billing_power_share * (chip.host_w + chip.network_w)
    hourly = cost.hourly_usd(chip, site, money, money.ownership == "owned", False, np.nan, 0.0, 0.0)._asdict()
    installed = (chip.chip_usd + chip.host_usd + chip.scale_up_usd + chip.network_usd) * (1 + money.spares_share)
    found = dict(
        price_usd=installed + money.other_usd_per_chip, resold_usd=installed, by_power=sum(hourly[term] for term in BY_POWER),
        by_chip=sum(hourly[term] for term in BY_CHIP), capital_per_hour=sum(hourly[term] for term in cost.CAPITAL if term != "building"),
        busy_w=active_w + rest_w, idle_w=power.idle_w(chip) + rest_w, busy_training_w=chip.tdp_w + rest_w,  # training draws what the chip is rated at
        usd_per_w_hour=site.pue * site.usd_per_kwh / 1e3,
    )  # fmt: skip
    facts = ("chip_usd", "host_usd", "network_usd", "tdp_w", "host_w", "network_w", "idle_power_share")
    lacks = [name for name in facts if np.isnan(getattr(chip, name))]
    if lacks:
        raise ValueError(f"{chip.chip} has no figure for {', '.join(lacks)}; overlay {catalog.overlay_line(chip.chip, lacks[0])}")
    unknown = [name for name, x in found.items() if np.isnan(x)]
    if unknown:
        raise ValueError(f"no {', '.join(unknown)} of {chip.chip} at {site.site}: a fact of site, finance or power lacks")
    return found


def _check(lines, judged, most, plan):
    """Every tier with need has a chip that may work in it."""
    chip, wanted = lines[0].chip, plan.training_fabric_bytes_per_s
    if most[:, TRAINING].any() and not chip.scale_out_bytes_per_s >= wanted:
        gap = np.isnan(chip.scale_out_bytes_per_s)
        missing = f"has no figure for scale_out_bytes_per_s (overlay {catalog.overlay_line(chip.chip, 'scale_out_bytes_per_s')})"
        lacks = missing if gap else f"has a scale-out link of {chip.scale_out_bytes_per_s / 1e9:g} GB/s"
        known = catalog.chips(lines[0].as_of)
        able = known[(known["scale_out_bytes_per_s"] >= wanted) & (known["status"] == "available") & known["chip_usd"].notna()]
        raise ValueError(f"no chip for the training tier: {chip.chip} {lacks}, training asks for {wanted / 1e9:g} GB/s{_nearest(able, chip)}")
    for tier, row in zip((PREMIUM, BATCH), judged[1], strict=True):
        if most[:, tier].any() and not row["ok"]:
            base = lines[1]
            known = catalog.chips(base.as_of)
            known = known[(known["status"] == "available") & known["chip_usd"].notna()]
            would = [each[tier - 1]["ok"] for each in _pairs(_served(base, known.index))]
            lacks = f"{base.chip.chip} with {base.model.model}: {row['reason']}"
            raise ValueError(f"no chip for the {TIERS[tier]} tier: {lacks}{_nearest(known[would], base.chip)}")


def _pairs(rows):
    return zip(rows[::2], rows[1::2], strict=True)


def _nearest(able, chip):
    """The chip of a table that is most like another in memory, bandwidth and scale-out link."""
    facts = ["hbm_bytes", "hbm_bytes_per_s", "scale_out_bytes_per_s"]
    apart = np.abs(np.log(able[facts].astype(float)) - np.log([getattr(chip, name) for name in facts])).sum(axis=1, min_count=1)
    return f"; {apart.idxmin()} would do" if len(able) and apart.notna().any() else "; no chip of the catalog would do"


def _policy(policy):
    if policy not in POLICIES:
        raise ValueError(f"the fleet needs a fleet_policy: one of {', '.join(POLICIES)}")
    return policy


# --- the run


def fill(need, chips, work):
    """Chips that meet a need, first rows first; (rows, ...) of chips, no more than there are."""
    work = np.broadcast_to(work.reshape(work.shape + (1,) * (chips.ndim - 1)), chips.shape)
    done = chips * work
    before = np.cumsum(done, axis=0) - done
    return np.where(work > 0, np.clip(need - before, 0.0, done) / np.where(work > 0, work, 1.0), 0.0)


def run(case, policy, most=None, mean=None) -> Run:
    """Every period's stock, moves, purchases and use; needs (periods, 3, ...) may have draws behind, those of the case if none."""
    most, mean = case.most if most is None else most, case.mean if mean is None else mean
    n, rows, draws = len(most), 2 * len(most), most.shape[2:]
    ahead = int(round(case.buy_ahead_years / case.step_years))
    target = np.stack([most[t : t + ahead + 1].max(axis=0) for t in range(n)])
    shape = (rows, len(TIERS), *draws)
    held = np.zeros(shape)
    history = Run(*(np.zeros((n, *size)) for size in (shape, (rows, len(TIERS), len(TIERS), *draws), shape, (rows, 4, *draws))))
    newest = np.argsort(-case.at, kind="stable")
    batch_only = np.lexsort((-case.at, case.able[case.line, PREMIUM]))  # those that can do nothing else work first
    for t in range(n):
        moved, bought = history.moved[t], history.bought[t]
        old = np.flatnonzero(case.age[t] >= case.finance.chip_life_years - 1e-9)
        moved[old, STANDING, RETIRED] = held[old, STANDING]
        held = stock.step(held, moved=moved)
        left = _place(case, policy, held, target[t], t, newest, batch_only)
        moved += left
        held = stock.step(held, moved=left)
        for tier, line in ((TRAINING, 0), (PREMIUM, 1), (BATCH, 1)):
            row, work = line * n + t, case.row_work[:, tier]
            gap = target[t, tier] - np.tensordot(work, held[:, tier], axes=1)
            bought[row, tier] = np.where(gap > 1e-9 * target[t, tier], np.maximum(gap, 0.0), 0.0) / (work[row] or np.inf)
        held = stock.step(held, bought=bought)
        history.stock[t] = held
        for tier, order in ((TRAINING, newest), (PREMIUM, newest), (BATCH, batch_only)):
            history.used[t, order, tier] = fill(mean[t, tier], held[order, tier], case.row_work[order, tier])
    return history


def _place(case, policy, held, target, t, newest, batch_only):
    """Moves of one period: out of training by age, down and up between the lower tiers where one has too many and the other too few."""
    moved = np.zeros((held.shape[0], len(TIERS), *held.shape[1:]))
    leaving = (case.age[t] >= case.refresh_years - 1e-9) & (case.line == 0)
    if policy != "hand_down":
        moved[leaving, TRAINING, SOLD if policy == "resell" else IDLE] = held[leaving, TRAINING]
    spare, gap = {}, {}
    handed = (case.line == 0) & (case.at < t)
    for tier, order in ((PREMIUM, newest), (BATCH, batch_only)):
        dear = handed & ~case.worth[t, :, tier]  # what a new chip does for less
        moved[dear, tier, SOLD] = held[dear, tier]
        here, work = held[:, tier] - moved[:, tier, SOLD], case.row_work[:, tier]
        used = np.zeros_like(here)
        used[order] = fill(target[tier], here[order], work[order])
        spare[tier], gap[tier] = here - used, target[tier] - np.tensordot(work, used, axes=1)
    for origin, tier in ((PREMIUM, BATCH), (BATCH, PREMIUM)):
        work = np.where(case.worth[t, :, tier] | (case.line == 1), case.row_work[:, tier], 0.0)
        moved[newest, origin, tier] = fill(gap[tier], spare[origin][newest], work[newest])
        gap[tier] = gap[tier] - np.tensordot(work, moved[:, origin, tier], axes=1)
    if policy == "hand_down":
        free = np.where(leaving.reshape((-1,) + (1,) * (held.ndim - 2)), held[:, TRAINING], 0.0)
        for tier in (PREMIUM, BATCH):
            work = np.where(case.worth[t, :, tier], case.row_work[:, tier], 0.0)
            moved[newest, TRAINING, tier] = fill(gap[tier], free[newest], work[newest])
            free = np.maximum(free - moved[:, TRAINING, tier], 0.0)
        moved[:, TRAINING, SOLD] = free
    return moved


def money(case, done: Run) -> dict:
    """Dollars and joules a period of a run, each (periods, ...); `npv_usd` and `left_usd` of the whole, (...)."""
    hours = cost.HOURS * case.step_years
    idle = done.stock[:, :, STANDING] - done.used
    wide = (slice(None),) + (None,) * (done.stock.ndim - 3)

    def total(per_row, chips):
        return np.einsum("r,tr...->t...", per_row, chips)

    draw_w = total(case.busy_training_w, done.used[:, :, TRAINING]) + total(case.busy_w, done.used[:, :, 1:].sum(axis=2)) + total(case.idle_w, idle.sum(axis=2))
    running = hours * (total(case.fixed_per_hour, done.stock[:, :, STANDING].sum(axis=2)) + case.usd_per_w_hour * draw_w)
    bought = total(case.price_usd, done.bought.sum(axis=2))
    resale = np.einsum("tr,tr...->t...", case.value_usd, done.moved[:, :, :, SOLD].sum(axis=2))
    usd, rate = bought + running - resale, case.finance.cost_of_capital
    end = case.years[-1] + case.step_years
    value = case.resale_share * case.resold_usd * cost.market_share(end - case.years[case.at], case.finance.price_performance_per_year)
    left = np.tensordot(value, done.stock[-1, :, STANDING].sum(axis=1), axes=1)
    npv = usd * ((1 + rate) ** -case.years)[wide]
    return dict(
        bought_usd=bought, running_usd=running, resale_usd=resale, stranded_usd=hours * total(case.capital_per_hour, idle.sum(axis=2)),
        usd=usd, npv_usd=npv, energy_j=draw_w * case.pue * hours * 3600, stranded_chips=idle.sum(axis=(1, 2)), left_usd=left,
        left_npv_usd=left * (1 + rate) ** -end,
    )  # fmt: skip


def _tables(case, policy, listed=True) -> Vintages:
    import pandas as pd

    done = run(case, policy)
    sums = money(case, done)
    left, left_npv = sums.pop("left_usd"), sums.pop("left_npv_usd")
    paid = pd.DataFrame(dict(period=case.months, years=case.years, **sums))
    summary = dict(npv_usd=paid["npv_usd"].sum() - left_npv, left_usd=left, bought_chips=done.bought.sum(), **{name: paid[name].sum() for name in MONEY})
    tables = (_stock(case, done), _flows(case, done)) if listed else (None, None)
    return Vintages(*tables, paid, {name: float(x) for name, x in summary.items()})


def _named(case, rows):
    return dict(vintage=case.months[case.at[rows]], chip=np.array(case.ids, dtype=object)[case.line[rows]])


def _stock(case, done):
    import pandas as pd

    t, row, tier = np.nonzero(done.stock > 0)
    chips = done.stock[t, row, tier]
    used = np.where(tier < 4, done.used[t, row, np.minimum(tier, 3)], 0.0)
    able = np.array([", ".join(TIERS[i] for i in range(3) if can[i]) for can in case.able], dtype=object)
    table = pd.DataFrame(dict(period=case.months[t], **_named(case, row), tier=pd.Categorical.from_codes(tier, TIERS), chips=chips, used=used))
    return table.assign(idle=np.where(tier < 4, chips - used, 0.0), eligible=able[case.line[row]])


def _flows(case, done):
    import pandas as pd

    flows = done.moved.copy()
    before = np.concatenate([np.zeros_like(done.stock[:1]), done.stock[:-1]])
    stay = before - done.moved.sum(axis=3)
    for tier in range(4):
        flows[:, :, tier, tier] = stay[:, :, tier]
    flows = np.concatenate([flows, done.bought[:, :, None]], axis=2)
    t, row, origin, tier = np.nonzero(flows > 1e-12)
    names = np.array([*TIERS, "bought"], dtype=object)
    table = dict(period_from=case.months[np.maximum(t - 1, 0)], period_to=case.months[t], tier_from=names[origin], tier_to=names[tier])
    return pd.DataFrame(table | _named(case, row) | dict(chips=flows[t, row, origin, tier]))


# --- what a training chip is worth as a server, and how many to hold


def stranded_value(scenario: Scenario, chips=None):
    """What a dollar in each chip loses by decoding: `1 - (its tokens for a dollar) / (those of the best chip to decode on)`.

    Parameters
    ----------
    scenario : Scenario
        What is served, within its limits, at its site.
    chips : list of ids, optional
        Those compared; available chips with a price if None.

    Returns
    -------
    DataFrame
        A row a chip, least stranded first: `chip`, `tokens_per_usd`, `tensor_parallel` (the best), `stranded_share` [1],
        `fabric_usd` (network and scale-up, which a small decoder does not need), `fabric_share` of the installed price,
        `reason`. NaN where the chip serves nothing within the limits.

    Notes
    -----
    All of a chip's cost counts, the compute and fabric that decoding leaves idle as well; tokens are output tokens at
    the scenario's utilization.
    """
    import pandas as pd

    known = catalog.chips(scenario.as_of)
    known = known[(known["status"] == "available") & known["chip_usd"].notna()] if chips is None else known.loc[_ids(chips, scenario.as_of)]
    frame = pd.DataFrame([(chip, ways) for chip in known.index for ways in WAYS], columns=["chip", "tensor_parallel"])
    found = evaluate(frame, DECODED, base=scenario.vary(tensor_parallel=None, pipeline_parallel=None, batch=None, demand_requests_per_s=None))
    rows = best(found, "chip", maximise="tokens_per_usd").sort_values("tokens_per_usd", ascending=False, kind="stable")
    table = rows[["chip", "tokens_per_usd", "tensor_parallel", "reason"]].reset_index(drop=True)
    facts = known.loc[list(table["chip"])].reset_index(drop=True)
    fabric = facts["network_usd"] + facts["scale_up_usd"]
    share = 1 - table["tokens_per_usd"] / table["tokens_per_usd"].max()
    return table.assign(stranded_share=share, fabric_usd=fabric, fabric_share=fabric / (fabric + facts["chip_usd"] + facts["host_usd"]))


def _ids(chips, as_of):
    for chip in chips:
        catalog.check_id("chip", chip, as_of)
    return list(chips)


def waiting(needs, scenario: Scenario, plan: PivotPlan):
    """How many chips to order now for a need that is not known yet, and what it is worth to wait.

    Parameters
    ----------
    needs : array (draws,)
        Chips, of the generation bought now, that will be needed once what is ordered now is delivered.
    scenario : Scenario
        The chip bought and its finance.
    plan : PivotPlan
        `lead_time_years, resale_share, shortage_multiple`.

    Returns
    -------
    DataFrame
        One row: `held_chips`, `critical_share`, `enough_share` (of draws), `idle_chips` and `short_chips` (means),
        the terms of one chip `cost_usd, resale_usd, shortage_usd`; expected costs `hold_usd` (ordering `held_chips` now,
        the rest later), `wait_usd` (nothing now, all once the need is known), `mean_usd` (the mean need now) and
        `known_usd` (were the need known now); `information_usd` (hold less known), `waiting_usd` (mean less wait: what
        waiting saves beside ordering for the mean; below 0 it costs).

    Notes
    -----
    A newsvendor over one lead time L, all in dollars per chip: `cost` is a new one's price; `resale` what it fetches an L
    later, `resale_share (1 + g)^-L`; `shortage` a new one's price an L later, `(1 + g)^-L`, discounted as it is, and
    meanwhile `shortage_multiple` times the capital and running of a chip, less the running that is saved. Ordering later
    buys what the need turns out to be, at that later price, and is short of it until then; where that is cheaper than a
    chip now, none is held. That a chip an L old and a new one of the same work are worth the same is the market's price.
    """
    import pandas as pd

    for name in ("lead_time_years", "resale_share", "shortage_multiple"):
        if np.ndim(getattr(plan, name)) or np.isnan(getattr(plan, name)):
            raise ValueError(f"waiting needs one {name}; give it in the plan or its story")
    needs = np.asarray(needs, dtype=float)
    if needs.ndim != 1 or not needs.size or not (np.isfinite(needs) & (needs >= 0)).all():
        raise ValueError("needs must be a 1-D array of numbers of at least 0, one a draw")
    base = scenario if scenario.finance.ownership != "cloud" else scenario.vary(ownership="colo")
    served = _served(base.vary(demand_requests_per_s=None, batch=None))[1]
    if not served["ok"]:
        raise ValueError(f"{base.chip.chip} with {base.model.model}: {served['reason']}")
    rate, lead, fall = _rates(base, served["active_w_per_chip"]), plan.lead_time_years, base.finance.price_performance_per_year
    price, hours = rate["price_usd"], cost.HOURS * lead
    running = hours * (rate["by_chip"] + rate["by_power"] + rate["busy_w"] * rate["usd_per_w_hour"])
    worth = (1 + base.finance.cost_of_capital) ** -lead * float(cost.market_share(lead, fall))
    resale, later = plan.resale_share * worth * rate["resold_usd"], worth * price
    shortage = later + plan.shortage_multiple * (hours * rate["capital_per_hour"] + running) - running
    amount, _, ratio = (float(x) for x in stock.held(needs, price, resale, shortage))
    amount = amount if shortage > price else 0.0

    def expected(ordered):
        idle, short = np.maximum(ordered - needs, 0.0).mean(), np.maximum(needs - ordered, 0.0).mean()
        return idle, short, price * ordered - resale * idle + shortage * short

    (idle, short, hold), wait, mean = expected(amount), expected(0.0)[2], expected(needs.mean())[2]
    known = min(price, shortage) * needs.mean()
    return pd.DataFrame([dict(
        held_chips=amount, critical_share=ratio, enough_share=(needs <= amount).mean(), idle_chips=idle, short_chips=short, cost_usd=price,
        resale_usd=resale, shortage_usd=shortage, hold_usd=hold, wait_usd=wait, mean_usd=mean, known_usd=known, information_usd=hold - known,
        waiting_usd=mean - wait,
    )])  # fmt: skip
