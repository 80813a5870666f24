"""Charts of the pivot say what their tables say: dates with ranges, shares, flows that balance, what moves the date."""

import numpy as np
import pandas as pd
import pytest
from test_charts import EveryFigure, boxes, check_texts, plain

from infertco import units
from infertco.views import driver_charts, marks, pivot_charts, stock_charts, theme

MONTHS = pd.date_range("2024-01-01", "2035-12-01", freq="MS")
T = np.arange(len(MONTHS)) / 12
TODAY = pd.Timestamp("2026-11-01")


def paths(inference=0.42, training=0.12):
    rows = pd.DataFrame(dict(month=MONTHS, inference_usd=2e7 * np.exp(inference * T), training_usd=5e7 * np.exp(training * T)))
    for part in ("inference", "training"):
        rows[f"{part}_mw"], rows[f"{part}_compute"] = rows[f"{part}_usd"] / 1e7, rows[f"{part}_usd"] * 1e11
    return rows


def draws(middle, spread, n=2000):
    """Crossings by month; before the first month: from the start; after the last: never."""
    dates = np.maximum(np.round(12 * np.random.default_rng(0).normal(middle, spread, n)) / 12, 2024.0)
    return np.where(dates > 2035 + 11 / 12, np.nan, dates)


def bands(middle, spread, log=False):
    to = np.exp if log else lambda v: 1 / (1 + np.exp(-v))
    z = dict(p2_5=-1.96, p10=-1.2816, p25=-0.6745, p50=0.0, p75=0.6745, p90=1.2816, p97_5=1.96)
    return pd.DataFrame(dict(month=MONTHS) | {name: to(middle + spread * v * np.sqrt(T + 0.05)) for name, v in z.items()})


def said(rows):
    return pd.DataFrame(rows, columns=["month", "value", "low", "high", "who", "kind"]).assign(month=lambda t: pd.to_datetime(t["month"]))


SHARES = said([
    ("2025-07", 0.503, np.nan, np.nan, "Gartner", "estimate"), ("2026-07", 0.55, np.nan, np.nan, "Gartner", "forecast"),
    ("2029-07", 0.65, np.nan, np.nan, "Gartner", "forecast"), ("2029-08", 0.66, 0.56, 0.95, "A blog on compute", "forecast"),
    ("2029-07", 0.64, np.nan, np.nan, "An institute with a long name", "forecast"), ("2024-07", 0.29, np.nan, np.nan, "Epoch AI", "estimate"),
    ("2038-07", 0.9, np.nan, np.nan, "A dreamer", "forecast"),
])  # fmt: skip
TOKENS = said([
    ("2024-05", 9.7e12, np.nan, np.nan, "Pichai", "statement"), ("2025-05", 4.8e14, np.nan, np.nan, "Pichai", "statement"),
    ("2026-05", 3.2e15, np.nan, np.nan, "Pichai", "statement"), ("2026-06", 5.5e15, np.nan, np.nan, "Volcano Engine", "statement"),
    ("2026-05", 8.2e14, np.nan, np.nan, "Alphabet", "statement"), ("2025-10", 2.6e14, np.nan, np.nan, "Altman", "statement"),
])  # fmt: skip
SHARE, VOLUME = bands(-0.9 + 0.28 * T, 0.12), bands(np.log(2e14) + 0.6 * T, 0.2, log=True)
FIELDS = [
    ("user_growth_per_year", "Growth of users", 0.2, 1.5, 2029.5, 2025.5), ("training_growth_per_year", "Growth of training", 0.1, 0.7, 2026.0, np.nan),
    ("reasoning_multiplier", "Reasoning multiplier", 4, 15, 2028.25, 2026.25), ("utilization", "Utilization", 0.4, 0.85, 2027.3, 2027.3),
    ("efficiency_gain_per_year", "Model efficiency", 0.15, 1.5, 2026.5, 2030.0), ("imitation_rate", "Imitation", 0.25, 0.6, 2027.75, 2027.0),
]  # fmt: skip
DRIVERS = pd.DataFrame(FIELDS, columns="field label low high date_low date_high".split()).assign(date=2027.25)
GRID = pd.DataFrame([dict(user_growth_per_year=a, efficiency_gain_per_year=b, date=2024 + 3 * (1 + b * 1.5) / (0.4 + a))
                     for a in np.linspace(0.2, 1.5, 6) for b in np.linspace(0.15, 1.5, 6)])  # fmt: skip
GRID["date"] = GRID["date"].where(GRID["date"] < 2036)
SIZES = np.geomspace(1e9, 1e12, 40)
MODELS = pd.concat([pd.DataFrame(dict(params=SIZES, served_tokens=s, flop=6 * SIZES * (15e12 * (70e9 / SIZES) ** 1.1 + SIZES * 4) + 2 * SIZES * s))
                    for s in (0, 1e13, 1e14)])  # fmt: skip


def fleet(years=10, stays=True):
    """Flows of a toy fleet: train for three years, then 70 % premium, 20 % batch, 10 % sold; premium for two, batch for two, retired."""
    periods = pd.date_range("2026-01-01", periods=4 * years, freq="QS")
    held, rows = {}, []
    for t, period in enumerate(periods):
        then = {}
        for (v, tier), chips in held.items():
            move = {("training", 12): dict(premium=0.7, batch=0.2, sold=0.1), ("premium", 20): dict(batch=1.0), ("batch", 28): dict(retired=1.0)}
            for to, part in move.get((tier, t - v), {tier: 1.0}).items():
                if stays or to != tier:
                    rows.append((periods[max(t - 1, 0)], period, tier, to, periods[v], part * chips))
                if to not in ("sold", "retired"):
                    then[v, to] = then.get((v, to), 0.0) + part * chips
        bought = dict(training=30000 if t == 0 else 900 * 1.02**t, premium=24000 if t == 0 else 1500 * 1.04**t) | (dict(batch=6000) if t == 0 else {})
        for to, chips in bought.items():
            rows.append((periods[max(t - 1, 0)], period, "bought", to, periods[t], chips))
            then[t, to] = then.get((t, to), 0.0) + chips
        held = then
    return pd.DataFrame(rows, columns="period_from period_to tier_from tier_to vintage chips".split())


FLOWS = fleet()
YEARS = np.arange(2026, 2036)
MONEY = pd.concat([
    pd.DataFrame(dict(policy=policy, year=YEARS, stranded_usd=idle * 1e8 * np.exp(0.1 * (YEARS - 2026)), usd=paid * 1e9 * np.exp(0.12 * (YEARS - 2026))))
    for policy, idle, paid in (("hand_down", 0.4, 1.0), ("resell", 0.2, 1.06), ("idle", 2.2, 1.15))
])  # fmt: skip
FIGURES = {
    "areas": lambda **how: pivot_charts.areas(paths(), draws(2027.0, 1.0), today=TODAY, **how),
    "areas, late": lambda **how: pivot_charts.areas(paths(), draws(2034.5, 3.0), "power", **how),
    "areas, early": lambda **how: pivot_charts.areas(paths(), draws(2024.1, 0.5), "compute", today=pd.Timestamp("2035-06-01"), **how),
    "areas, falling": lambda **how: pivot_charts.areas(paths(-0.2, -0.3), draws(2030, 1.0), today=TODAY, **how),
    "areas, training": lambda **how: pivot_charts.areas(paths(0.1, 0.4), draws(2034, 6.0), today=TODAY, **how),
    "fan": lambda **how: pivot_charts.fan(SHARE, SHARES, today=TODAY, **how),
    "fan, alone": lambda **how: pivot_charts.fan(SHARE, measure="power", **how),
    "volumes": lambda **how: pivot_charts.volumes(VOLUME, TOKENS, today=TODAY, **how),
    "drivers": lambda **how: driver_charts.drivers(DRIVERS, horizon=2036.0, **how),
    "drivers, all": lambda **how: driver_charts.drivers(DRIVERS.dropna(), measure="power", **how),
    "heat": lambda **how: driver_charts.heat(GRID, "user_growth_per_year", "efficiency_gain_per_year", today=(0.7, 0.4), **how),
    "two models": lambda **how: driver_charts.two_models(MODELS, **how),
    "two models, usd": lambda **how: driver_charts.two_models(MODELS.assign(usd=MODELS["flop"] / 1e18).drop(columns="flop"), **how),
    "flows": lambda **how: stock_charts.flows(FLOWS, **how),
    "flows, short": lambda **how: stock_charts.flows(fleet(4), **how),
    "stranded": lambda **how: stock_charts.stranded(MONEY, **how),
}


@pytest.fixture(scope="module", params=FIGURES)
def drawn(request):
    return FIGURES[request.param]()


def title(name):
    return plain(FIGURES[name]().title)


def quarter(x):
    return f"Q{int(x % 1 * 4) + 1} {int(x)}"


# ------------------------------------------------------------------ when they cross


def test_quantiles_take_what_is_never_reached_for_the_latest():
    assert pivot_charts.quantiles([2030.0, np.nan, 2028.0, np.nan, 2029.0], (0.2, 0.6, 0.61)).tolist() == [2028.0, 2030.0, np.inf]


def test_the_title_of_the_areas_is_the_middle_80_percent_of_the_draws():
    ordered = np.sort(draws(2027.0, 1.0))
    low, high = ordered[int(0.1 * len(ordered)) - 1], ordered[int(0.9 * len(ordered)) - 1]
    assert title("areas") == f"Inference overtakes training in spend between {quarter(low)} and {quarter(high)}"


@pytest.mark.parametrize(
    "dates, words",
    [
        ([np.nan] * 10, "Inference does not overtake training in spend by 2035 in any draw"),
        ([2030.0] + [np.nan] * 19, "Inference overtakes training in spend by 2035 in 5% of the draws"),
        ([2024.0] * 10, "Inference is ahead of training in spend from the start in 100% of the draws"),
        ([2024.0] * 5 + [2027.3] * 5, "Inference overtakes training in spend by Q2 2027 in nine of ten draws, in 50% from the start"),
        ([2026.0] * 5 + [np.nan] * 5, "Inference overtakes training in spend no sooner than Q1 2026 or not by 2035: 50% of the draws never do"),
        ([2024.0] * 5 + [np.nan] * 5, "Inference overtakes training in spend from the start or not by 2035: 50% of the draws never do"),
        ([2026.0] * 10, "Inference overtakes training in spend in Q1 2026"),
    ],
)
def test_where_there_is_no_range_the_title_says_what_is_known(dates, words):
    shown = pivot_charts.areas(paths(), np.array(dates))
    assert plain(shown.title) == words
    check_texts(shown.svg(title=False), 640)


def test_the_histogram_holds_every_draw_that_crosses_and_colors_the_middle():
    dates = draws(2034.5, 3.0)
    spec = FIGURES["areas, late"]().spec(title=False)
    bins = next(pd.DataFrame(rows) for rows in spec["datasets"].values() if "count" in rows[0])
    assert bins["count"].sum() == pytest.approx(1 - np.isnan(dates).mean(), rel=1e-4)
    low = pivot_charts.quantiles(dates)[0]
    assert set(bins["fill"][bins["x2"] <= low]) == {theme.NEUTRAL["mark"]} and set(bins["fill"][bins["x"] > low]) == {theme.PIVOT["inference"]}


def test_the_areas_stack_what_the_paths_say():
    spec = FIGURES["areas"]().spec(title=False)
    rows = next(pd.DataFrame(rows) for rows in spec["datasets"].values() if "total" in rows[0])
    assert np.allclose(rows["total"], rows["inference"] + rows["training"], rtol=1e-4) and len(rows) == len(MONTHS)
    data = FIGURES["areas"]().data
    assert list(data["month"])[:2] == ["2024-01", "2025-01"] and data["inference, share"].iloc[0] == units.format(2 / 7, "share")


def test_the_forecast_is_marked_only_within_the_years_drawn():
    words = lambda today: [w for *_, w in boxes(pivot_charts.areas(paths(), draws(2027, 1), today=today).svg(title=False))]  # noqa: E731
    assert "forecast →" in words(TODAY) and not any("forecast" in w for w in words(pd.Timestamp("2040-01-01")))


# ------------------------------------------------------------------ fans


def test_the_title_of_the_fan_is_the_row_of_its_year():
    row = SHARE[SHARE["month"] == "2030-01-01"].iloc[0]
    low, middle, high = (f"{row[name]:.0%}" for name in ("p10", "p50", "p90"))
    assert title("fan") == f"Inference takes {middle} of spend by 2030; 80% of the draws lie between {low} and {high}" and row["p10"] > 0.5
    assert "by 2033;" in pivot_charts.fan(SHARE, year=2033).title and "by 2035;" in pivot_charts.fan(SHARE, year=2050).title


def test_a_band_on_both_sides_of_half_is_open():
    row = SHARE[SHARE["month"] == "2027-01-01"].iloc[0]
    assert row["p10"] < 0.5 < row["p90"]
    assert pivot_charts.fan(SHARE, year=2027).title.startswith("Which side leads in spend in 2027 is open: 80% of the draws give inference ")


def test_each_source_is_named_once_and_what_lies_outside_is_counted():
    shown = FIGURES["fan"]()
    words = [w for *_, w in boxes(shown.svg(title=False))]
    assert [words.count(who) for who in ("Gartner", "A blog on compute", "Epoch AI", "A dreamer")] == [1, 1, 1, 0]
    assert "1 statement outside the frame" in " ".join(shown.subtitle) and "hollow: forecasts" in " ".join(shown.subtitle)
    assert (shown.data["who"] == "Gartner").sum() == 3


def test_the_same_statement_twice_is_drawn_once():
    twice = pd.concat([SHARES, SHARES], ignore_index=True)
    assert pivot_charts.fan(SHARE, twice).spec(title=False)["datasets"] == pivot_charts.fan(SHARE, SHARES).spec(title=False)["datasets"]


def test_forecasts_of_others_are_hollow():
    spec = FIGURES["fan"]().spec(title=False)
    points = next(pd.DataFrame(rows) for rows in spec["datasets"].values() if "series" in rows[0])
    assert sorted(points["fill"] == theme.PAPER) == [False] * 2 + [True] * 4


def test_volumes_are_known_to_a_factor_or_not_at_all():
    row = VOLUME[VOLUME["month"] == "2030-01-01"].iloc[0]
    factor = np.sqrt(row["p90"] / row["p10"])
    assert title("volumes") == f"Tokens a month reach {float(f'{row.p50 / 1e12:.2g}'):,.0f}tn by 2030, known to a factor of {factor:.1f} either way"
    wide = pivot_charts.volumes(bands(np.log(2e14) + 0.6 * T, 1.2, log=True), what="tokens").title
    assert wide.startswith("Tokens a month in 2030 can be anything from ") and "factor of" in wide


def test_published_figures_below_the_fan_stretch_the_scale():
    shown = FIGURES["volumes"]()
    assert "outside" not in " ".join(shown.subtitle) and len(shown.data[shown.data["who"] == "Pichai"]) == 3


# ------------------------------------------------------------------ what moves the date


def test_drivers_are_sorted_by_how_far_they_move_the_date():
    shown = FIGURES["drivers"]()
    assert list(shown.data["driver"]) == ["Growth of training", "Growth of users", "Model efficiency", "Reasoning multiplier", "Imitation"]
    assert title("drivers") == "Growth of training moves the date most, by over 10 years over its range; next growth of users, 4.0 years"
    assert list(shown.data["date at P90"])[0] == "never" and "1 more move it less" in " ".join(shown.subtitle)
    assert any(words == "70%/year: never" for *_, words in boxes(shown.svg(title=False)))


def test_drivers_that_move_the_date_alike_are_not_ranked():
    rows = DRIVERS[DRIVERS["field"].isin(["user_growth_per_year", "efficiency_gain_per_year"])].assign(date_low=2026.0, date_high=[2029.0, 2028.9])
    assert plain(driver_charts.drivers(rows).title) == "Growth of users and model efficiency move the date alike: by about 3.0 years each"


def test_drivers_that_move_nothing_give_the_reason():
    shown = driver_charts.drivers(DRIVERS.assign(date_low=2027.25, date_high=2027.25))
    assert "no driver moves the date" in shown.description


def test_the_base_may_be_never():
    shown = driver_charts.drivers(DRIVERS.assign(date=np.nan), horizon=2036.0)
    assert "The base is never" in shown.description


def test_the_words_of_a_driver_stand_over_its_numbers():
    rows = DRIVERS.assign(low_text="few", high_text="many")
    assert set(driver_charts.drivers(rows, horizon=2036.0).data["P10"]) == {"few"}


def test_cells_hold_the_quarter_and_the_sooner_is_the_darker():
    spec = FIGURES["heat"]().spec(title=False)
    cells = next(pd.DataFrame(rows) for rows in spec["datasets"].values() if "label" in rows[0] and len(rows) == 36)
    assert (cells["text"] == "never").sum() == GRID["date"].isna().sum() == (cells["fill"] == theme.PAPER).sum() > 0
    filled = cells[cells["text"] != "never"]
    when = [int(plain(t)[3:]) + int(t[1]) / 4 for t in filled["text"]]
    light = [theme.lightness(c) for c in filled["fill"]]
    assert np.corrcoef(when, light)[0, 1] > 0.9
    i, j = np.abs(np.linspace(0.2, 1.5, 6) - 0.7).argmin(), np.abs(np.linspace(0.15, 1.5, 6) - 0.4).argmin()
    table = GRID["date"].to_numpy().reshape(6, 6)
    across, down = table[[0, -1], j], table[i, [0, -1]]
    assert title("heat") == (f"Over its range growth of users takes the date from {quarter(across[0])} to {quarter(across[1])}, "
                             f"model efficiency from {quarter(down[0])} to {quarter(down[1])}")  # fmt: skip


def test_a_grid_without_a_crossing_or_without_a_change_says_so():
    x, y = "user_growth_per_year", "efficiency_gain_per_year"
    assert "in none of the cells" in driver_charts.heat(GRID.assign(date=np.nan), x, y).title
    assert plain(driver_charts.heat(GRID.assign(date=2027.0), x, y).title).startswith("Neither growth of users nor model efficiency moves the date")


def test_the_cheapest_size_is_the_least_of_its_line():
    shown = FIGURES["two models"]()
    least = [SIZES[MODELS[MODELS["served_tokens"] == s]["flop"].argmin()] for s in (0, 1e13, 1e14)]
    assert list(shown.data["cheapest size, parameters"]) == [units.format(v, "1", 2) for v in least] and least[0] > least[1] > least[2]
    assert title("two models").endswith(f"has {units.format(least[2], '1', 2)} parameters, with none served {units.format(least[0], '1', 2)}")
    same = driver_charts.two_models(MODELS.assign(flop=MODELS["params"] ** 2))
    assert "whatever is served" in same.title and "edge" in " ".join(same.subtitle)


# ------------------------------------------------------------------ where chips go


def test_moves_over_years_are_composed_vintage_by_vintage():
    """Half of 8 old chips step down in the first quarter, half of those in batch retire in the next: 2 retired, 2 in batch, 4 stay."""
    when = pd.date_range("2026-01-01", periods=3, freq="QS")
    old, new = when[0], when[1]
    rows = pd.DataFrame([
        (old, "bought", "training", old, 8.0), (new, "training", "batch", old, 4.0), (new, "bought", "training", new, 5.0), (when[2], "batch", "retired", old, 2.0),
    ], columns="period_to tier_from tier_to vintage chips".split())  # fmt: skip
    moves, stock = stock_charts.composed(rows, [old, when[2]])
    tiers = list(stock_charts.TIERS)
    of = dict(zip(tiers, moves[1][tiers.index("training")], strict=True))
    assert (of["training"], of["batch"], of["retired"]) == (4.0, 2.0, 2.0) and moves[1][-1].tolist() == [5.0] + [0.0] * 7
    assert dict(zip(tiers, stock[1], strict=True))["training"] == 9.0


def test_every_chip_that_comes_in_goes_out_or_stays():
    at, moves, stock = stock_charts._columns(FLOWS)
    gone = moves[1:, :, -2:].sum(axis=1)
    for c in range(1, len(at)):
        assert np.allclose(moves[c, :-1].sum(axis=1), stock[c - 1])  # out of each block
        assert np.allclose(moves[c].sum(axis=0)[:-2], stock[c][:-2]) and np.allclose(moves[c].sum(axis=0)[-2:], gone[c - 1])
    assert FLOWS[FLOWS["tier_from"] == "bought"]["chips"].sum() == pytest.approx(stock[-1].sum() + gone.sum() + _late(at[-1]))


def _late(last):
    """Bought after the last column, less what has left since it: drawn nowhere."""
    after = FLOWS[FLOWS["period_to"] > last]
    return after[after["tier_from"] == "bought"]["chips"].sum()


def test_flows_that_do_not_say_who_stays_are_the_same():
    for a, b in zip(stock_charts._columns(fleet(6))[1:], stock_charts._columns(fleet(6, stays=False))[1:], strict=True):
        assert np.allclose(a, b)


def test_a_fleet_that_is_sold_out_by_the_end_is_drawn():
    year = lambda y: pd.Timestamp(y, 1, 1)  # noqa: E731
    rows = [(2026, "bought", "training", 64.0), (2027, "training", "sold", 64.0), (2028, "training", "sold", 0.0)]
    table = pd.DataFrame([dict(period_to=year(y), tier_from=a, tier_to=b, chip="h100-sxm", vintage=-1.0, chips=n) for y, a, b, n in rows])
    assert stock_charts.flows(table).title == "None of the 64 training chips of 2026 serve users later; 64 are sold by 2028"


def test_flows_that_do_not_balance_are_refused():
    wrong = FLOWS.assign(chips=FLOWS["chips"].where(FLOWS["tier_to"] != "sold", FLOWS["chips"] * 3))
    with pytest.raises(ValueError, match="flows of training do not balance in 2029-01: 6,000.0 chips too many leave or stay"):
        stock_charts.flows(wrong)
    with pytest.raises(ValueError, match="unknown tier 'scrap'"):
        stock_charts.flows(FLOWS.assign(tier_to=FLOWS["tier_to"].replace("sold", "scrap")))


def test_a_stock_that_the_flows_do_not_lead_to_is_refused():
    first = pd.Timestamp("2026-01-01")
    stock = pd.DataFrame(dict(period=first, tier=["training", "premium", "batch"], chips=[30000.0, 24000.0, 6001.0]))
    with pytest.raises(ValueError, match="batch in 2026-01 holds 6,001.0 chips, flows lead to 6,000.0"):
        stock_charts.flows(FLOWS, stock)


@pytest.mark.parametrize("years", [2, 4, 7, 10])
def test_ribbons_stay_few_and_the_small_ones_are_counted(years):
    spec = stock_charts.flows(fleet(years)).spec(title=False)
    ribbons = [row["ribbon"] for rows in spec["datasets"].values() for row in rows if "ribbon" in row]
    assert 0 < len(set(ribbons)) <= stock_charts.MOST_RIBBONS


def test_the_title_follows_the_first_training_chips():
    assert title("flows") == "Of the 30,000 training chips of 2026, 27,000 serve users by 2029"  # 70 % premium and 20 % batch after three years
    keep = FLOWS[(FLOWS["vintage"] == FLOWS["vintage"].min()) & FLOWS["tier_from"].isin(["bought"])]
    still = pd.concat([keep, keep.head(1).assign(period_to=pd.Timestamp("2028-01-01"), chips=1.0)])
    assert stock_charts.flows(still).title == "All of the 30,000 training chips of 2026 still train in 2028"
    sold = pd.concat([keep, keep.head(1).assign(period_to=pd.Timestamp("2028-01-01"), tier_from="training", tier_to="sold")])
    assert stock_charts.flows(sold).title == "None of the 30,000 training chips of 2026 serve users later; 30,000 are sold by 2028"


def test_a_single_date_has_no_flows():
    assert "two dates" in stock_charts.flows(FLOWS[FLOWS["period_to"] == FLOWS["period_to"].min()]).description


# ------------------------------------------------------------------ stranded dollars


def test_the_title_says_what_the_cheapest_policy_saves():
    total = MONEY.groupby("policy")["usd"].sum() / 1e9
    gaps = [units.format((total[p] - total["hand_down"]) * 1e9, "USD", 2) for p in ("resell", "idle")]
    assert title("stranded") == f"Handing chips down saves {gaps[0]} against selling and {gaps[1]} against idling, 2026 to 2035"
    summary = pd.DataFrame(dict(policy=["hand_down", "resell", "idle"], npv_usd=[9e9, 8e9, 9.5e9]))
    assert stock_charts.stranded(MONEY, summary).title == "Selling chips saves $1.0bn against handing down and $1.5bn against idling, 2026 to 2035"


def test_policies_that_cost_alike_are_not_ranked():
    shown = stock_charts.stranded(MONEY.assign(usd=1e9))
    assert shown.title == "The two cheapest policies for old chips cost alike: within 1%, 2026 to 2035"


def test_quarters_are_added_up_to_years():
    quarters = pd.concat([MONEY.assign(period=pd.to_datetime(MONEY["year"].astype(str) + f"-{m:02d}"), stranded_usd=MONEY["stranded_usd"] / 4, usd=MONEY["usd"] / 4)
                          for m in (1, 4, 7, 10)]).drop(columns="year")  # fmt: skip
    pd.testing.assert_frame_equal(stock_charts.stranded(quarters).data, FIGURES["stranded"]().data)


# ------------------------------------------------------------------ all of them


def test_counts_keep_their_letter_from_a_million_on():
    assert [stock_charts.count(x) for x in (9.54, 950, 12_345, 1.2e6, 34e6, 2.5e9)] == ["9.5", "950", "12k", "1.2m", "34m", "2.5bn"]


def test_a_date_never_reached_is_drawn_where_the_study_counts_it():
    """Of two inputs one of which may never let it cross, the chart names the one the study ranks first."""
    table = pd.DataFrame(dict(field=["runs_per_year", "run_tokens"], label=["Runs", "Tokens"], low=[1.0, 1e12], high=[9.0, 9e12], date=2028.0, date_low=[2026.0, 2027.5],
                              date_high=[2030.0, np.nan], horizon=2036.0))  # fmt: skip
    assert driver_charts.drivers(table).title.startswith("Tokens moves the date most, by over 8.5")
    assert driver_charts.drivers(table.drop(columns="horizon")).title.startswith("Runs moves the date most")


class TestEveryFigure(EveryFigure):
    most = 80


def test_labels_beside_points_stay_in_the_plot_and_off_each_other():
    rng = np.random.default_rng(1)
    x, y, wide = rng.uniform(0, 500, 14), rng.uniform(0, 250, 14), rng.uniform(30, 150, 14)
    left, mid = marks.beside(x, y, wide, 500, 250)
    assert (left >= 0).all() and (left + wide <= 500).all() and (mid >= 7).all() and (mid <= 243).all()
    for i in range(14):
        for j in range(i):
            assert left[i] + wide[i] <= left[j] or left[j] + wide[j] <= left[i] or abs(mid[i] - mid[j]) >= theme.LABEL_GAP


def test_dates_become_decimal_years():
    assert marks.years(pd.to_datetime(["2026-01-01", "2026-07-01"])).tolist() == [2026.0, 2026.5] and marks.years([2026.25]).tolist() == [2026.25]


def lying(svg, words):
    """(left, top, right, bottom) of the text that begins with `words`, the one farthest right."""
    return max(box[:4] for box in boxes(svg) if box[4].startswith(words))


def test_names_of_sources_stay_off_the_line_of_one_half():
    half = said([("2029-07", 0.5, np.nan, np.nan, "One half", "forecast"), ("2032-07", 0.495, np.nan, np.nan, "Nearly half", "forecast")])
    svg = pivot_charts.fan(SHARE, half).svg(title=False)
    (tick,) = [box for box in boxes(svg) if box[4] == "50%" and box[0] < 60]
    line = (tick[1] + tick[3]) / 2
    for who in ("One half", "Nearly half"):
        _, top, _, bottom = lying(svg, who)
        assert bottom < line - 1 or top > line + 1, who


def test_names_of_bands_follow_the_bands_where_they_fall_together():
    svg = pivot_charts.fan(bands(3.0 + 0.3 * T, 0.4)).svg(title=False)
    tops = [lying(svg, word)[1] for word in ("95%", "80%", "50%", "median")]
    assert tops == sorted(tops) and np.diff(tops).min() > 10, tops


@pytest.mark.parametrize("fall", [0.0, 0.3])
def test_the_words_of_the_crossing_stand_above_the_areas(fall):
    rows = paths(0.1 - fall, 0.05 - fall)  # the highest at the left, where the words are
    shown = pivot_charts.areas(rows, draws(2024.6, 0.1), today=pd.Timestamp("2024-04-01"))
    total = rows[["inference_usd", "training_usd"]].sum(axis=1).to_numpy()
    axis = shown.spec()["vconcat"][0]["layer"][0]["encoding"]["y"]["scale"]["domain"][1]
    within = (marks.years(MONTHS) >= 2024.6) & (marks.years(MONTHS) < 2027)
    assert 230 * (1 - total[within].max() / axis) >= 10 + 18 + 15 + 5  # forecast, two lines
