"""Chips by vintage and tier: how a stock goes on from one period to the next, and how much to hold of what comes late.

    stock' = stock + bought - retired - moved out + moved in

`step` is plain arithmetic over the first axes, so it takes numbers, Monte-Carlo draws on further axes, and the rows of
coefficients of a linear programme alike.
"""

import numpy as np


def step(stock, bought=0.0, moved=None, retired=0.0):
    """The stock of the next period.

    Parameters
    ----------
    stock, bought, retired : array (vintages, tiers, ...)
    moved : array (vintages, tiers from, tiers to, ...), optional
        The diagonal stays where it is.

    Returns
    -------
    array (vintages, tiers, ...)

    Examples
    --------
    >>> stock, moved = np.array([[8.0, 2.0]]), np.zeros((1, 2, 2))
    >>> moved[0, 0, 1] = 3.0   # three of the upper tier move down
    >>> print(step(stock, bought=np.array([[1.0, 0.0]]), moved=moved, retired=np.array([[0.0, 4.0]])))
    [[6. 1.]]
    """
    after = np.asarray(stock) + bought - retired
    return after if moved is None else after - np.sum(moved, axis=2) + np.sum(moved, axis=1)


def held(needed, cost, resale, shortage):
    """How much to hold of what can only be had in advance: the quantile `(shortage - cost) / (shortage - resale)` of the need.

    Parameters
    ----------
    needed : array (draws, ...)
    cost, resale, shortage : Number
        Of one: to hold it, what it still fetches if it is not needed, what it costs to lack it. resale < cost < shortage.

    Returns
    -------
    (held, expected cost beyond a need known in advance, critical ratio)

    Notes
    -----
    The newsvendor. With a resale as high as the cost nothing is risked and the largest need is held.

    Examples
    --------
    >>> print(*(round(float(x), 3) for x in held(np.arange(1.0, 101.0), 1.0, 0.5, 2.0)))   # two thirds of the time enough
    67.0 16.665 0.667
    """
    needed = np.sort(np.asarray(needed, dtype=float), axis=0)
    ratio = np.clip((shortage - cost) / np.maximum(shortage - resale, 1e-300), 0.0, 1.0) + 0.0 * needed[0]
    at = np.clip(np.ceil(ratio * len(needed) - 1e-9) - 1, 0, len(needed) - 1).astype(int)
    amount = np.take_along_axis(needed, at[None], axis=0)[0]
    idle, short = np.maximum(amount - needed, 0.0).mean(axis=0), np.maximum(needed - amount, 0.0).mean(axis=0)
    return amount, idle * (cost - resale) + short * (shortage - cost), ratio
