"""Capital, power and building to dollars per chip-hour; dollars and joules per token and request.

    $/chip-hour = (capital + building + electricity + operations) / availability      a chip slot, per calendar hour
    $/Mtok      = 1e6 * $/chip-hour * chips / (3600 * output tokens/s * utilization)

Three ownerships: `owned` (hardware bought, own building), `colo` (hardware bought, rent per kW), `cloud` (hourly price;
only egress is added). They are never mixed in a sum: a building and its rent exclude each other. Real dollars. Left
out: tax shield, water, demand charges.

What is bought loses value twice over: on the books in a straight line, in the market as newer chips give more for a
dollar, by `V(a) = V0 (1 + g)^-a`. The residual value is that of the market, unless one is given.
"""

from typing import NamedTuple

import numpy as np

from .rows import chosen, some

HOURS, DAYS = 8760.0, 365 / 12  # hours of a year, days of a month
EGRESS_BYTES_PER_TOKEN = 5.0  # text; about 4 characters a token, with framing


class Hourly(NamedTuple):
    """Dollars per chip-hour by term; they add up to the whole."""

    accelerator: np.ndarray
    server: np.ndarray
    spares: np.ndarray
    other: np.ndarray
    scale_up: np.ndarray
    scale_out: np.ndarray
    building: np.ndarray
    upkeep: np.ndarray
    space: np.ndarray
    electricity: np.ndarray
    maintenance: np.ndarray
    insurance: np.ndarray
    staff: np.ndarray
    software: np.ndarray
    cloud: np.ndarray
    egress: np.ndarray


CAPITAL = ("accelerator", "server", "spares", "other", "scale_up", "scale_out", "building")  # paid once; the other terms as time goes by
PARTS = dict(  # the seven parts of a bill, each the sum of its terms
    accelerator=("accelerator",), host=("server", "spares", "other"), network=("scale_up", "scale_out"), facility=("building", "upkeep", "space"),
    electricity=("electricity",), operations=("maintenance", "insurance", "staff", "software"), rent=("cloud", "egress"),
)  # fmt: skip


def parts(hourly) -> dict:
    """The terms, and the seven parts they make up, by name.

    Examples
    --------
    >>> bill = parts(Hourly(*range(16)))
    >>> print(bill["staff"], bill["operations"], sum(bill[part] for part in PARTS) == sum(range(16)))
    12 46 True
    """
    return hourly._asdict() | {part: sum(getattr(hourly, term) for term in terms) for part, terms in PARTS.items()}


def annuity_factor(rate, years):
    """Capital recovery factor `r / (1 - (1 + r)^-n)`, 1/n at r = 0. [1/year]

    Examples
    --------
    >>> print(round(float(annuity_factor(0.07, 20)), 5))
    0.09439
    """
    rate, years = np.asarray(rate, dtype=float), np.asarray(years, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(rate == 0, 1 / years, rate / -np.expm1(-years * np.log1p(rate)))


def capital_usd_per_year(price_usd, residual_share, rate, years):
    """Yearly payment for something bought that fetches a share of its price at the end. [USD/year]"""
    residual = residual_share * np.exp(-years * np.log1p(rate))
    return annuity_factor(rate, years) * price_usd * (1 - residual)


def market_share(age_years, price_performance_per_year):
    """What a chip is worth at an age, share of its price: `(1 + g)^-a`, as newer chips do as much for less. [1]

    `price_performance_per_year` g is the yearly rise of performance for a dollar, 0.35 for a third more.

    Examples
    --------
    >>> print(round(float(market_share(5.0, 0.35)), 3))
    0.223
    """
    return np.exp(-age_years * np.log1p(price_performance_per_year))


def book_share(age_years, life_years, residual_share):
    """What the books say a chip is worth at an age, share of its price: a straight line to its residual value, flat after. [1]

    Examples
    --------
    >>> print(round(float(book_share(2.0, 5.0, 0.0)), 3), float(book_share(9.0, 5.0, 0.1)))
    0.6 0.1
    """
    return residual_share + (1 - residual_share) * np.maximum(1 - age_years / life_years, 0)


def residual_share(finance):
    """Share of the price a chip fetches at the end of its life: as given, else its market value then. [1]"""
    return chosen(finance.residual_share, market_share(finance.chip_life_years, finance.price_performance_per_year))


def scrap_age_years(usd_per_hour, running_usd_per_hour, price_performance_per_year):
    """Age at which what a chip earns, falling by 1 + g a year, no longer pays its running: `ln(p0/o) / ln(1 + g)`. [year]

    Examples
    --------
    >>> print(round(float(scrap_age_years(2.0, 0.25, 0.35)), 1))
    6.9
    """
    return np.log(usd_per_hour / running_usd_per_hour) / np.log1p(price_performance_per_year)


def kept_usd_per_year(age_years, price_usd, sunk_usd, running_usd_per_year, price_performance_per_year, rate, resold=1.0):
    """Yearly cost, in the first year, of keeping up one chip's performance for good, replaced at an age. [USD/year]

    Parameters
    ----------
    age_years, price_usd : Number
        Age of replacement, above 0; price of what is bought and can be sold again. [year, USD]
    sunk_usd : Number
        What each replacement costs beside and never comes back: installation, migration. [USD]
    running_usd_per_year : Number
        Electricity, space, staff, upkeep. [USD/year]
    price_performance_per_year, rate : Number
        Yearly rise g of performance for a dollar; real rate r. [1/year]
    resold : Number
        Share of the market value that a sale fetches. [1]

    Notes
    -----
    Each generation costs `1 + g` less a year for the same performance, to buy as to run. One cycle is worth
    `p (1 - resold q^n) + s + o (1 - (1 + r)^-n) / ln(1 + r)` with `q = 1 / ((1 + g)(1 + r))`, a chain of them
    `1 / (1 - q^n)` as much, and the stream that falls by `1 + g` a year and is worth as much begins at `-ln q` of it.
    Replacement under steady progress as in Terborgh, "Dynamic Equipment Policy" (1949).

    Examples
    --------
    >>> usd = kept_usd_per_year(np.array([1.0, 4.0, 9.0]), 30e3, 2e3, 2e3, 0.35, 0.08, 0.7)
    >>> print(usd.round(-2))   # too early loses at the sale, too late runs what costs more than it is worth
    [23400. 16600. 17300.]
    """
    interest = np.log1p(rate)
    fall = np.log1p(price_performance_per_year) + interest
    with np.errstate(divide="ignore", invalid="ignore"):
        years = np.where(interest == 0, age_years, -np.expm1(-age_years * interest) / interest)  # worth of a dollar a year
        chain = np.where(fall == 0, 1 / age_years, fall / -np.expm1(-age_years * fall))
    return chain * (price_usd * (1 - resold * np.exp(-age_years * fall)) + sunk_usd + running_usd_per_year * years)


def hourly_usd(chip, site, finance, owned, cloud, cloud_usd_per_hour, mean_w, output_tokens_per_s_per_chip):
    """Cost of one chip slot per calendar hour, by term. [USD/h]

    Parameters
    ----------
    chip, site, finance : values
    owned, cloud : bool arrays
        Neither is colocation.
    cloud_usd_per_hour : Number
        Hourly price at the commitment in force. [USD/h]
    mean_w : Number
        Modeled mean draw of one slot over the year, before PUE. [W]
    output_tokens_per_s_per_chip : Number
        Served, for egress. [token/s]

    Notes
    -----
    `CRF(r, n) * price * (1 - residual (1 + r)^-n)` for chip, server, both networks, spares and the rest [1]_; spares
    are a stock on the shelf, a share of what is in service. The building per provisioned watt by its own life, or the
    rent per kW; electricity by the modeled draw with PUE once.

    References
    ----------
    .. [1] Barroso, Clidaras, Hoelzle, "The Datacenter as a Computer", chapter on total cost of ownership.
    """
    per_hour = 1.0 / (HOURS * finance.availability)
    rate, life = finance.cost_of_capital, finance.chip_life_years
    recovery = capital_usd_per_year(1.0, residual_share(finance), rate, life) * per_hour
    installed_usd = chip.chip_usd + chip.host_usd + chip.scale_up_usd + chip.network_usd
    spares_usd = finance.spares_share * installed_usd
    hardware_usd = installed_usd + spares_usd + finance.other_usd_per_chip
    rated_kw = (chip.tdp_w + chip.host_w + chip.network_w) / 1e3
    building = upkeep = 0.0
    space = site.colo_usd_per_kw_month * (12 * per_hour) * rated_kw
    if some(owned):
        built = site.facility_usd_per_w * 1e3 * rated_kw * per_hour
        building = np.where(owned, annuity_factor(rate, finance.facility_life_years) * built, 0.0)
        upkeep, space = np.where(owned, finance.facility_maintenance_share * built, 0.0), np.where(owned, 0.0, space)
    own = Hourly(
        accelerator=chip.chip_usd * recovery, server=chip.host_usd * recovery, spares=spares_usd * recovery,
        other=finance.other_usd_per_chip * recovery, scale_up=chip.scale_up_usd * recovery, scale_out=chip.network_usd * recovery,
        building=building, upkeep=upkeep, space=space, electricity=mean_w * site.pue * site.usd_per_kwh * (1e-3 / finance.availability),
        maintenance=finance.maintenance_share * per_hour * hardware_usd, insurance=finance.insurance_share * per_hour * hardware_usd,
        staff=finance.staff_usd_per_kw_year * per_hour * rated_kw, software=finance.software_usd_per_chip_year * per_hour, cloud=0.0, egress=0.0,
    )  # fmt: skip
    if not some(cloud):
        return own
    egress = 3600 * output_tokens_per_s_per_chip * EGRESS_BYTES_PER_TOKEN / 1e9 * site.usd_per_gb_egress
    own = Hourly(*(np.where(cloud, 0.0, term) for term in own))
    return own._replace(cloud=np.where(cloud, cloud_usd_per_hour, 0.0), egress=np.where(cloud, egress, 0.0))


def break_even_utilization(idle_usd_per_hour, busy_usd_per_hour, other_usd_per_hour):
    """Share of the time above which what one owns is cheaper than paying another by the hour of use. [1]

    Parameters
    ----------
    idle_usd_per_hour : Number
        Cost of an hour of one's own that serves nothing. [USD/h]
    busy_usd_per_hour : Number
        What an hour of full service adds: electricity. [USD/h]
    other_usd_per_hour : Number
        What the same service costs elsewhere, in a full hour. [USD/h]

    Notes
    -----
    `idle + busy u = other u`, that is `u > c_own / c_other` with the electricity where it belongs; inf where even the
    running costs more than the other's whole price, above 1 where own is dearer at any use.

    Examples
    --------
    >>> print(break_even_utilization(1.5, 0.2, 3.2), break_even_utilization(1.5, 0.2, 0.1))
    0.5 inf
    """
    margin = other_usd_per_hour - busy_usd_per_hour
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(margin <= 0, np.inf, idle_usd_per_hour / margin)


def break_even_hours(capital_usd, running_usd_per_hour, other_usd_per_hour):
    """Hours of use after which capital has paid for itself: `K / (c_other - c_running)`; inf: never. [h]

    Examples
    --------
    >>> print(round(float(break_even_hours(833_806, 0.87, 98.32))))   # Lenovo LP2225: eight H100 against a rented server
    8556
    """
    saved = other_usd_per_hour - running_usd_per_hour
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(saved <= 0, np.inf, capital_usd / saved)


def margin_share(price_usd, cost_usd):
    """What is left of a price once the cost is paid: `1 - cost / price`; of cost instead, it is `price / cost - 1`. [1]

    Examples
    --------
    >>> print(round(float(margin_share(1.35, 0.226)), 3))
    0.833
    """
    return 1 - cost_usd / price_usd


def usd_per_mtok(usd_per_chip_hour, output_tokens_per_s_per_chip, utilization):
    """All cost over output tokens served, in millions. [USD/Mtok]

    Examples
    --------
    >>> print(usd_per_mtok(3.6, 1000.0, 0.5))   # 3.6 million tokens an hour at full load, half of it served
    2.0
    """
    return 1e6 * usd_per_chip_hour / (3600 * output_tokens_per_s_per_chip * utilization)


def phase_share(allocation, prefill_s, decode_s, input_tokens, output_tokens):
    """Share of a request's cost that its prompt carries: by chip time (0), by tokens (1), or none, all on the answer (2)."""
    by_time = prefill_s / (prefill_s + decode_s)
    by_tokens = input_tokens / (input_tokens + output_tokens)
    return np.where(allocation == 0, by_time, np.where(allocation == 1, by_tokens, 0.0))


def provisioned_j_per_request(chip, pue, chips, capacity_requests_per_s):
    """TDP per request: rated power of chips, hosts and network with PUE, per request/s of capacity. [J]

    Boundary: everything the meter of the site sees, at its rating, whatever is drawn; utilization is not in it.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> chip = SimpleNamespace(tdp_w=700.0, host_w=250.0, network_w=50.0)
    >>> print(provisioned_j_per_request(chip, 1.25, 8.0, 5.0))   # 10 kW for 5 requests/s
    2000.0
    """
    return (chip.tdp_w + chip.host_w + chip.network_w) * pue * chips / capacity_requests_per_s


def residence_j_per_request(chip, pue, chips, residence_s, in_flight):
    """The same from the other side: rated power times the time a request stays, shared by those in flight. [J]

    By Little's law equal to `provisioned_j_per_request` where a replica runs at its capacity; more below it.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> chip = SimpleNamespace(tdp_w=700.0, host_w=250.0, network_w=50.0)
    >>> print(residence_j_per_request(chip, 1.25, 8.0, 4.0, 20.0))   # 20 in flight that stay 4 s: 5 requests/s
    2000.0
    """
    return (chip.tdp_w + chip.host_w + chip.network_w) * pue * chips * residence_s / in_flight


def tokens_per_s_per_mw(provisioned_j_per_request, output_tokens):
    """Output tokens a second that a provisioned, all-in megawatt serves at capacity. [token/s/MW]

    Examples
    --------
    >>> print(tokens_per_s_per_mw(2000.0, 100.0))   # 20 J a token
    50000.0
    """
    return 1e6 * output_tokens / provisioned_j_per_request
