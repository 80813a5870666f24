"""How many replicas a load of requests asks for, as rows of the programme, and what its relaxation is tightened by.

The curve is `A + beta sqrt(A / places)` replicas for a load of A of them, so that `wait_share` of the requests find all
places taken (Halfin and Whitt), and the replicas that are down, with their deviation, so that with the target's
probability enough work. Both fall with the size of a pool; work that can wait needs the second only.

In the programme the curve is the lowest of LINES tangents, one of them chosen: economies of scale are concave, and a
relaxation fills pools in small parts at the price of large ones. `tighten` gives the rows that stop it:

    share of a class in a pool <= pool in use                                    each class [1]_
    replicas >= sum_d (f(L_1 + .. + L_d) - f(L_1 + .. + L_d-1)) share_d          f: the curve; classes by falling share [2]_

The second is the convex envelope of f of the load over all shares, exact where classes are not divided; no plan breaks it.

.. [1] Nemhauser and Wolsey, "Integer and Combinatorial Optimization" (1988), II.1.
.. [2] Atamturk and Narayanan, "Polymatroids and mean-risk minimization in discrete optimization" (2008), of Edmonds (1970).
"""

from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse

from infertco.kernel import reliability
from infertco.kernel.fleet import square_root_servers
from infertco.studies.programme import Rows

LINES = 3
USED, BROKEN = 1e-6, 1e-4  # share above which a pool is in use; by how much a row is broken


class Staffing(NamedTuple):
    """The curves: tangents (pools, LINES), the load of each route and period, which shares make up a class in a pool."""

    constant: np.ndarray
    slope: np.ndarray
    q: np.ndarray  # pool of each route
    part: np.ndarray  # of each route: its class in its pool, which it shares with other ways of having the replicas
    load: np.ndarray  # (parts, periods): were all of the class served there
    pool: np.ndarray  # of each part
    least: np.ndarray  # replicas of a pool in use
    works: np.ndarray  # availability of a replica of each pool

    def route_load(self):
        """Load of each route and period, were all of its class served so."""
        return self.load[self.part]

    def curve(self, q, load):
        """Replicas of pool q for loads."""
        return np.where(load > 1e-12, np.min(self.constant[q] + self.slope[q] * np.asarray(load)[..., None], axis=-1), 0.0)


def staffed(load, places, waits, works, target, waiting):
    """Replicas that a load of so many full replicas asks for: those that answer it, those that wait for it, those down.

    Parameters
    ----------
    load, places : Number
        Full replicas' worth of peak load; requests in flight on one.
    waits : float
        Share of requests that find all places taken.
    works, target : Number
        Availability of a replica; probability that enough work.
    waiting : bool array
        Work that can wait: no room for random arrivals.
    """
    needed = np.where(waiting, load, square_root_servers(load * places, waits) / places)
    down = needed * (1 - works) / works
    z = np.maximum(NormalDist().inv_cdf(target), 0.0)
    skew = (2 - works) / works * np.maximum(z**2 - 1, 0.0) / 6  # of the negative binomial distribution, as in kernel.reliability
    return needed + down + z * np.sqrt(down / works) + np.where(works < 1, np.maximum(skew - 0.5, 0.0), 0.0)


def lines(most, places, waits, works, target, waiting):
    """(constant, slope) of the tangents, shape (pools, LINES): the curve is concave and they lie above it."""
    touch = most[:, None] * np.array([0.05, 0.3, 1.0])
    args = places[:, None], waits, works[:, None], target, waiting[:, None]
    step = 1e-4 * touch
    slope = (staffed(touch + step, *args) - staffed(touch - step, *args)) / (2 * step)
    return staffed(touch, *args) - slope * touch, slope


def staffing(prog, at, plan, target, pools, routes, load) -> Staffing:
    """Load of each pool on one of the tangents of its curve, and whole replicas above it.

    Replicas bought and rented stand in one pool `q`; each way `p` of having them carries no more than it has replicas.
    """
    p, q = routes["p"].to_numpy(int), pools["q"].to_numpy(int)
    part, kinds = pd.factorize(pd.MultiIndex.from_arrays([routes["d"], q[p]]))
    first = np.unique(part, return_index=True)[1]
    of_part, pool = load[first], q[p][first]
    P, Q, T = len(pools), len(np.unique(q)), load.shape[1]
    most = np.full((Q, T), 1e-9)
    np.add.at(most, pool, of_part)
    one = pools.groupby("q").first()
    works = one["works"].to_numpy(float) ** one["chips_per_replica"].to_numpy(float)
    places, waiting = pools.groupby("q")["places"].min().to_numpy(float), one["waiting"].to_numpy(bool)
    a, b = lines(most.max(axis=1), places, plan.wait_share, works, target, waiting)
    rise, fall = a[:, 1:] - a[:, :-1], b[:, :-1] - b[:, 1:]
    cross = np.where(fall > 0, rise / np.where(fall > 0, fall, 1.0), np.inf)  # beyond it the next line is lower: no line is used past its end
    ends = np.column_stack([np.maximum(cross, 1e-9), np.full(Q, np.inf)])
    at["w"] = prog.variables("load", (Q, T, LINES))
    at["z"] = prog.variables("line", (Q, T, LINES), upper=1.0, whole=True)
    i, s = np.indices((Q, LINES))
    least = plan.least_replicas + np.broadcast_to(reliability.spares(plan.least_replicas, works, target), Q)
    several = np.flatnonzero(np.bincount(q, minlength=Q)[q] > 1)
    row = np.full(P, -1)
    row[several] = np.arange(len(several))
    of = row[p] >= 0
    for t in range(T):
        x, w, z, n = at["x"][:, t], at["w"][:, t], at["z"][:, t], at["n"][:, t]
        prog.rows(Q, [(q[p], x, load[:, t]), (i, w, -1.0)], 0.0, 0.0, "load", t)
        prog.rows(Q * LINES, [(i * LINES + s, w, 1.0), (i * LINES + s, z, -np.minimum(ends, most[:, t, None]))], high=0.0, group="line", period=t)
        prog.rows(Q, [(q, n, 1.0), (i, z, -a), (i, w, -b)], 0.0, group="staffing", period=t)
        prog.rows(len(several), [(row[p[of]], x[of], load[of, t]), (row[several], n[several], -1.0)], high=0.0, group="share of a way", period=t)
        prog.rows(Q, [(i, z, 1.0)], high=1.0, group="one line", period=t)
        prog.rows(Q, [(q, n, 1.0), (i, z, -least[:, None])], 0.0, group="smallest pool", period=t)
    return Staffing(a, b, q[p], part, of_part, pool, least, works)


def tighten(built):
    """The function of `Programme.solve` that gives the rows an answer breaks."""
    staff, at = built.staff, built.at
    parts, T = staff.load.shape
    routes = np.split(np.argsort(staff.part, kind="stable"), np.cumsum(np.bincount(staff.part, minlength=parts))[:-1])
    pools = np.split(np.argsort(staff.pool, kind="stable"), np.cumsum(np.bincount(staff.pool, minlength=len(staff.constant)))[:-1])
    ways = [np.flatnonzero(built.pools["q"].to_numpy() == q) for q in range(len(pools))]

    def broken(x, whole) -> Rows | None:
        share = np.zeros((parts, T))
        np.add.at(share, staff.part, x[at["x"]])
        used, replicas = x[at["z"]].sum(axis=2), np.zeros((len(pools), T))
        np.add.at(replicas, built.pools["q"].to_numpy(), x[at["n"]])
        found = []
        for e, t in np.argwhere(share - used[staff.pool] > BROKEN):
            columns = np.r_[at["z"][staff.pool[e], t], at["x"][routes[e], t]]
            found.append((columns, np.r_[np.ones(LINES), -np.ones(len(routes[e]))], 0.0))
        for q, members in enumerate(pools):
            for t in np.flatnonzero(share[members].max(axis=0) > USED):
                order = members[np.argsort(-share[members, t], kind="stable")]
                rise = np.diff(staff.curve(q, np.cumsum(staff.load[order, t])), prepend=0.0)
                if rise @ share[order, t] > replicas[q, t] + BROKEN * max(1.0, replicas[q, t]):
                    columns = np.concatenate([at["n"][ways[q], t], *(at["x"][routes[e], t] for e in order)])
                    found.append((columns, np.r_[np.ones(len(ways[q])), -np.repeat(rise, [len(routes[e]) for e in order])], 0.0))
                most = order[share[order, t] > 0.5]
                need = float(staff.curve(q, staff.load[most, t].sum()))
                over = need - np.floor(need)
                if whole and len(most) and 0.02 < over < 0.999:
                    rise = np.diff(staff.curve(q, np.cumsum(staff.load[most, t])), prepend=0.0) / over
                    if np.ceil(need) - replicas[q, t] - rise @ (1 - share[most, t]) > 1e-3:
                        columns = np.concatenate([at["n"][ways[q], t], *(at["x"][routes[e], t] for e in most)])
                        found.append((columns, np.r_[np.ones(len(ways[q])), -np.repeat(rise, [len(routes[e]) for e in most])], np.ceil(need) - rise.sum()))
        if not found:
            return None
        low = np.array([x for *_, x in found])
        columns, coefficients = (np.concatenate(x) for x in list(zip(*found, strict=True))[:2])
        starts = np.r_[0, np.cumsum([len(c) for c, *_ in found])]
        return Rows(sparse.csr_array((coefficients, columns, starts), shape=(len(found), built.programme.n)), low)

    return broken


def narrow(built):
    """The function of `Programme.solve` that gives the parts searched first, of the pools that the relaxation uses.

    Their replicas rounded up, which leaves shares and purchases to be found; the line of each that its load is on; any line.
    """
    staff, at, q = built.staff, built.at, built.pools["q"].to_numpy(int)

    def parts(x):
        load, used = x[at["w"]].sum(axis=2), x[at["z"]].sum(axis=2) > USED
        reached = staff.constant[:, None] + staff.slope[:, None] * load[..., None]
        line, need = np.argmin(reached, axis=2), np.maximum(np.ceil(reached.min(axis=2) - 1e-6), np.ceil(staff.least)[:, None]) * used
        ways = x[at["n"]]
        largest = pd.DataFrame(ways).groupby(q).transform("max").to_numpy() <= ways
        first = largest & (pd.DataFrame(largest).groupby(q).cumsum().to_numpy() == 1)
        whole = np.ceil(ways - 1e-6)
        have = np.zeros(need.shape)
        np.add.at(have, q, whole)
        whole += first * np.maximum(need - have, 0.0)[q]
        _, least, most, *_ = built.programme.arrays()
        for lines, replicas in ((np.eye(LINES)[line], whole), (np.eye(LINES)[line], None), (np.ones((*line.shape, LINES)), None)):
            upper = most.copy()
            upper[at["z"]] = lines * used[..., None]
            upper[at["x"]] = np.where(used[staff.q], upper[at["x"]], 0.0)
            if replicas is not None:
                upper[at["n"]] = replicas
            yield least, upper

    return parts
