"""Tables of the memo: orders that add up, stock in words, limits by the year, a reason for every chip that lost."""

import numpy as np
import pytest
from test_tier_panel import ASKED, CHIPS, DEMAND

from infertco.studies import savings
from infertco.studies import tiering as study
from infertco.views import stock_charts, tier_memo


@pytest.fixture(scope="module")
def found():
    classes = [
        *DEMAND,
        dict(demand="quick", model="llama-3.1-8b", workload="chat", demand_requests_per_s=20, shed_usd_per_request=1e-9, residency="us-average"),
    ]
    return study.tiering(classes, [*CHIPS, "l40s"], **ASKED)


def test_orders_hold_every_purchase_move_and_sale_of_the_period(found):
    table = tier_memo.orders(found)
    bought = found.fleet[(found.fleet["period"] == 0)]["bought"].sum()
    assert sum(float(x.replace(",", "")) for x in table["Chips"][table["Do"] == "Buy"]) == pytest.approx(bought)
    paid = found.flows[(found.flows["period"] == 0) & (found.flows["tier_from"] == "")]["usd"].sum()
    sums = table.set_index("Do")["US$"]
    rent = found.fleet[(found.fleet["period"] == 0) & found.fleet["ownership"].isin(["reserved", "on_demand"])]["usd"].sum()
    assert tier_memo.order_list(table)["Order"].iloc[0].startswith(f"Buy {table['Chips'].iloc[0]} ")
    assert sums["Spent on purchases"] == tier_memo.usd(paid) and sums.get("Paid for rent", "$0") == tier_memo.usd(rent)
    moved = found.flows[(found.flows["period"] == 1) & (found.flows["tier_from"] != "")]
    later = tier_memo.orders(found, 1)
    assert (later["Do"].isin(["Move", "Sell"])).sum() == moved.groupby(["chip", "tier_from", "tier_to"]).ngroups


def test_the_order_in_words_names_what_is_bought(found):
    words = tier_memo.shopping(found)
    assert words.startswith("8 B200 SXM") or " 8 B200 SXM" in words


def test_where_nothing_may_be_bought_the_order_is_what_is_rented():
    t = study.tiering(DEMAND[:1], ["h100-sxm"], buys="nothing", mip_gap=0.05)
    n = t.fleet["chips"].sum()
    assert tier_memo.shopping(t) == f"{n:.0f} rented H100 SXM5" and list(tier_memo.orders(t)["Do"])[-1] == "Paid for rent"


def test_standing_chips_add_up_to_the_fleet(found):
    table = tier_memo.standing(found, [2027, 2028])
    for t, year in enumerate(("2027", "2028")):
        total = sum(float(cell.split(" ")[0].replace(",", "")) for cell in table[year] if cell)
        assert total == pytest.approx(found.fleet[found.fleet["period"] == t]["chips"].sum())


def test_the_old_cluster_is_followed_to_the_end(found):
    rows = tier_memo.cluster(found, 2027)
    start = rows[(rows["tier_from"] == "bought")]
    assert start["chips"].sum() == pytest.approx(24) and set(start["tier_to"]) == {"training"}
    stand = found.fleet[(found.fleet["period"] == 1) & (found.fleet["vintage"] < 0)].groupby("tier")["chips"].sum()
    _, held = stock_charts.composed(rows, sorted(rows["period_to"].unique()))
    for name, chips in stand.items():
        assert held[-1][list(stock_charts.TIERS).index(name)] == pytest.approx(chips)


def test_limits_are_worth_the_sum_of_their_years_and_power_is_in_megawatts(found):
    table = tier_memo.limits(found).set_index("limit")
    of = found.limits[found.limits["limit"] == "supply of b200-sxm"]
    assert table.loc["Supply of B200 SXM", "usd"] == pytest.approx(of["shadow_usd"].clip(lower=0).sum())
    assert table.loc["Power cap", "amount"] == pytest.approx(0.15) and "training" not in table.index
    assert "binds" in tier_memo.binding(found) or "bind" in tier_memo.binding(found)


def test_every_class_says_of_every_chip_what_it_serves_or_why_not(found):
    table = tier_memo.why(found, savings.served_by(found.case)).set_index("Class")
    assert (table != "").all(axis=None)
    assert table.loc["fast", "L40S"] in ("first token too late", "tokens too slow") and "%" in "".join(table.loc["fast"])


def test_singles_beside_the_plan(found):
    alone = savings.singles(found.case)
    table = tier_memo.singles(found, alone)
    assert table["Fleet"].iloc[0] == "Tiers" and len(table) == len(alone) + 1
    least = alone[alone["status"] == "dearer"]
    assert table["Net present cost"].str.startswith("at least").sum() == len(least)
    assert np.isfinite(alone["bound_usd"]).sum() == (table["Net present cost"] != "none").sum() - 1


def test_classes_tell_their_limits_and_penalty(found):
    table = tier_memo.classes(found).set_index("Class")
    assert table.loc["fast", "Per token"] == "30\u00a0ms" and table.loc["nights", "Per token"] == "none" and table.loc["fast", "Not served"] == "must be"
    assert table.loc["quick", "Not served"].endswith(" each") and table.loc["fast", "Tier"] == "Premium"
