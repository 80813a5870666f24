"""The panel of a tiered fleet: a lower bound and a picture of it, then the exact answer and how far off the bound was."""

import re

import pytest

import infertco as ic
from infertco.studies import tiering as study
from infertco.views import tier_memo, tier_panel

DEMAND = [
    dict(demand="fast", model="llama-3.1-70b", workload="chat", tpot_slo_s=0.03, demand_requests_per_s=8, residency="us-average"),
    dict(demand="nights", model="llama-3.1-70b", workload="batch", demand_requests_per_s=6, offline=True, residency="us-average"),
]
CHIPS = ["h100-sxm", "h200-sxm", "b200-sxm"]
ASKED = dict(
    periods=2, supply={"b200-sxm": 8}, existing=[dict(chip="h100-sxm", count=24, age_years=1)], training_tier_chip="h100-sxm", training_need_chips=[24, 8],
    power_cap_w=1.5e5, budget_usd=1e6, mip_gap=0.01, solver_limit_s=10,
)  # fmt: skip


@pytest.fixture(scope="module")
def found():
    return study.tiering(DEMAND, CHIPS, ic.scenario(), **ASKED)


@pytest.fixture(scope="module")
def panel(found):
    return tier_panel.relaxing(found, DEMAND, CHIPS, ic.scenario(), 2027, **ASKED)


def test_the_sliders_say_that_they_give_a_lower_bound(found, panel):
    draw, _ = panel
    shown = draw(1.0, power_cap_w=1.5e5, budget_usd=1e6, supply=8.0)
    bound = study.relaxed(found.case).summary["usd_npv"].iloc[0]
    assert shown.subtitle[0].startswith(f"At least {tier_memo.usd(bound)}, ") and "below the plan" in shown.subtitle[0] and "lower bound" in shown.subtitle[0]
    assert bound <= found.summary["usd_npv"].iloc[0]
    dearer = draw(1.0, power_cap_w=1.5e5, budget_usd=2e5, supply=8.0).subtitle[0]
    assert money(dearer) > money(shown.subtitle[0])
    assert money(draw(0.6, power_cap_w=1.5e5, budget_usd=1e6, supply=8.0).subtitle[0]) > money(shown.subtitle[0])


def money(words):
    number, prefix = re.search(r"\$([\d.]+)([km])", words).groups()
    return float(number) * dict(k=1e3, m=1e6)[prefix]


def test_the_picture_has_a_bar_a_tier_and_year(found):
    picture = tier_panel.bars(found.fleet, 2027).svg()
    stand = found.fleet.groupby(["period", "tier"]).ngroups
    assert picture.count("<rect") == stand + found.fleet["tier"].nunique() and ">2027<" in picture and ">2028<" in picture and "Training" in picture


def test_the_button_solves_exactly_and_says_how_far_off_the_bound_was(panel):
    draw, exact = panel
    said = []
    moved = dict(tpot_factor=1.0, power_cap_w=1.5e5, budget_usd=5e5, supply=8.0)
    answer = exact(said.append, **moved).subtitle[0]
    assert re.match(r"Solved exactly: \$[\d.]+[km] to within [\d.]+%, ", answer) and re.search(r"The bound of the sliders was [\d.]+% too low", answer)
    assert money(answer) >= money(draw(**moved).subtitle[0])
    assert said and all(words.startswith("Solving for ") for words in said)


def test_limits_that_no_plan_keeps_are_said_in_words(panel):
    assert panel[0](1.0, power_cap_w=10.0, budget_usd=1e6, supply=8.0) == "No plan keeps these limits, even with replicas that can be divided."


def test_the_scarcest_chip_has_a_slider_and_a_limit_that_is_not_set_begins_where_it_does_not_bind(found):
    assert tier_panel.scarcest(found) == "b200-sxm"
    shown = tier_panel.explore(found, DEMAND, CHIPS, ic.scenario(), 2027, **ASKED)
    assert [one.description for one in shown.children[:4]] == ["TPOT limits, times", "Power cap", "Budget", "Supply of b200-sxm"]
    free = study.tiering(DEMAND, CHIPS, ic.scenario(), **{k: v for k, v in ASKED.items() if k not in ("supply", "power_cap_w", "budget_usd")})
    shown = tier_panel.explore(free, DEMAND, CHIPS, ic.scenario(), 2027, periods=2)
    assert len(shown.children) == 5 and shown.children[1].value > free.fleet.groupby("period")["w"].sum().max()
