"""Charts of money say what their tables say, and their bills add up as printed."""

import numpy as np
import pandas as pd
import pytest
from test_charts import EveryFigure, boxes, plain

import infertco as ic
from infertco import units
from infertco.studies import fleet, ownership
from infertco.views import cost_charts, theme
from infertco.views.cost_charts import dollars

H100, CHEAP = ic.scenario(chip="h100-sxm", tensor_parallel=4), ic.scenario(chip="b200-sxm", model="llama-3.1-8b", tensor_parallel=1)
NINES = np.arange(0, 5.76, 0.25)
BILLS = {name: ic.evaluate(s, "all") for name, s in dict(
    colo=H100, owned=H100.vary(ownership="owned"), cloud=H100.vary(ownership="cloud"), cheap=CHEAP, full=H100.vary(utilization=1.0),
).items()}  # fmt: skip
CURVES = {
    "h100": ownership.curves(H100, own="colo"),
    "b200": ownership.curves(ic.scenario(chip="b200-sxm", tensor_parallel=2)),
    "no api": ownership.curves(ic.scenario(chip="h100-sxm", model="llama-3.1-8b", tensor_parallel=1), own="colo").query("ownership != 'api'"),
    "many apis": ownership.curves(ic.scenario(chip="h200-sxm", model="deepseek-v3", tensor_parallel=8)),
}
FLEETS = {
    "sold": ic.fleet(H100, users=2e6, nines=NINES, usd_per_mtok_sold=4.0),
    "unsold": ic.fleet(H100, users=2e6, nines=NINES),
    "large": ic.fleet(H100, users=1e8, nines=NINES, usd_per_mtok_sold=4.0),
    "dear": ic.fleet(H100, users=2e4, nines=NINES, usd_per_mtok_sold=2000.0),
}
WEEK = fleet.hours(H100, users=2e6)
FIGURES = {f"waterfall, {name}": lambda t=table, **how: cost_charts.waterfall(t, **how) for name, table in BILLS.items()}
FIGURES |= {f"over, {name}": lambda t=table, **how: cost_charts.over_utilization(t, now=0.7, **how) for name, table in CURVES.items()}
FIGURES |= {"over, little used": lambda **how: cost_charts.over_utilization(CURVES["h100"], now=0.15, **how)}
FIGURES |= {f"nines, {name}": lambda t=table, **how: cost_charts.nines(t, **how) for name, table in FLEETS.items()}
FIGURES |= {"day": lambda **how: cost_charts.day(WEEK, "h100-sxm", **how)}


@pytest.fixture(scope="module", params=FIGURES)
def drawn(request):
    return FIGURES[request.param]()


def number(words):
    return float(words.replace("$", "").replace(",", "").replace(units.MINUS, "-"))


# ------------------------------------------------------------------ the bill


@pytest.mark.parametrize("name", BILLS)
def test_the_amounts_printed_add_up_to_the_total_printed(name):
    """To the last digit shown; each within one unit of it, and the hours split the same total."""
    data, row = FIGURES[f"waterfall, {name}"]().data.set_index("term")["US$/Mtok"].map(number), BILLS[name].iloc[0]
    terms = data.drop(["Whole bill", "In use", "Idle"])
    unit = 0.01 if row["usd_per_mtok"] >= 1 else 0.001 if row["usd_per_mtok"] >= 0.1 else 0.0001
    assert terms.sum() == pytest.approx(data["Whole bill"], abs=1e-9) and data["Whole bill"] == pytest.approx(row["usd_per_mtok"], abs=unit / 2 + 1e-12)
    assert data["In use"] + data["Idle"] == pytest.approx(data["Whole bill"], abs=1e-9)
    assert data["In use"] == pytest.approx(row["usd_per_mtok_usage"], abs=unit / 2 + 1e-12)
    for part, term in cost_charts.TERMS:
        label = ic.values.OUTPUTS[f"usd_per_mtok_{term}"]["label"]
        assert terms.get(label, 0.0) == pytest.approx(row[f"usd_per_mtok_{term}"], abs=unit + 1e-12), (part, term)


def test_every_term_of_a_bill_has_its_bar_and_none_is_drawn_twice():
    assert sorted(term for _, term in cost_charts.TERMS) == sorted([*ic.values.TERMS, "accelerator", "electricity"])
    assert [part for part, _ in cost_charts.TERMS] == sorted((part for part, _ in cost_charts.TERMS), key=list(theme.COST).index)
    assert list(FIGURES["waterfall, cloud"]().data["term"]) == ["Cloud", "Whole bill", "In use", "Idle"] or "Egress" in set(
        FIGURES["waterfall, cloud"]().data["term"]
    )
    assert {"Building", "Upkeep"} <= set(FIGURES["waterfall, owned"]().data["term"]) and "Space" not in set(FIGURES["waterfall, owned"]().data["term"])


def test_the_title_of_the_bill_holds_its_largest_term_and_its_idle_hours():
    row = BILLS["colo"].iloc[0]
    largest, idle = (units.format(row[f"usd_per_mtok_{name}"] / row["usd_per_mtok"], "share") for name in ("accelerator", "idle"))
    title = plain(FIGURES["waterfall, colo"]().title)
    assert (
        title
        == f"Of {dollars(row['usd_per_mtok'], 2)} per million tokens on H100 SXM5 {largest} pays for the accelerator; {idle} of all is paid for idle hours"
    )
    assert "idle" not in FIGURES["waterfall, full"]().title


def test_a_bill_without_a_price_gives_the_reason():
    shown = cost_charts.waterfall(ic.evaluate(ic.scenario(chip="rubin", tensor_parallel=4), "all"))
    assert shown.title == "None of 1 chips can be drawn" and "chip_usd" in shown.description


# ------------------------------------------------------------------ own, rent or buy


@pytest.mark.parametrize("name", CURVES)
def test_lines_cross_where_the_break_even_says(name):
    """What is paid by use costs the same at each utilization; the other's line meets it at the break-even of `alternatives`."""
    table = CURVES[name]
    mine = table[table["own"]].sort_values("utilization")
    for _, line in table[(table["paid"] == "by use") & table["usd_per_mtok"].notna()].groupby("title"):
        assert line["usd_per_mtok"].nunique() == 1
        level, even = line["usd_per_mtok"].iloc[0], line["break_even_utilization"].iloc[0]
        if 0.1 < even < 1:
            crossing = np.exp(np.interp(-np.log(level), -np.log(mine["usd_per_mtok"]), np.log(mine["utilization"])))
            assert crossing == pytest.approx(even, rel=2e-3)
        else:
            assert (mine["usd_per_mtok"].min() > level) == (even > 1)


def test_curves_meet_the_alternatives_at_their_utilization():
    table = ownership.curves(H100, own="colo", utilizations=[0.7]).set_index("title")["usd_per_mtok"]
    other = ownership.alternatives(H100.vary(utilization=0.7), own="colo").query("paid == 'always' or ownership == 'api'").set_index("title")["usd_per_mtok"]
    pd.testing.assert_series_equal(table[other.index], other)
    demand = ownership.curves(H100.vary(demand_requests_per_s=40), own="colo", utilizations=[0.7])
    assert demand["usd_per_mtok"].to_list() == pytest.approx(list(table), nan_ok=True)


def test_the_title_of_the_lines_holds_the_break_even():
    met = CURVES["h100"].query("commitment == 'on_demand'")["break_even_utilization"].iloc[0]
    title = FIGURES["over, h100"]().title
    assert title.startswith(f"From {units.format(met, 'share')} use on, colocation beats the cloud on demand") and 0.4 < met < 0.7
    api = CURVES["h100"].query("ownership == 'api'").sort_values("usd_per_mtok").iloc[0]
    assert api["break_even_utilization"] > 1 and "the cheapest API undercuts it at any use" in title
    assert "API" not in FIGURES["over, no api"]().title


def test_a_price_inside_the_interval_is_not_told_apart():
    table = CURVES["h100"].copy()
    full = table[table["own"]]["usd_per_mtok"].min()
    table.loc[table["ownership"] == "api", ["usd_per_mtok", "break_even_utilization"]] = full * 1.02, 0.97
    assert "fully used it ties with the cheapest API" in cost_charts.over_utilization(table).title


def test_owning_that_never_pays_is_said():
    table = CURVES["h100"].assign(break_even_utilization=np.where(CURVES["h100"]["commitment"] == "on_demand", 1.4, np.nan))
    assert cost_charts.over_utilization(table).title.startswith("Colocation is dearer than the cloud on demand at any use")


def test_only_the_least_and_the_highest_token_price_are_drawn():
    apis = CURVES["many apis"].query("ownership == 'api' and usd_per_mtok == usd_per_mtok").sort_values("usd_per_mtok")["title"].drop_duplicates()
    shown = FIGURES["over, many apis"]()
    assert len(apis) > 2 and f"{len(apis)} API prices, lowest and highest drawn" in " ".join(shown.subtitle)
    assert sum(words.startswith("API") for words in shown.data["alternative"]) == 2


def test_a_chip_without_a_price_gives_the_reason():
    shown = cost_charts.over_utilization(ownership.curves(ic.scenario(chip="rubin", tensor_parallel=4)))
    assert shown.title == "None of 1 chips can be drawn" and "chip_usd" in shown.description


# ------------------------------------------------------------------ nines, and a day


def test_the_title_of_the_nines_is_the_fleet_s():
    table, shown = FLEETS["sold"], FIGURES["nines, sold"]()
    last = table.iloc[-1]
    each = last["usd_per_month"] / (last["replicas"] + last["spare_replicas"])
    assert f"A spare replica costs {units.format(each, 'USD', 2)} a month" in shown.title
    assert f"past {last['paying_spares']:.0f} another no longer pays" in shown.title and "pays" not in FIGURES["nines, unsold"]().title
    assert list(shown.data["spare replicas"]) == [f"{k:.0f}" for k in sorted(table["spare_replicas"].unique())]
    assert "credits, US$ a month" in shown.data and "credits, US$ a month" not in FIGURES["nines, unsold"]().data


def test_nines_stand_beside_the_spares_that_reach_them():
    table, data = FLEETS["sold"], FIGURES["nines, sold"]().data
    for spares, nines in zip(data["spare replicas"], data["nines"], strict=True):
        assert f"{table[table['spare_replicas'] == float(spares)]['nines'].max():.2g}" == nines


def test_one_number_of_spares_is_no_line():
    assert cost_charts.nines(FLEETS["sold"].head(1)).title == "None of 1 chips can be drawn"


def test_the_day_adds_up():
    shown = FIGURES["day"]()
    data = shown.data[["ready", "reserved", "on demand"]].astype(float)
    assert (data["reserved"] + data["on demand"] == data["ready"]).all() and len(data) == 24
    assert plain(shown.title).startswith(f"From {data['ready'].min():.0f} to {data['ready'].max():.0f} replicas")
    assert f"to reserve {WEEK['reserved'].max():.0f} of them" in shown.title


def test_a_chip_without_rents_has_a_day_all_the_same():
    shown = cost_charts.day(fleet.hours(ic.scenario(chip="rubin", tensor_parallel=2), users=2e6), "rubin")
    assert "reserve" not in shown.title and set(shown.data["reserved"]) == {units.MISSING}


# ------------------------------------------------------------------ all of them


class TestEveryFigure(EveryFigure):
    most = 90


def test_lines_of_one_chip_are_told_apart_without_color():
    """Each by its name at its end; the one that is judged is the thickest."""
    ends = {words for *_, words in boxes(FIGURES["over, h100"]().svg(title=False))}
    assert {"Colocation", "Own building", "Cloud, on demand", "Cloud, reserved"} <= ends
    spec = str(FIGURES["over, h100"]().spec())
    assert spec.count("'strokeWidth': 3,") == 1 or spec.count("'strokeWidth': 3}") == 1
