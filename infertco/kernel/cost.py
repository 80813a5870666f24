"""Capital, power and building to dollars per chip-hour; dollars and joules per token and request.

    $/chip-hour = (capital + building + electricity + operations) / availability      a chip slot, per calendar hour
    $/Mtok      = 1e6 * $/chip-hour * chips / (3600 * output tokens/s * utilization)

Three ownerships: `owned` (hardware bought, own building), `colo` (hardware bought, rent per kW), `cloud` (hourly price;
only egress is added). They are never mixed in a sum. Real dollars. Left out: tax shield, water, demand charges.
"""

from typing import NamedTuple

import numpy as np

from .rows import some

HOURS = 8760.0  # a year
EGRESS_BYTES_PER_TOKEN = 5.0  # text; about 4 characters a token, with framing


class Hourly(NamedTuple):
    """Dollars per chip-hour by component; they add up to the whole."""

    accelerator: np.ndarray
    host: np.ndarray
    network: np.ndarray
    facility: np.ndarray
    electricity: np.ndarray
    operations: np.ndarray
    rent: np.ndarray


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


def hourly_usd(chip, site, finance, owned, cloud, cloud_usd_per_hour, mean_w, output_tokens_per_s_per_chip):
    """Cost of one chip slot per calendar hour, by component. [USD/h]

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
    `CRF(r, n) * price * (1 - residual (1 + r)^-n)` for chip, host and network [1]_; the building per provisioned watt
    by its own life, or the rent per kW; electricity by the modeled draw with PUE once.

    References
    ----------
    .. [1] Barroso, Clidaras, Hoelzle, "The Datacenter as a Computer", chapter on total cost of ownership.
    """
    per_hour = 1.0 / (HOURS * finance.availability)
    rate, life = finance.cost_of_capital, finance.chip_life_years
    recovery = capital_usd_per_year(1.0, finance.residual_share, rate, life) * per_hour
    host_usd = chip.host_usd + finance.other_usd_per_chip
    rated_w = chip.tdp_w + chip.host_w + chip.network_w
    colo = site.colo_usd_per_kw_month * 12 * rated_w / 1e3
    building = (annuity_factor(rate, finance.facility_life_years) + finance.facility_maintenance_share) * (
        site.facility_usd_per_w * rated_w
    )
    facility = (np.where(owned, building, colo) if some(owned) else colo) * per_hour
    electricity = mean_w * site.pue / 1e3 * site.usd_per_kwh / finance.availability
    hardware_usd = chip.chip_usd + host_usd + chip.network_usd
    operations = (
        (finance.maintenance_share + finance.insurance_share) * hardware_usd
        + finance.staff_usd_per_kw_year * rated_w / 1e3
        + finance.software_usd_per_chip_year
    ) * per_hour
    egress = 3600 * output_tokens_per_s_per_chip * EGRESS_BYTES_PER_TOKEN / 1e9 * site.usd_per_gb_egress
    own = (chip.chip_usd * recovery, host_usd * recovery, chip.network_usd * recovery, facility, electricity, operations)
    if not some(cloud):
        return Hourly(*own, rent=0.0)
    return Hourly(*(np.where(cloud, 0.0, part) for part in own), rent=np.where(cloud, cloud_usd_per_hour + egress, 0.0))


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

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> chip = SimpleNamespace(tdp_w=700.0, host_w=250.0, network_w=50.0)
    >>> print(provisioned_j_per_request(chip, 1.25, 8.0, 5.0))   # 10 kW for 5 requests/s
    2000.0
    """
    return (chip.tdp_w + chip.host_w + chip.network_w) * pue * chips / capacity_requests_per_s
