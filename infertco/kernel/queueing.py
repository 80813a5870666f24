"""Waiting under random arrivals: one server, a pool of them, one replica whose speed falls with what runs on it.

    P(W > t) = P_w exp(-t / scale)      scale = (C_a^2 + C_s^2)/2 / (capacity - arrivals)      mean wait = P_w * scale

holds in all of them; what differs is P_w, the probability of waiting. It is exact for Poisson arrivals and exponential
service; the mean is exact for any service on one server (Pollaczek-Khinchine). The rest is the Allen-Cunneen
approximation. A saturated row has no steady state: its waits are NaN, its capacity stays. Left out: requests that give
up, priorities, queues per server (all wait in one line).
"""

from typing import NamedTuple

import numpy as np

CHUNK_STATES = 2**20  # states times rows worked on at once, 8 MiB a table: below that the calls cost more than the cache saves


class Wait(NamedTuple):
    """Waiting time of a request: none with 1 - `probability`, else exponential with mean `scale_s` (NaN: saturated)."""

    probability: np.ndarray
    scale_s: np.ndarray


class Replica(NamedTuple):
    """One replica under random arrivals. Where saturated: all places taken, and no finite line before them."""

    wait: Wait  # for room; `wait.probability` is that an arrival finds all places taken
    running: np.ndarray  # mean number
    waiting: np.ndarray  # mean number
    service_s: np.ndarray  # mean from getting a place to leaving it
    capacity_per_s: np.ndarray  # with all places taken
    utilization: np.ndarray  # arrivals over capacity; above 1 where saturated
    saturated: np.ndarray
    idle: np.ndarray  # share of time that nothing runs
    weights: np.ndarray  # (nodes, ...): share of the work done at each node, adds up to 1
    beside: np.ndarray  # (levels, ...): quantiles of the number running, over the work done


# ---------------------------------------------------------------- one line, one or many servers
def erlang_b(servers, offered):
    """Probability that all servers are busy where nobody waits.

    Notes
    -----
    `B_0 = 1, B_j = A B_{j-1} / (j + A B_{j-1})`: only sums of positive terms, so stable for 1e5 servers and more. Time
    grows with the largest number of servers.
    """
    servers, offered = np.broadcast_arrays(np.asarray(servers, dtype=float), np.asarray(offered, dtype=float))
    busy = np.ones(servers.shape)
    for n in range(1, int(np.max(servers, initial=0, where=np.isfinite(servers))) + 1):
        busy = np.where(n <= servers, offered * busy / (n + offered * busy), busy)
    return busy + 0 * servers


def _waits(busy, load):
    """Probability of waiting from that of loss, `C = B / (1 - rho (1 - B))`; 1 where saturated."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(load >= 1, 1.0, busy / (1 - load * (1 - busy)))


def erlang_c(servers, offered):
    """Probability of waiting in M/M/k; 1 where saturated.

    Parameters
    ----------
    servers : Number
        Whole.
    offered : Number
        Arrivals per second times seconds of service. [erlang]

    Examples
    --------
    >>> print(round(float(erlang_c(14, 10.0)), 4))
    0.1741
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        return _waits(erlang_b(servers, offered), np.asarray(offered, dtype=float) / servers)


def pool(arrivals_per_s, service_s, servers=1, arrival_cv=1.0, service_scv=1.0) -> Wait:
    """Wait of G/G/k, and so of M/M/1, M/D/1 (`service_scv=0`), M/G/1 and M/M/k.

    Parameters
    ----------
    arrivals_per_s : Number
        To all servers together. [1/s]
    service_s : Number
        Mean time one server spends on a request. [s]
    servers : Number
        Whole.
    arrival_cv : Number
        Coefficient of variation of the gaps between arrivals; 1 is Poisson.
    service_scv : Number
        Squared coefficient of variation of the service time; 0 is constant, 1 exponential.

    Notes
    -----
    `W = W(M/M/k) (C_a^2 + C_s^2)/2` [1]_. With one server and Poisson arrivals that is `A E[S^2] / (2 (1 - rho))`, exact [2]_.
    The tail is exact for M/M/k only: a constant service has a shorter one.

    References
    ----------
    .. [1] Allen, "Probability, Statistics, and Queueing Theory", 2nd ed. 1990, the Allen-Cunneen approximation.
    .. [2] Kleinrock, "Queueing Systems" vol. 1, 1975, section 5.6, the Pollaczek-Khinchine mean-value formula.

    Examples
    --------
    >>> print(round(0.2 + float(mean_wait_s(pool(3.0, 0.2, service_scv=0.0))), 3))   # prefill of 0.2 s, DistServe section 3.1
    0.35
    """
    spare = servers / np.asarray(service_s, dtype=float) - arrivals_per_s
    return _wait(erlang_c(servers, np.asarray(arrivals_per_s, dtype=float) * service_s), spare, arrival_cv, service_scv)


def _wait(probability, spare_per_s, arrival_cv, service_scv) -> Wait:
    with np.errstate(invalid="ignore", divide="ignore"):
        scale_s = np.where(spare_per_s > 0, (np.square(arrival_cv) + service_scv) / 2 / spare_per_s, np.nan)
    return Wait(probability + 0 * spare_per_s, scale_s)


def mean_wait_s(wait: Wait):
    """Mean over all requests, those that do not wait too. [s]"""
    return wait.probability * wait.scale_s


def wait_within(wait: Wait, within_s):
    """Share of requests that wait no longer than `within_s`: the service level."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return 1 - wait.probability * np.exp(-within_s / wait.scale_s)


def wait_quantile_s(wait: Wait, level):
    """Wait that a share `level` of requests does not exceed; 0 where as many do not wait at all. [s]"""
    with np.errstate(invalid="ignore", divide="ignore"):
        return wait.scale_s * np.log(np.maximum(wait.probability / (1 - np.asarray(level, dtype=float)), 1.0))


def either(one: Wait, other: Wait) -> Wait:
    """Two lines after another as one: probability that either holds a request up, and their mean waits added.

    The sum of two exponential waits is not one; its mean is kept, its tail falls a little too slowly.
    """
    probability = 1 - (1 - one.probability) * (1 - other.probability)
    mean_s = mean_wait_s(one) + mean_wait_s(other)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Wait(probability, np.where(probability > 0, mean_s / probability, one.scale_s))


# ---------------------------------------------------------------- one replica
def nodes(most, count=16):
    """Numbers running at which to ask for the service time: geometric from 1 to `most`, shape (count, ...).

    Examples
    --------
    >>> print(nodes(256.0, 5))
    [  1.   4.  16.  64. 256.]
    """
    most = np.asarray(most, dtype=float)
    return most ** np.linspace(0.0, 1.0, count).reshape(-1, *(1,) * most.ndim)


def replica(arrivals_per_s, running, service_s, arrival_cv=1.0, size_scv=1.0, levels=()) -> Replica:
    """Queue before a replica that runs up to a number of requests at once, each slower the more run.

    Parameters
    ----------
    arrivals_per_s : Number
        To this replica. [1/s]
    running : array (nodes, ...)
        Numbers running, rising; the first is 1, the last the most that run at once (whole). See `nodes`.
    service_s : array (nodes, ...)
        What a request would take from getting a place to its last token if that many ran all along; straight between. [s]
    arrival_cv : Number
        Coefficient of variation of the gaps between arrivals; 1 is Poisson.
    size_scv : Number
        Squared coefficient of variation of what requests ask for (tokens).
    levels : sequence of floats
        Quantiles wanted of the number running.

    Notes
    -----
    With n running, requests leave at `mu(n) = n / S(n)`, and at `mu(most)` while others wait; so
    `p_n = p_{n-1} arrivals / mu(n)`, a birth-death chain [1]_. It is exact for Poisson arrivals and exponential sizes. While
    places are free it is exact for any distribution of sizes: all that run share the speed alike, the generalized
    processor sharing of [2]_. With a line it is not [3]_: the probability of waiting stays that of exponential sizes, and
    `size_scv` corrects the wait as in `pool`.

    Bursts are an approximation: arrivals come at `arrivals/z + (1 - 1/z) mu(n)`, `z = (1 + C_a^2)/2`, the peakedness of a
    renewal stream in the limit of many places. With a constant S that is Bernoulli-Poisson-Pascal traffic [4]_; that it
    follows `mu(n)` where S is not constant keeps the mean rate, and `scale_s` then is that of `pool`. An arrival finds n
    with probability `p_n` times its rate there. Simulated at `arrival_cv` 2: the number running within 1 % for exponential
    sizes, 5 % too low for constant ones, 4 % too high for a scv of 4.

    The recursion is Erlang's with a service time that depends on the state: `b_n = r b_{n-1} / (1 + r b_{n-1})`, r the
    ratio of `p_n` to `p_{n-1}`, is the probability of n among at most n. Nothing overflows and no logarithm is needed. With
    a constant S it is `erlang_c`; with one place, M/M/1. A `mu` that falls with n is allowed: capacity is that with all
    places taken.

    `weights` are over the work done, that is over tokens: a token is made beside n with probability `mu(n) p_n / arrivals`,
    what an arrival finds and itself. Then `sum(weights * f)` is the mean over tokens of any f given at the nodes, and for
    f = S the time a request spends running, as Little's law wants. Weights `n p_n` are those of a live request's time: they
    count a slow state more because it lasts, and give a mean TPOT that is too long. They are `weights * S / service_s`; the
    mean of f over the clock is `idle f(0) + arrivals sum(weights * S f / n)`. TPOT at the quantiles `beside` is that of
    single tokens; of means over whole answers it is 1 to 3 % less (simulated, P95).

    References
    ----------
    .. [1] Kleinrock, "Queueing Systems" vol. 1, 1975, chapter 3.
    .. [2] Cohen, "The multiple phase service network with generalized processor sharing", Acta Informatica 12, 1979.
    .. [3] Avi-Itzhak and Halfin, "Expected response times in a non-symmetric time sharing queue with a limited number of
       service positions", ITC 12, 1988.
    .. [4] Glabowski, Stasiak and Weissenberg, "Properties of recurrent equations for the full-availability group with BPP
       traffic", doi:10.1155/2012/547909.

    Examples
    --------
    >>> one = replica(0.5, [1.0, 4.0], [1.0, 1.6])   # alone 1 s, four at once 1.6 s each
    >>> print(round(float(one.running), 3), one.capacity_per_s, round(float(one.wait.probability), 4))
    0.555 2.5 0.0052
    """
    rate, cv, scv = (np.asarray(x, dtype=float) for x in (arrivals_per_s, arrival_cv, size_scv))
    running, service_s = np.broadcast_arrays(np.asarray(running, dtype=float), np.asarray(service_s, dtype=float))
    shape = np.broadcast_shapes(rate.shape, cv.shape, scv.shape, running.shape[1:])
    running, service_s = (np.broadcast_to(_lift(x, len(shape)), (len(x), *shape)) for x in (running, service_s))
    rate, calm = np.broadcast_to(rate, shape), np.broadcast_to(2 / (1 + np.square(cv)), shape)
    most = np.where(running[-1] >= 1, running[-1], np.nan)  # no room, no queue
    capacity = most / service_s[-1]
    full, idle, weights, beside = _occupancy(rate, calm, running, service_s, levels)
    saturated = rate >= capacity
    wait = _wait(full, capacity - rate, cv, scv)
    mean_service_s = np.sum(weights * service_s, axis=0)
    taken = np.where(saturated, most, rate * mean_service_s)
    return Replica(wait, taken, rate * mean_wait_s(wait), mean_service_s, capacity, rate / capacity, saturated, idle, weights, beside)


def _lift(x, ndim):
    """(nodes, ...) with the rest brought to `ndim` axes."""
    return x.reshape(len(x), *(1,) * (ndim - x.ndim + 1), *x.shape[1:])


def _occupancy(rate, calm, running, service_s, levels):
    """(all places taken, nothing running, weights, quantiles); rows of like size together."""
    shape, count = rate.shape, len(running)
    rate, calm, running, service_s = rate.reshape(-1), calm.reshape(-1), running.reshape(count, -1), service_s.reshape(count, -1)
    sound = np.isfinite(rate + calm + np.sum(running + service_s, axis=0)) & (running[-1] >= 1)
    rows = np.flatnonzero(sound)
    rows = rows[np.argsort(-running[-1, rows], kind="stable")]  # so that those still in the recursion lie in front
    out = np.full((2 + count + len(levels), rate.size), np.nan)
    while rows.size:
        here, rows = np.split(rows, [max(int(CHUNK_STATES / running[-1, rows[0]]), 64)])
        out[:, here] = _chunk(rate[here], calm[here], running[:, here], service_s[:, here], levels)
    out = out.reshape(-1, *shape)
    return out[0], out[1], out[2 : 2 + count], out[2 + count :]


def _chunk(rate, calm, x, service_s, levels):
    most, capacity = np.floor(x[-1]), x[-1] / service_s[-1]
    top, row, bursty = int(most[0]), np.arange(rate.size), np.any(calm != 1)
    alive = np.searchsorted(-most, -np.arange(top + 2.0), side="right")  # rows with room for n
    gap = np.diff(x, axis=0)
    slope = np.divide(np.diff(service_s, axis=0), gap, out=np.zeros_like(gap), where=gap > 0)
    start, last = service_s[:-1] - slope * x[:-1], np.floor(x[1:])
    last[-1] = np.inf

    table = np.zeros((top + 1, rate.size))  # P(below n | at most n), then P(below n), then its sum as tokens see it
    piece, due = np.zeros(rate.size, dtype=int), 0.0
    b, ratio, arrive = np.ones(rate.size), np.empty(rate.size), rate * calm
    for n in range(1, top + 1):
        k = alive[n]
        if n > due:  # some row goes on to its next piece
            piece[:k] = np.sum(last[:, :k] < n, axis=0)
            here_start, here_slope, due = start[piece, row], slope[piece, row], np.min(last[piece[:k], row[:k]])
        r, here, stay = ratio[:k], b[:k], table[n, :k]
        np.multiply(here_slope[:k], n, out=r)
        r += here_start[:k]
        r *= 1 / n
        here *= arrive[:k]
        here *= r
        np.add(here, 1.0, out=stay)
        np.divide(1.0, stay, out=stay)
        here *= stay
        if bursty:
            arrive[:k] = np.maximum(rate[:k] * calm[:k] + (1 - calm[:k]) / r, 0.0)

    full = _waits(b, np.where(rate < capacity, arrive / capacity, 1.0))
    below = 1 - full
    for n in range(top - 1, 0, -1):
        below[: alive[n + 1]] *= table[n, : alive[n + 1]]
        table[n, : alive[n + 1]] = below[: alive[n + 1]]
    with np.errstate(invalid="ignore", divide="ignore"):
        waits = np.where((rate > 0) & (rate < capacity), np.minimum(full * arrive / rate, 1.0), full)

    beside, at_most = np.ones((len(levels), rate.size)), np.zeros(rate.size)
    for n in range(1, top):
        k = alive[n + 1]
        at_most = calm[:k] * table[n, :k] + (1 - calm[:k]) * at_most[:k] if bursty else table[n, :k]
        for level, place in zip(levels, beside, strict=True):
            place[:k] += at_most < level
        np.add(table[n - 1, :k], at_most, out=table[n, :k])

    # E[(x - K)^+] for K running beside a token is straight between whole numbers; its bends from node to node are the weights
    floor = np.floor(x).astype(int)
    excess = table[floor - 1, row] + (x - floor) * (table[floor, row] - table[floor - 1, row])
    climb = np.divide(np.diff(excess, axis=0), gap, out=np.zeros_like(gap), where=gap > 0)
    climb = np.maximum.accumulate(np.clip(climb, 0.0, 1.0), axis=0)
    weights = np.diff(climb, axis=0, prepend=0.0, append=1.0)
    return np.vstack([waits, below, weights, beside])


# ---------------------------------------------------------------- how many
def servers_for_wait(arrivals_per_s, service_s, wait_s, arrival_cv=1.0, service_scv=1.0):
    """Least number of servers with a mean wait of at most `wait_s`."""
    return _least(arrivals_per_s, service_s, arrival_cv, service_scv, np.asarray(wait_s) >= 0, lambda wait: mean_wait_s(wait) <= wait_s)


def servers_for_level(arrivals_per_s, service_s, within_s, level, arrival_cv=1.0, service_scv=1.0):
    """Least number of servers with which a share `level` of requests waits no longer than `within_s`.

    Examples
    --------
    >>> print(servers_for_level(10 / 180, 180.0, 20.0, 0.8))   # 80 % within 20 s
    14.0
    """
    sound = (np.asarray(level) <= 1) & (np.asarray(within_s) >= 0)
    return _least(arrivals_per_s, service_s, arrival_cv, service_scv, sound, lambda wait: wait_within(wait, within_s) >= level)


def _least(arrivals_per_s, service_s, arrival_cv, service_scv, sound, enough):
    """Adds servers until all rows have enough; NaN where none ever is."""
    offered = np.asarray(arrivals_per_s, dtype=float) * service_s
    looking = np.isfinite(offered + np.square(arrival_cv) + service_scv) & sound
    found, busy, n = np.full(looking.shape, np.nan), np.ones(offered.shape), 0
    while np.any(looking):
        n += 1
        busy = offered * busy / (n + offered * busy)
        if n <= np.min(offered, where=np.isfinite(offered), initial=np.inf):
            continue
        good = looking & enough(_wait(_waits(busy, offered / n), (n - offered) / service_s, arrival_cv, service_scv))
        found, looking = np.where(good, n, found), looking & ~good
    return found


def spares(needed, availability, target):
    """Least number of spares k with `P(Bin(needed + k, availability) >= needed) >= target`.

    Parameters
    ----------
    needed : Number
        Replicas that must work at the same time.
    availability : Number
        Share of time that one works; they fail independently.
    target : Number
        Probability that enough work, such as 0.999.

    Notes
    -----
    Enough of `needed + k` work when at most k fail before the `needed`-th that works: a sum of the negative binomial
    distribution, exact, one term for each spare.

    Examples
    --------
    >>> print(spares(8, 0.99, 0.999))   # with none 0.923, with one 0.997, with two 0.9999
    2.0
    """
    needed, availability, target = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (needed, availability, target)))
    looking = (needed >= 0) & np.isfinite(needed) & (availability > 0) & (availability <= 1) & (target < 1)
    found = np.full(needed.shape, np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        log_term = needed * np.log(availability)
        enough, k = np.exp(log_term), 0
        while np.any(looking):
            found = np.where(looking & (enough >= target), k, found)
            looking = looking & ~(enough >= target)
            k += 1
            log_term = log_term + np.log((needed + k - 1) / k * (1 - availability))
            enough = enough + np.exp(log_term)
            looking = looking & ((log_term > -40) | (k * availability < needed * (1 - availability)))  # the rest is below rounding
    return found
