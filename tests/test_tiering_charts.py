"""Charts of tiered fleets say what their tables say: bars that add up, steps that lead to the total, limits and plans that compare."""

import numpy as np
import pandas as pd
import pytest
from test_charts import EveryFigure, boxes, check_texts, check_words, plain

from infertco import units
from infertco.views import limit_charts, theme, tiering_charts

TIERS = [  # chip, tier, chips in the first year and more each year, watts and dollars of one
    ("b200-sxm", "premium", 24, 8, 1000, 4e4), ("mi300x", "cost_optimized", 8, 8, 750, 2e4), ("l40s", "batch", 2, 5, 350, 1e4),
    ("h100-sxm", "batch", 0, 3, 700, 3e4), ("jetson-agx-orin", "edge", 1, 2, 60, 2e3),
]  # fmt: skip
TRAINING = [30, 34, 36, 36, 34]


def fleet(periods=(2026, 2027, 2028, 2029, 2030), training=TRAINING):
    rows = []
    for i, period in enumerate(periods):
        lines = [("h100-sxm", "training", training[i], 700, 3e4)] + [(chip, tier, a + b * i, w, usd) for chip, tier, a, b, w, usd in TIERS]
        for chip, tier, n, w, usd in lines:
            rows.append(dict(period=period, chip=chip, tier=tier, chips=1000.0 * n, bought=0.0, spare=40.0 * n, w=1400.0 * n * w, usd=300.0 * n * usd))
    return pd.DataFrame(rows)


FLEET = fleet()
STEPS = pd.DataFrame(dict(
    step=["Best single chip, B200", "Cheaper chips for batch", "Training chips handed down", "Own instead of cloud", "Spares by tier", "Smaller sizes", "Tiers"],
    usd=[120e6, -22e6, -14e6, -6e6, 3e6, -1e6, 80e6],
))  # fmt: skip
ROUTES = pd.DataFrame([
    ("chat, 70B", "b200-sxm", "premium", 1.0), ("code, 70B", "b200-sxm", "premium", 0.62), ("code, 70B", "h200-sxm", "premium", 0.38),
    ("agent, DeepSeek-V3", "b200-sxm", "premium", 1.0), ("rag, 70B", "mi300x", "cost_optimized", 0.8), ("rag, 70B", "h100-sxm", "cost_optimized", 0.2),
    ("long summaries, 405B", "h100-sxm", "batch", 0.55), ("long summaries, 405B", "mi300x", "batch", 0.45), ("short answers, 8B", "l40s", "cost_optimized", 0.9),
    ("short answers, 8B", "shed", "cost_optimized", 0.1), ("on the device, 8B", "rtx-pro-6000", "edge", 1.0),
], columns="demand chip tier share".split())  # fmt: skip
LATENCY = pd.DataFrame(dict(tpot_slo_s=[0.005, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1], usd=[np.nan, 140e6, 110e6, 96e6, 88e6, 84e6, 83e6]))
LATENCY["chosen"] = LATENCY["tpot_slo_s"] == 0.03
CAPEX = pd.DataFrame(dict(capex_usd=np.linspace(20e6, 60e6, 7), usd=[np.nan, np.nan, 96e6, 90e6, 86e6, 84.5e6, 84e6]))
LIMITS = pd.DataFrame(dict(
    limit=["Power of the site", "Budget of 2026", "Supply of B200", "Supply of H200", "Carbon", "Smallest training cluster", "Residency"],
    unit=["MW", "US$", "chip", "chip", "tonne", "chip", "request"], usd=[1.2e6, 0.34, 8100.0, 0, 0, 0, 0],
    binds=[True] * 3 + [False] * 4, amount=[40, 60e6, 4000, 2000, 1e4, 1e4, 1e9],
))  # fmt: skip


def plans(gap=0.06, missing=0):
    """Costs of four plans over 40 scenarios that share most of their spread; the second dearer by `gap`."""
    rng = np.random.default_rng(3)
    common = rng.normal(0, 0.15, 40)
    of = dict(zip(["Tiers", "Tiers, bought later", "Best single chip", "All in the cloud"], (0, gap, 0.3, 0.45), strict=True))
    table = pd.concat([pd.DataFrame(dict(plan=name, scenario=range(40), usd=80e6 * np.exp(common + m + rng.normal(0, 0.02, 40)))) for name, m in of.items()])
    table = table.reset_index(drop=True)
    table.loc[(table["plan"] == "All in the cloud") & (table["scenario"] < missing), "usd"] = np.nan
    return table


FIGURES = {
    "fleet": lambda **how: tiering_charts.by_tier(FLEET, **how),
    "fleet, W": lambda **how: tiering_charts.by_tier(fleet((2026, 2027, 2029, 2032, 2036)), "w", **how),
    "fleet, usd": lambda **how: tiering_charts.by_tier(fleet(pd.date_range("2026-01-01", periods=5, freq="QS")), "usd", **how),
    "savings": lambda **how: tiering_charts.savings(STEPS, **how),
    "serves": lambda **how: tiering_charts.serves(ROUTES, **how),
    "latency": lambda **how: limit_charts.frontier(LATENCY, "tpot_slo_s", **how),
    "capex": lambda **how: limit_charts.frontier(CAPEX, "capex_usd", **how),
    "shadow": lambda **how: limit_charts.shadow(LIMITS.drop(columns="amount"), **how),
    "shadow, shares": lambda **how: limit_charts.shadow(LIMITS, **how),
    "robust": lambda **how: limit_charts.robust(plans(), **how),
    "robust, tied": lambda **how: limit_charts.robust(plans(0.01, missing=3), **how),
}


@pytest.fixture(scope="module", params=FIGURES)
def drawn(request):
    return FIGURES[request.param]()


def title(name):
    return plain(FIGURES[name]().title)


def rows_with(figure, column):
    return next(pd.DataFrame(rows) for rows in figure.spec(title=False)["datasets"].values() if column in rows[0])


# ------------------------------------------------------------------ the fleet by tier


@pytest.mark.parametrize("unit", ["chips", "w", "usd"])
def test_bars_add_up_to_the_fleet(unit):
    shown = tiering_charts.by_tier(FLEET, unit)
    data = [pd.DataFrame(rows) for rows in shown.spec(title=False)["datasets"].values() if "part" in rows[0]]
    pieces = pd.concat(data)
    sizes = (pieces["y2"] - pieces["y"]).groupby(pieces["x"].round(1)).sum()
    assert np.allclose(sizes, FLEET.groupby("period")[unit].sum(), rtol=1e-4)
    spare = pieces[pieces["part"] == "spare"]
    idle = (FLEET[unit] * FLEET["spare"] / FLEET["chips"]).groupby(FLEET["period"]).sum()
    assert np.allclose((spare["y2"] - spare["y"]), idle, rtol=1e-3) and set(spare["fill"]) == {theme.PAPER}
    assert np.allclose(spare["y2"], pieces.groupby(pieces["x"].round(1))["y2"].max(), rtol=1e-6)  # on top


def test_the_title_of_the_fleet_holds_its_largest_tier_and_the_peak_of_training():
    last = FLEET[FLEET["period"] == 2030]
    of = (last["chips"] - last["spare"]).groupby(last["tier"]).sum() / last["chips"].sum()
    assert of.idxmax() == "premium"
    assert title("fleet") == f"Premium inference takes {of.max():.0%} of the chips by 2030; training stops growing in 2028"
    assert title("fleet, usd").endswith("by Q1 2027; training stops growing in Q3 2026")
    assert tiering_charts.by_tier(fleet(training=[1, 2, 3, 4, 5])).title.endswith("training grows to the end")
    assert tiering_charts.by_tier(fleet(training=[9, 8, 7, 6, 5])).title.endswith("training never grows")
    assert "training" not in tiering_charts.by_tier(FLEET[FLEET["tier"] != "training"]).title


def test_one_period_is_a_single_bar():
    shown = tiering_charts.by_tier(fleet((2026,)))
    assert shown.title == "Training takes 44% of the chips in 2026" and "Training 29k" in [plain(w) for *_, w in boxes(shown.svg(title=False))]


def test_a_tier_that_is_empty_in_a_period_has_no_bar_there():
    rows = FLEET[(FLEET["tier"] != "training") | (FLEET["period"] < 2030)]
    assert list(rows_with(tiering_charts.by_tier(rows), "y")) and tiering_charts.by_tier(rows).data.set_index("tier").loc["Training", "2030"] == "0"


def test_a_factor_of_the_limits_is_a_share_in_words():
    assert limit_charts.label("tpot_factor") == "TPOT limits" and limit_charts.base_unit("tpot_factor") == "share"
    walked = pd.DataFrame(dict(tpot_factor=[0.5, 1.0, 2.0], usd=[20e6, 15e6, 15e6 * (1 + 1e-15)], chosen=[False, True, False]))
    figure = limit_charts.frontier(walked, "tpot_factor")
    assert figure.title.startswith("Moving TPOT limits from 100% to 50% costs 33% more") and figure.data["above the least"].tolist() == ["33%", "0%", "0%"]


def test_tiers_of_one_size_are_not_ranked():
    rows = fleet()
    rows.loc[(rows["period"] == 2030) & (rows["tier"] == "cost_optimized"), ["chips", "spare"]] = [55000.0, 2200.0]
    shown = tiering_charts.by_tier(rows)
    assert shown.title.startswith("Premium inference and cost-optimized take alike of the chips: ")
    check_words(shown, most=80)


def test_unequal_periods_stand_at_unequal_distances():
    x = rows_with(FIGURES["fleet, W"](), "part")["x"].drop_duplicates().sort_values().to_numpy()
    assert np.allclose(np.diff(x) / np.diff(x)[0], [1, 2, 3, 4], rtol=1e-3)


def test_a_tier_nobody_knows_is_refused_and_an_empty_fleet_gives_the_reason():
    with pytest.raises(ValueError, match="unknown tier 'luxury'; known: training, premium"):
        tiering_charts.by_tier(FLEET.assign(tier="luxury"))
    assert "the fleet is empty" in tiering_charts.by_tier(FLEET.assign(chips=0.0)).description


# ------------------------------------------------------------------ savings, routes


def test_the_title_of_the_savings_is_their_share():
    assert title("savings") == "The cost falls by 33% from $120m, most of it by cheaper chips for batch (55%) and training chips handed down (35%)"
    long = STEPS.assign(step=["Best", "Cheaper chips for all the work that can wait for a night", "Old training chips handed down the tiers", *"abc", "Tiers"])
    assert tiering_charts.savings(long).title.endswith("that can wait for a night (55%)")
    dearer = STEPS.assign(usd=[120e6, 22e6, 0, 0, 0, 0, 142e6])
    assert tiering_charts.savings(dearer).title == "The cost rises by 18% from $120m"
    alike = STEPS.assign(usd=[120e6, -1e6, 0.5e6, 0, 0, 0, 119.5e6])
    assert tiering_charts.savings(alike).title == "The first plan and the last cost alike: $120m and $120m"


def test_steps_that_do_not_lead_to_the_total_are_refused():
    with pytest.raises(ValueError, match=r"steps lead to \$80m, the last total is \$90m"):
        tiering_charts.savings(STEPS.assign(usd=STEPS["usd"].replace(80e6, 90e6)))


def test_steps_hang_together_and_their_color_follows_the_sign():
    bars = rows_with(FIGURES["savings"](), "amount")
    assert np.allclose(bars["x2"][:-2], bars["x"][1:-1]) and bars["x2"].iloc[-2] == bars["x2"].iloc[-1]
    colors = np.where(bars["amount"] < 0, theme.CHANGE["lowers"], theme.CHANGE["raises"])
    assert list(bars["fill"][1:-1]) == list(colors[1:-1]) and set(bars["fill"].iloc[[0, -1]]) == {theme.CHANGE["total"]}


def test_cells_hold_the_shares_of_the_routes():
    shown = FIGURES["serves"]()
    cells = rows_with(shown, "demand")
    assert np.allclose(cells.groupby("demand")["share"].sum(), 1.0) and len(cells) == len(ROUTES)
    shed = cells[cells["chip"] == "shed"]
    assert list(shed["fill"]) == [theme.PAPER] and shed["x"].iloc[0] == cells["x"].max()
    assert "not served in full: short answers, 8B" in " ".join(shown.subtitle)
    assert title("serves") == "B200 SXM serves 3 of 7 classes of demand; 3 are served by one chip alone"


def test_many_chips_are_cut_to_the_most_used():
    chips = ["a100-80-sxm", "h100-sxm", "h200-sxm", "b200-sxm", "gb200", "mi300x", "mi355x", "gaudi3", "tpu-v6e", "trainium2", "l40s", "l4"]
    rows = pd.DataFrame([dict(demand=f"class {i}", chip=chip, tier="premium", share=1.0) for i, chip in enumerate(chips)])
    shown = tiering_charts.serves(rows)
    assert f"{12 - tiering_charts.MOST_COLUMNS} more places left out" in " ".join(shown.subtitle) and "12 chips serve 12 classes" in shown.title
    check_texts(shown.svg(title=False), 640)


# ------------------------------------------------------------------ limits


def test_the_title_of_the_frontier_starts_from_the_chosen_plan():
    assert title("latency") == f"Moving TPOT limit from 30 ms to 10 ms costs {140 / 88 - 1:.0%} more, to 100 ms saves {1 - 83 / 88:.0%}"
    assert title("capex") == f"Moving capex from $60m to $33.3m costs {96 / 84 - 1:.0%} more"
    flat = limit_charts.frontier(LATENCY.assign(usd=80e6), "tpot_slo_s").title
    assert plain(flat) == "The TPOT limit hardly matters: from 5 ms to 100 ms the cost moves by under 1%"
    tight = LATENCY.assign(chosen=LATENCY["tpot_slo_s"] == 0.01)
    assert plain(limit_charts.frontier(tight, "tpot_slo_s").title) == "Moving TPOT limit from 10 ms to 100 ms saves 41%; nothing dearer was found"


def test_limits_without_a_plan_are_hollow_and_counted():
    points = [pd.DataFrame(rows) for rows in FIGURES["capex"]().spec(title=False)["datasets"].values() if "outline" in rows[0]]
    assert sum((of["fill"] == theme.PAPER).sum() for of in points) == 2 and "2 limits that no plan meets" in " ".join(FIGURES["capex"]().subtitle)
    assert "two plans at least" in limit_charts.frontier(CAPEX.head(3), "capex_usd").description


def test_units_of_a_limit_come_from_its_field_or_its_name():
    assert [limit_charts.base_unit(name) for name in ("tpot_slo_s", "capex_usd", "site_w", "carbon_g", "nines_wanted")] == ["s", "USD", "W", "g", "1"]
    assert [limit_charts.label(name) for name in ("tpot_slo_s", "capex_usd", "carbon_g")] == ["TPOT limit", "Capex", "Carbon"]


def test_limits_are_ranked_by_what_one_per_cent_is_worth_where_that_is_known():
    each, shares = FIGURES["shadow"]().data, FIGURES["shadow, shares"]()
    assert list(each["limit"])[:3] == ["Power of the site", "Supply of B200", "Budget of 2026"] and list(each["saves, US$"])[3:] == ["$0"] * 4
    assert title("shadow") == "One more MW of power of the site saves $1.2m; 3 of 7 limits bind"
    assert plain(shares.title) == "1% more of the power of the site saves $480k; 3 of 7 limits bind"  # 40 MW x 1 % x $1.2m
    words = [plain(w) for *_, w in boxes(shares.svg(title=False))]
    assert words.count("does not bind") == 4 and "$200k  ($0.34 per US$)" in words


def test_where_no_limit_binds_nothing_is_worth_more():
    shown = limit_charts.shadow(LIMITS.assign(binds=False))
    assert shown.title == "None of 7 limits binds: more of any saves nothing" and set(shown.data["binds"]) == {"no"}
    check_texts(shown.svg(title=False), 640)


# ------------------------------------------------------------------ plans over scenarios


def test_the_title_of_the_plans_is_the_cheapest_at_the_median():
    wide = plans().pivot(index="scenario", columns="plan", values="usd")
    middle = wide["Tiers"].sort_values().iloc[19]
    best = (wide.idxmin(axis=1) == "Tiers").mean()
    assert (wide["Tiers"] < wide["Tiers, bought later"]).mean() >= limit_charts.SURE
    assert title("robust") == f"Tiers: {units.format(middle, 'USD', 2)} at the median and the best in {best:.0%} of 40 scenarios"


def test_plans_whose_order_depends_on_the_scenario_are_not_ranked():
    wide = plans(0.01, missing=3).pivot(index="scenario", columns="plan", values="usd")
    assert (wide["Tiers"] < wide["Tiers, bought later"]).mean() < limit_charts.SURE
    assert title("robust, tied").startswith("Two plans cannot be told apart: $") and title("robust, tied").endswith("at the median of 40 scenarios")


def test_a_plan_that_cannot_meet_a_scenario_is_never_best_there_and_is_named():
    shown = FIGURES["robust, tied"]()
    assert "without a plan in some scenarios: All in the cloud in 7%" in " ".join(shown.subtitle)
    best = shown.data["best in"].str.rstrip("%").astype(float)
    assert best.sum() == pytest.approx(100, abs=2) and shown.data["plan"].iloc[-1] == "All in the cloud"


# ------------------------------------------------------------------ all of them


class TestEveryFigure(EveryFigure):
    most = 90
