"""How a demand goes on: users who come, shares that drift, and when one path overtakes another.

Time is in years from the first month. All functions broadcast; paths are arrays of shape (months, ...).
"""

import numpy as np


def bass(years, innovation, imitation):
    """Share of those who will ever come that has come, `F(t) = (1 - e^-(p+q)t) / (1 + (q/p) e^-(p+q)t)`. [1]

    References
    ----------
    .. [1] Bass, "A new product growth for model consumer durables", Management Science 15, 1969.
    """
    gone = np.exp(-(innovation + imitation) * np.asarray(years, dtype=float))
    return (1 - gone) / (1 + imitation / innovation * gone)


def bass_age(share, innovation, imitation):
    """Years after which that share has come: the inverse of `bass`. [year]"""
    gone = (1 - share) / (1 + imitation / innovation * np.asarray(share, dtype=float))
    return -np.log(gone) / (innovation + imitation)


def bass_peak(innovation, imitation):
    """When most come in a year, `ln(q/p) / (p + q)`. [year]

    Examples
    --------
    >>> print(round(float(bass_peak(0.03, 0.38)), 2), round(float(bass_peak(0.0026167, 0.21566)), 2))   # mean of products; refrigerators
    6.19 20.21
    """
    return np.log(np.asarray(imitation, dtype=float) / innovation) / (innovation + imitation)


def logistic(years, share, growth_per_year):
    """A share that at first rises by `growth_per_year` of itself and ends at 1."""
    return 1 / (1 + (1 / np.asarray(share, dtype=float) - 1) * np.power(1 + growth_per_year, -np.asarray(years, dtype=float)))


def toward(years, start, end, half_years):
    """From start to end, half of the way that is left in each `half_years`."""
    return end + (start - end) * np.power(0.5, np.asarray(years, dtype=float) / half_years)


def rising(years, growth_per_year, fade_per_year=0.0):
    """Factor of a growth that itself fades: its logarithm loses the share `fade_per_year` of its rate each year.

    Examples
    --------
    >>> print(round(float(rising(2.0, 1.0)), 6), round(float(rising(1e4, 1.0, 0.5)), 3))   # for good, ln 2 / ln 2 years of it
    4.0 2.718
    """
    rate = -np.log1p(-np.minimum(fade_per_year, 1 - 1e-12))
    with np.errstate(invalid="ignore", divide="ignore"):
        span = np.where(rate > 0, -np.expm1(-rate * years) / rate, years)
    return np.power(1.0 + growth_per_year, span)


def window_sum(path, months):
    """Sum over each month and those before it, `months` in all; those before the first are as the first."""
    padded = np.concatenate([np.repeat(path[:1], int(months) - 1, axis=0), path])
    total = np.cumsum(np.concatenate([np.zeros_like(padded[:1]), padded]), axis=0)
    return total[int(months) :] - total[: -int(months)]


def crossing(inference, training):
    """Month, with its fraction, from which inference is above training: 0 from the start, NaN never in the horizon.

    Straight between months in the logarithm of the ratio, so that exponentials cross where `crossing_years` says. The
    first crossing counts, also where training is ahead again later.

    Examples
    --------
    >>> print(crossing(np.array([[1.0, 3.0, 1.0], [2.0, 3.0, 1.0], [4.0, 3.0, 1.0]]), 2.83 + np.zeros((3, 3))).round(2))
    [1.5 0.  nan]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.log(inference) - np.log(training)
    above = gap > 0
    first = np.argmax(above, axis=0)
    low, high = (np.take_along_axis(gap, np.maximum(first - k, 0)[None], axis=0)[0] for k in (1, 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        at = first - np.where(np.isfinite(low), high / (high - low), 0.0)
    return np.where(above.any(axis=0), np.where(first == 0, 0.0, at), np.nan)


def crossing_years(training_over_inference, inference_growth_per_year, training_growth_per_year):
    """When two exponentials meet, `ln(R0/I0) / (ln(1+gI) - ln(1+gR))`; NaN where they never do. [year]

    Examples
    --------
    >>> print(round(float(crossing_years(8.0, 3.0, 1.0)), 9))   # eight times behind, twice the pace
    3.0
    """
    pace = np.log1p(inference_growth_per_year) - np.log1p(training_growth_per_year)
    behind = np.log(np.asarray(training_over_inference, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(behind <= 0, 0.0, np.where(pace > 0, behind / pace, np.nan))
