"""What a caller gave: numbers within their ranges, choices among their words, and the name that was meant."""

from collections.abc import Iterable
from difflib import SequenceMatcher

import numpy as np

from infertco.values import FIELDS, WHOLE


def nearest(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the most similar of `known`, beginnings counted as well, or `.` if none is similar."""
    word = word.lower()
    score = {k: max(SequenceMatcher(None, word, k.lower()[:n]).ratio() for n in (None, len(word))) for k in known}
    best = max(score, key=score.get, default="")
    return f"; did you mean '{best}'?" if word and score.get(best, 0) >= 0.6 else "."


def unknown(what: str, word: str, known: Iterable[str]) -> str:
    """`unknown kind 'gpuu'; did you mean 'gpu'? Known: gpu, tpu, ...`"""
    known = tuple(known)
    return f"unknown {what} '{word}'{nearest(word, known)} Known: {', '.join(known)}"


def check_numbers(name: str, given, nan_is_none: bool, fields=FIELDS, whole=WHOLE) -> np.ndarray:
    """`given` as floats, within the field's allowed range; NaN passes only where it means "not named".

    `fields` holds the field's metadata, `whole` the names that take whole numbers only.

    Raises
    ------
    ValueError
        Naming the field, the first bad value, and what is allowed.
    """
    try:
        numbers = np.asarray(given, dtype=float)
    except (TypeError, ValueError):
        bad = next((x for x in np.ravel(np.asarray(given, dtype=object)) if not _is_number(x)), given)
        raise ValueError(f"{name} must be a number, got {bad!r}") from None
    meta = fields[name].metadata
    low, high = meta["allowed"]
    if numbers.size and low <= numbers.min() and numbers.max() <= min(high, 1e300) and not (meta["above"] and numbers.min() == low) and name not in whole:
        return numbers  # the usual case: none of the tests below would find anything
    bad = np.isinf(numbers) | (numbers < low) | (numbers > high)
    if meta["above"]:
        bad |= numbers == low
    if not nan_is_none:
        bad |= np.isnan(numbers)
    if name in whole:
        bad |= np.isfinite(numbers) & (numbers != np.floor(numbers))
    if bad.any():
        value = numbers[bad].flat[0]
        kind = "a whole number " if name in whole else ""
        least = f"above {low:g}" if meta["above"] else f"at least {low:g}"
        most = "finite" if high == np.inf else f"at most {high:g}"
        raise ValueError(f"{name} must be {kind}{least} and {most}, got {value:g}")
    return numbers


def _is_number(x) -> bool:
    try:
        float(x)
    except (TypeError, ValueError):
        return False
    return True
