"""The fleet behind a demand: a load that swings by the day and the week, the replicas at its peak, spares beside them.

    load(t) / mean = day(t) * (1 + a cos(2 pi t/24 h) + b cos(4 pi t/24 h))        peak at t = 0
    replicas       = ceil(demand * peak / what one replica takes within its limits)
    utilization    = demand / ((replicas + spares) * capacity of one)

Spares are capacity that is paid and not served: with them in the utilization, no availability is charged again. Left
out: growth, bursts within the hour (a replica's own queue, `arrival_requests_per_s`), sites in other time zones.
"""

from math import erfc
from typing import NamedTuple

import numpy as np

from . import reliability

WEEK_S = 7 * 86400.0
_erfc = np.vectorize(erfc, otypes=[float])


class Fleet(NamedTuple):
    """Replicas for the peak, spares beside them, and demand over what all of them could answer."""

    replicas: np.ndarray
    spares: np.ndarray
    utilization: np.ndarray


def size(demand_per_s, peak_over_mean, load_per_s, capacity_per_s, works, target, correlation=0.0) -> Fleet:
    """Replicas that carry the peak, and spares so that with probability `target` enough of them work.

    Parameters
    ----------
    demand_per_s : Number
        Mean over the week. [req/s]
    peak_over_mean : Number
        Busiest hour of the week over the mean hour.
    load_per_s : Number
        What one replica takes at the peak within its limits; at most its capacity. [req/s]
    capacity_per_s : Number
        Of one replica. [req/s]
    works : Number
        Availability of one replica.
    target, correlation : Number
        As in `reliability.spares`.

    Examples
    --------
    >>> print(*size(70.0, 1.4, 10.0, 10.0, 0.99, 0.999))   # 98 req/s on ten, two spares, 70 of 120 served
    10.0 2.0 0.5833333333333334
    """
    load_per_s = np.minimum(load_per_s, capacity_per_s)
    replicas = np.ceil(demand_per_s * peak_over_mean / load_per_s * (1 - 1e-12))  # 3 * 0.1 / 0.1 is three
    spare = reliability.spares(replicas, works, target, correlation)
    return Fleet(replicas, spare, demand_per_s / ((replicas + spare) * capacity_per_s))


def behind(c, chips, works, load_per_s, capacity_per_s, answer_s):
    """(Columns of the fleet behind a demand by name, its utilization).

    Parameters
    ----------
    c : columns
        Demand, peaks, target and correlation; rated power and PUE.
    chips, works, load_per_s, capacity_per_s : Number
        Of one replica, as in `size`.
    answer_s : Number
        From arrival to last token; requests in flight by Little's law. [s]
    """
    peak = c.diurnal_max_over_mean * c.workday_over_mean
    sized = size(c.demand_requests_per_s, peak, load_per_s, capacity_per_s, works, c.availability_target, c.failure_correlation)
    fleet_chips = (sized.replicas + sized.spares) * chips
    return dict(
        replicas=sized.replicas, spare_replicas=sized.spares, fleet_chips=fleet_chips,
        fleet_w=fleet_chips * (c.tdp_w + c.host_w + c.network_w) * c.pue, concurrent_requests=c.demand_requests_per_s * answer_s,
    ), sized.utilization  # fmt: skip


# ---------------------------------------------------------------- the load over a week
class Shape(NamedTuple):
    """Amplitudes of the day's two harmonics, and a working day over the mean day."""

    first: np.ndarray
    second: np.ndarray
    workday: np.ndarray


def shape(max_over_mean, max_over_min=np.nan, workday_over_mean=1.0) -> Shape:
    """The day whose busiest hour is `max_over_mean` and whose quietest one follows from `max_over_min`.

    Parameters
    ----------
    max_over_mean : Number
        1 to 3: two harmonics of a load that is never negative reach no further (Fejer).
    max_over_min : Number
        NaN: not known; then one harmonic, and from a peak of 2 on as much of the second as keeps the load from below 0.
    workday_over_mean : Number
        Five days of the week over the mean day; 1 to 1.4.

    Notes
    -----
    `1 + a + b = max`, `1 - a + b = min`. The peak is kept whatever the trough: where a trough so deep would need a second
    peak, the trough is less deep.

    Examples
    --------
    >>> print(*(round(float(x), 3) for x in shape(1.41, 2.11)))
    0.371 0.039 1.0
    """
    rise = np.asarray(max_over_mean, dtype=float) - 1
    with np.errstate(invalid="ignore"):
        touching = (2 * rise + 8 - np.sqrt(np.maximum((2 * rise + 8) ** 2 - 36 * rise**2, 0.0))) / 18
        unknown = np.where(rise <= 5 / 3, np.maximum((rise - 1) / 2, 0.0), touching)
        known = np.maximum((max_over_mean + max_over_mean / np.asarray(max_over_min, dtype=float)) / 2 - 1, -rise / 3)
        second = np.where(np.isnan(known), unknown, known)
    return Shape(rise - second, second, workday_over_mean + 0.0 * second)


def week(load: Shape, steps_per_hour=4):
    """Load over its mean at each step of a week, Monday's peak hour first; shape (steps, ...).

    Examples
    --------
    >>> hours = week(shape(1.5), 1)
    >>> print(hours.shape, hours[0], hours[12], round(hours.mean(), 9))
    (168,) 1.5 0.5 1.0
    """
    at = np.arange(168 * steps_per_hour) / (24 * steps_per_hour)
    at = at.reshape(-1, *(1,) * np.ndim(load.first))
    day = 1 + load.first * np.cos(2 * np.pi * at) + load.second * np.cos(4 * np.pi * at)
    return np.maximum(day, 0.0) * np.where((at + 0.5) % 7 < 5, load.workday, (7 - 5 * load.workday) / 2)


def ahead(load, steps):
    """The largest load from each step to `steps` later: what must stand ready where a new replica takes that long.

    Examples
    --------
    >>> print(ahead(np.array([1.0, 3.0, 2.0, 0.0]), 1))   # the week goes round
    [3. 3. 2. 1.]
    """
    most = load
    for i in range(1, min(int(steps), len(load) - 1) + 1):
        most = np.maximum(most, np.roll(load, -i, axis=0))
    return most


# ---------------------------------------------------------------- what is reserved, how much is pooled
class Mix(NamedTuple):
    """Replicas held all the time, mean number hired by the hour, and the cost in units of the price."""

    reserved: np.ndarray
    on_demand: np.ndarray
    cost: np.ndarray


def newsvendor(needed, reserved_price, on_demand_price) -> Mix:
    """How many to hold all the time where the rest is hired when needed: `P(needed > x) = reserved / on demand`.

    Parameters
    ----------
    needed : array (times, ...)
    reserved_price, on_demand_price : Number
        Of one, an hour. At the same price nothing but the least load is held.

    Examples
    --------
    >>> print(*newsvendor(np.array([1.0, 2.0, 3.0, 4.0]), 0.5, 1.0))   # more than 2 are needed half the time
    2.0 0.75 1.75
    """
    needed = np.sort(needed, axis=0)
    ratio = np.clip(np.asarray(reserved_price, dtype=float) / on_demand_price, 0.0, 1.0) + 0.0 * needed[0]
    at = np.ceil((1 - ratio) * len(needed) - 1e-9) - 1  # the least x with P(needed > x) <= ratio
    at = np.nan_to_num(np.clip(at, 0, len(needed) - 1)).astype(int)
    held = np.take_along_axis(needed, at[None], axis=0)[0] + 0.0 * ratio
    hired = np.mean(np.maximum(needed - held, 0.0), axis=0)
    return Mix(held, hired, held * reserved_price + hired * on_demand_price)


def square_root_servers(offered, waits):
    """Servers with which a share `waits` of requests waits, `A + beta sqrt(A)`: safety grows with the root of the load.

    Notes
    -----
    `waits = 1 / (1 + beta Phi(beta) / phi(beta))`, the limit of many servers [1]_; Erlang's own within one server.

    References
    ----------
    .. [1] Halfin and Whitt, "Heavy-traffic limits for queues with many exponential servers", Operations Research 29, 1981.

    Examples
    --------
    >>> print(round(float(square_root_servers(100.0, 0.2)), 1))   # Erlang C: 0.1998 with 111
    110.6
    """
    offered, waits = np.broadcast_arrays(np.asarray(offered, dtype=float), np.asarray(waits, dtype=float))
    low, high = np.zeros(waits.shape), np.full(waits.shape, 12.0)
    for _ in range(60):
        beta = (low + high) / 2
        within = 1 / (1 + beta * _erfc(-beta / np.sqrt(2)) / 2 / (np.exp(-(beta**2) / 2) / np.sqrt(2 * np.pi)))
        low, high = np.where(within > waits, beta, low), np.where(within > waits, high, beta)
    return offered + beta * np.sqrt(offered)
