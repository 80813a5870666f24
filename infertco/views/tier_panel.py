"""Sliders over a tiered fleet: latency limits, power, budget, and the supply of the scarcest chip.

They drive the programme without whole numbers: fast, and a lower bound, which it says. A button solves the whole problem at the
values set, and then says by how much the bound was off. The figure is written as SVG by hand: drawing it as a chart
would take longer than solving.
"""

from functools import cache
from html import escape
from typing import NamedTuple

import numpy as np
import pandas as pd

from infertco import units
from infertco.studies import tiering as study
from infertco.studies.tiering_demand import demands
from infertco.views import theme
from infertco.views.study_panel import explore as panel
from infertco.views.tier_memo import usd
from infertco.views.tiering_charts import TIERS

FACTORS = (0.6, 0.75, 0.9, 1.0, 1.25, 1.5, 2.0)  # of all TPOT limits
SIZE_PX = dict(width=560, height=190, bar=52, top=22, foot=20)
SLO = dict(label="TPOT limits, times", unit="share", help="All limits of time per token, in the per cent of those asked for")


class Bars(NamedTuple):
    """Chips by tier and year as a small picture."""

    title: str
    subtitle: tuple
    picture: str

    def svg(self, title=False) -> str:
        return self.picture


def bars(fleet: pd.DataFrame, first_year: int = 1, words: tuple = ()) -> Bars:
    """Stacked bars of the chips of each tier, a bar a period; rows: period, tier, chips."""
    wide = fleet.pivot_table(index="period", columns="tier", values="chips", aggfunc="sum", observed=True).fillna(0.0)
    wide = wide[[tier for tier in TIERS if tier in wide]]
    size, total = SIZE_PX, wide.sum(axis=1)
    per_px = max(total.max(), 1e-9) / (size["height"] - size["top"] - size["foot"])
    step = min((size["width"] - 190) / max(len(wide), 1), 1.6 * size["bar"])
    text = lambda x, y, said, **how: (  # noqa: E731
        f'<text x="{x:.1f}" y="{y:.1f}" '
        + " ".join(f'{k}="{v}"' for k, v in (dict(fill=theme.INK, font_size=theme.SIZE["cell"]) | how).items()).replace("_", "-")
        + f">{escape(said)}</text>"
    )
    parts, floor = [], size["height"] - size["foot"]
    for i, (period, row) in enumerate(wide.iterrows()):
        x, y = i * step, floor
        for tier, chips in row.items():
            high = chips / per_px
            y -= high
            parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{size["bar"]}" height="{high:.1f}" fill="{theme.TIERS[tier]}" stroke="{theme.PAPER}"/>')
            if high > theme.LABEL_GAP:
                parts.append(
                    text(x + size["bar"] / 2, y + high / 2 + 4, units.format(chips, digits=2), text_anchor="middle", fill=theme.text_on(theme.TIERS[tier]))
                )
        parts.append(text(x + size["bar"] / 2, y - 6, units.format(total[period], digits=2), text_anchor="middle", font_weight=theme.SEMIBOLD))
        parts.append(text(x + size["bar"] / 2, size["height"] - 4, str(first_year + int(period)), text_anchor="middle", fill=theme.NEUTRAL["ink2"]))
    for i, tier in enumerate(reversed(list(wide))):
        y = size["top"] + theme.LABEL_GAP * 1.3 * i
        x = len(wide) * step + 14
        parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="11" height="11" fill="{theme.TIERS[tier]}"/>')
        parts.append(text(x + 17, y + 10, TIERS[tier]))
    head = f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="Chips by tier and year" width="{size["width"]}" height="{size["height"]}"'
    return Bars("Chips by tier", words, f'{head} font-family="{theme.FONT}">{"".join(parts)}</svg>')


def scarcest(found: study.Tiering) -> str:
    """The chip whose supply is worth most; none limited: ""."""
    of = found.limits[found.limits["limit"].str.startswith("supply of ")]
    return "" if of.empty else of.groupby("limit", sort=False)["shadow_usd"].sum().idxmax().removeprefix("supply of ")


def relaxing(found: study.Tiering, demand, chips, scenario, first_year=1, **asked):
    """(draw, exact) of a plan: functions of `tpot_factor`, `power_cap_w`, `budget_usd` and `supply` of the scarcest chip."""
    table, chip = demands(demand, scenario, float(np.max(found.case.plan.premium_tpot_s))), scarcest(found)
    plan = found.summary.iloc[0]
    given = pd.DataFrame(demand).assign(tier=table["tier"].to_numpy())  # a class stays in its tier

    @cache
    def built(factor):
        return found.case if factor == 1.0 else study.case(given.assign(tpot_slo_s=table["tpot_slo_s"] * factor), chips, scenario, **asked)

    def limits(values):
        return values | (dict(supply={chip: values["supply"]}) if "supply" in values else {})

    def against(cost):
        return f"{units.format(abs(cost / plan['usd_npv'] - 1), 'share')} {'above' if cost > plan['usd_npv'] else 'below'} the plan"

    def draw(tpot_factor=1.0, **values):
        t = study.relaxed(built(tpot_factor), **limits(values))
        if t.fleet.empty:
            return "No plan keeps these limits, even with replicas that can be divided" + (": " + "; ".join(t.conflict) if t.conflict else "") + "."
        s = t.summary.iloc[0]
        words = f"At least {usd(s['usd_npv'])}, {against(s['usd_npv'])}: a lower bound, replicas may be divided; "
        return bars(t.fleet, first_year, (words + f"{units.format(s['w'], 'W', 2)} rated at most, {usd(s['capex_usd'])} spent on chips.",))

    def exact(show, tpot_factor=1.0, **values):
        case = built(tpot_factor)
        ends = study.ends_of(case, **limits(values))
        bound = study.relaxed(case, **limits(values)).summary["usd_npv"].iloc[0]

        def progress(seconds, best, least):
            show(f"Solving for {seconds:.0f} s: best {usd(best)}, proven at least {usd(least)} ...")

        t = study.solved(case, explain=False, ends=ends, progress=progress)
        if t.fleet.empty:
            return f"Solved exactly: no plan ({t.summary['status'].iloc[0]})."
        s = t.summary.iloc[0]
        words = f"Solved exactly: {usd(s['usd_npv'])} to within {units.format(s['gap'], 'share')}, {against(s['usd_npv'])}. "
        return bars(t.fleet, first_year, (words + f"The bound of the sliders was {units.format(1 - bound / s['usd_npv'], 'share')} too low.",))

    return draw, exact


def explore(found: study.Tiering, demand, chips, scenario, first_year=1, **asked):
    """The panel of a plan; arguments as those `tiering` had, by name."""
    draw, exact = relaxing(found, demand, chips, scenario, first_year, **asked)
    plan, chip = found.case.plan, scarcest(found)
    spent = found.flows[found.flows["tier_from"] == ""].groupby("period")["usd"].sum().max() if len(found.flows) else 1e6
    cap = lambda given, used: float(np.max(given)) if np.isfinite(given).all() else 1.5 * float(used)  # noqa: E731
    power, budget = cap(plan.power_cap_w, found.summary["w"].iloc[0]), cap(plan.budget_usd, spent)
    spans = dict(tpot_factor=(1.0, FACTORS), power_cap_w=(power, power / 4, 2 * power), budget_usd=(budget, budget / 4, 2 * budget))
    own = dict(tpot_factor=SLO)
    if chip:
        most = float(found.limits.loc[found.limits["limit"] == f"supply of {chip}", "allowed"].max())
        spans["supply"] = (most, 0.0, 4 * most)
        own["supply"] = dict(label=f"Supply of {chip}", unit="1", help="Most chips of it to be had in a period")
    for factor in FACTORS:  # built before they are asked for: building takes longer than solving
        draw(factor, **{name: value for name, (value, *_) in spans.items() if name != "tpot_factor"})
    return panel(draw, spans, exact, own)
