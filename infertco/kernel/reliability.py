"""Reliability as economics: how often a replica fails, how many spares that asks for, what a failure and a spare cost.

    A = prod_i 1 / (1 + failures_i * repair_i)        a replica of parts that must all work
    k = least with P(enough of N + k work) >= target  independent, correlated, or failing a rack at a time

A part's failures are a Poisson process, its repairs independent; a replica is down while any part is. Left out: aging
(rates are constant), replicas that go on slower, planned maintenance (done where load is low, the spares stand in).
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from . import queueing
from .rows import some

YEAR_S = 8760 * 3600.0
MONTH_S = YEAR_S / 12
GROUP = 1024  # rows whose spares are counted together
MANY_DOWN = 1000.0  # more replicas down on average than this: Cornish-Fisher, right to the replica there


class Failures(NamedTuple):
    """How often a replica fails, and the share of time it works."""

    per_year: np.ndarray
    availability: np.ndarray


def availability(failures_per_year, repair_s):
    """Share of time that a part works: time between failures over itself and the repair.

    Examples
    --------
    >>> print(availability(8.76, 3.6e4))   # 1,000 h between failures, 10 h to repair: 100/101
    0.9900990099009901
    """
    return 1 / (1 + failures_per_year * repair_s / YEAR_S)


def replica(finance, chips) -> Failures:
    """Failures and availability of a replica of `chips` serial chips, each with its share of host and network.

    Parameters
    ----------
    finance : value
        `chip_, memory_, host_, network_failures_per_year` per chip, each repaired in `repair_time_s`;
        `software_failures_per_year`, each mended by a restart of `restart_time_s`.
    chips : Number
    """
    hardware = finance.chip_failures_per_year, finance.memory_failures_per_year, finance.host_failures_per_year, finance.network_failures_per_year
    works = availability(finance.software_failures_per_year, finance.restart_time_s)
    for rate in hardware:
        works = works * availability(rate, finance.repair_time_s)
    return Failures(chips * (sum(hardware) + finance.software_failures_per_year), works**chips)


def time_between_failures_s(failures_per_year, units=1.0):
    """Mean time to the first failure among units that must all work. [s]

    Examples
    --------
    >>> print(round(float(time_between_failures_s(6.5e-3 * 365, 2048)) / 3600, 2))   # Meta RSC-1: 6.5 per 1,000 node-days, 2,048 nodes
    1.8
    """
    return YEAR_S / (failures_per_year * units)


# ---------------------------------------------------------------- how many spares
def spares(needed, works, target, correlation=0.0):
    """Least number of spares with `P(at least needed of needed + k work) >= target`.

    Parameters
    ----------
    needed : Number
        Replicas that must work at the same time.
    works : Number
        Availability of one.
    target : Number
        Probability that enough work.
    correlation : Number
        Of two replicas' being down, 0 to below 1.

    Notes
    -----
    At 0 it is `queueing.spares`, exact; where more than a thousand replicas are down on average, the quantile of the same
    negative binomial distribution from its mean, variance and skewness. Above 0 the number that work is beta-binomial: all
    share an availability that is itself drawn from a beta distribution of mean `works` and `1 / (a + b + 1) = correlation`
    [1]_. Given it they are independent, so that the failures before the `needed`-th that works are beta negative binomial:
    one term for each spare. NaN where 1e5 spares are not enough: they fall to the shared cause too.

    References
    ----------
    .. [1] Skellam, "A probability distribution derived from the binomial distribution by regarding the probability of
       success as variable between the sets of trials", J. Royal Statistical Society B 10, 1948.

    Examples
    --------
    >>> print(spares(8, 0.99, 0.999), spares(8, 0.99, 0.999, 0.05))
    2.0 4.0
    """
    needed, works, target, correlation = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (needed, works, target, correlation)))
    down = needed * (1 - works) / works
    many = (down > MANY_DOWN) & (works > 0) & (target < 1)
    independent = _independent(np.where(many, np.nan, needed), works, target, down)
    if some(many):
        independent = np.where(many, _many_spares(down, works, target), independent)
    if not some(correlation > 0):
        return independent
    lumped = (correlation > 0) & (correlation < 1) & (works < 1) & ~np.isnan(independent)
    found = np.where(lumped, np.nan, independent)
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (share * (1 - correlation) / correlation for share in (works, 1 - works))
        log_term = np.where(lumped, _log_rising(a, needed) - _log_rising(a + b, needed), np.nan)
        enough, k, looking = np.exp(log_term), 0, lumped
        while np.any(looking) and k < 1e5:
            found = np.where(looking & (enough >= target), k, found)
            looking = looking & ~(enough >= target)
            k += 1
            log_term = log_term + np.log((needed + k - 1) / k * (b + k - 1) / (a + b + needed + k - 1))
            enough = enough + np.exp(log_term)
    return found


def _independent(needed, works, target, down):
    """`queueing.spares`, rows of like size together: each group ends when its own largest has enough."""
    if needed.size <= GROUP:
        return queueing.spares(needed, works, target)
    found, order = np.full(needed.size, np.nan), np.argsort(down, axis=None)
    for start in range(0, needed.size, GROUP):
        rows = order[start : start + GROUP]
        found[rows] = queueing.spares(needed.flat[rows], works.flat[rows], target.flat[rows])
    return found.reshape(needed.shape)


def _many_spares(down, works, target):
    """Quantile of the negative binomial distribution with the mean `down`, to the third moment."""
    level, at = np.unique(np.clip(target, 1e-12, 1 - 1e-12), return_inverse=True)
    z = np.array([NormalDist().inv_cdf(float(x)) for x in level])[at].reshape(np.shape(target))
    with np.errstate(invalid="ignore", divide="ignore"):
        sigma = np.sqrt(down / works)
        skew = (2 - works) / np.sqrt(down * works)
        return np.maximum(np.ceil(down + sigma * (z + skew * (z**2 - 1) / 6) - 0.5), 0.0)


def _log_rising(x, n):
    """Logarithm of `x (x + 1) ... (x + n - 1)`, by Stirling's series beyond the first 16 factors."""
    n = np.asarray(n, dtype=float)
    first = np.minimum(n, 16)
    total = sum(np.where(i < first, np.log(x + i), 0.0) for i in range(16))
    low, high = x + first, x + n
    stirling = lambda z: (z - 0.5) * np.log(z) - z + 1 / (12 * z) - 1 / (360 * z**3)  # noqa: E731
    return total + np.where(n > 16, stirling(high) - stirling(low), 0.0)


def enough_work(needed, spare, works, domain=1.0, domain_works=1.0):
    """P(at least `needed` of `needed + spare` work) where they also fall `domain` at a time, with their rack or site.

    Parameters
    ----------
    needed, spare, domain : float
        Replicas, replicas, and replicas that one rack or site holds.
    works, domain_works : float
        Availability of a replica by itself, and of a rack or site.

    Notes
    -----
    Exact for independent racks of independent replicas: the sum over the racks that stand, the last one perhaps not full.

    Examples
    --------
    >>> print(round(enough_work(8, 2, 0.99), 6), round(enough_work(8, 2, 0.99, 5, 0.999), 6))   # two racks of 5: losing one is too much
    0.999886 0.997887
    """
    total, needed = int(needed + spare), int(needed)
    racks, left = divmod(total, int(domain))
    found = 0.0
    for last, share in ((0, 1 - domain_works if left else 1.0), (left, domain_works if left else 0.0)):
        for standing, p in enumerate(_binomial(racks, domain_works)):
            replicas = standing * int(domain) + last
            found += share * p * float(np.sum(_binomial(replicas, works)[needed:]))
    return found


def _binomial(n, p):
    """Probabilities of 0 .. n successes, by sums of logarithms: no overflow."""
    if p >= 1:
        return np.eye(n + 1)[n]
    k = np.arange(1, n + 1)
    log_choose = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k))])
    return np.exp(log_choose + np.arange(n + 1) * np.log(p) + (n - np.arange(n + 1)) * np.log1p(-p))


def spares_by_domain(needed, works, target, domain, domain_works, most=1000):
    """Least number of spares where racks or sites fail too (`enough_work`); NaN where `most` are not enough."""
    return next((float(k) for k in range(most + 1) if enough_work(needed, k, works, domain, domain_works) >= target), np.nan)


def stock(failures_per_year, lead_s, fill):
    """Least stock of a part with `P(failures while an order is under way <= stock) >= fill`, failures being Poisson.

    Parameters
    ----------
    failures_per_year : Number
        Of the whole fleet, those that need the part.
    lead_s : Number
        From order to delivery. [s]
    fill : Number
        Share of orders, such as 0.95.

    Examples
    --------
    >>> print(stock(120.0, 30 * 86400, 0.95))   # 9.9 expected in a month
    15.0
    """
    mean, fill = np.broadcast_arrays(np.asarray(failures_per_year * lead_s / YEAR_S, dtype=float), np.asarray(fill, dtype=float))
    looking, found, k = np.isfinite(mean) & (fill < 1), np.full(mean.shape, np.nan), 0
    with np.errstate(divide="ignore", invalid="ignore"):
        log_term, enough = -mean, np.exp(-mean)
        while np.any(looking):
            found = np.where(looking & (enough >= fill), k, found)
            looking = looking & ~(enough >= fill)
            k += 1
            log_term = log_term + np.log(mean / k)
            enough = enough + np.exp(log_term)
            looking = looking & ((log_term > -40) | (k < mean))  # the rest is below rounding
    return found


# ---------------------------------------------------------------- what it costs
def serving_failure_usd(in_flight, prompt_s, chips, usd_per_chip_hour):
    """Cost of one failed replica: its requests in flight are read anew, prompt and what was written, on another. [USD]

    Parameters
    ----------
    in_flight : Number
        Requests of the replica.
    prompt_s : Number
        Reading one of them anew, its answer half written on average. [s]
    chips : Number
        Of a replica.
    usd_per_chip_hour : Number
    """
    return in_flight * prompt_s * chips * usd_per_chip_hour / 3600


def training_failure_usd(chips, interval_s, restart_s, usd_per_chip_hour):
    """Cost of one failure to a training job: half a checkpoint interval done again and a restart, on all its chips. [USD]

    Examples
    --------
    >>> print(training_failure_usd(16384, 2400.0, 300.0, 2.16))   # 1,500 s of 16,384 chips
    14745.6
    """
    return chips * (interval_s / 2 + restart_s) * usd_per_chip_hour / 3600


def outage_exceeds(down_share, outage_s, within_s, period_s=MONTH_S):
    """P(the service is down for more than `within_s` of a period).

    Parameters
    ----------
    down_share : Number
        Share of time that too few replicas work.
    outage_s : Number
        Mean length of one outage. [s]

    Notes
    -----
    Outages are taken as a Poisson process with exponential lengths: with n of them,
    `P(sum > t) = P(Poisson(t / outage) < n)`. Right where the share is small, as it is wherever a service is sold.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, length = down_share * period_s / outage_s + 0.0 * within_s, within_s / outage_s + 0.0 * down_share
        last = int(np.nanmax(mean + 12 * np.sqrt(mean) + 40, initial=40))
        count, arrivals = np.exp(-mean), np.exp(-length)
        total, fewer = np.zeros(np.shape(mean)), np.zeros(np.shape(mean))
        for n in range(1, last + 1):
            fewer = fewer + arrivals  # P(Poisson(length) < n)
            arrivals, count = arrivals * length / n, count * mean / n
            total = total + count * fewer
    return np.minimum(total, 1.0)


def credit_share(down_share, outage_s, levels, credits):
    """Expected share of a month's bill that goes back to the customer.

    Parameters
    ----------
    down_share, outage_s : Number
        As in `outage_exceeds`.
    levels : sequence, falling
        Monthly availability below which the credit of the same place is due.
    credits : sequence, rising
        Shares of the bill.
    """
    total, before = 0.0, 0.0
    for level, credit in zip(levels, credits, strict=True):
        total = total + (credit - before) * outage_exceeds(down_share, outage_s, (1 - level) * MONTH_S)
        before = credit
    return total


def short_share(needed, works, most):
    """Share of time that fewer than `needed` work, with 0 .. `most` spares; shape (most + 1,)."""
    k = np.arange(1, most + 1)
    log_term = np.concatenate([[needed * np.log(works)], np.log((needed + k - 1) / k * (1 - works))])
    return np.maximum(1 - np.cumsum(np.exp(np.cumsum(log_term))), 0.0)


def paying_spares(needed, works, spare_usd, down_usd, outage_s, bill_usd=0.0, levels=(), credits=(), most=64):
    """(k where one more spare stops paying, cost of a month by k): the spares, the margin lost, the credits. [1], [USD]

    Parameters
    ----------
    needed, works : float
        Replicas that must work, and the availability of one.
    spare_usd : float
        Of one spare, a month. [USD]
    down_usd : float
        Margin lost in a month that is all outage; with one replica too few, that of one replica. [USD]
    outage_s : float
        Repair of a replica; an outage with k spares ends with the first repair of k + 1. [s]
    bill_usd, levels, credits
        Revenue of a month, and the bands of `credit_share`.

    Examples
    --------
    >>> best, cost = paying_spares(8, 0.99, 1000.0, 30000.0, 86400.0)   # a spare for 1,000 against 7.7 %, 0.34 % of 30,000
    >>> print(best, [round(float(x)) for x in cost[:3]])
    1 [2318, 1103, 2003]
    """
    k = np.arange(most + 1.0)
    short = short_share(needed, works, most)
    cost = k * spare_usd + short * down_usd + bill_usd * credit_share(short, outage_s / (k + 1), levels, credits)
    return int(np.argmin(cost)), cost
