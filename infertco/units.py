"""Unit words of the data files to base units, and numbers to text.

Inside the package everything is in base units (s, byte, flop, w, usd, token; money per hour, month or year).
Prefixes exist only in the `unit` columns of `data/` and on paper. GB is 1e9 bytes; GiB must be spelled so.
"""

WORDS = {  # unit word: (factor, base unit)
    "1": (1.0, "1"), "count": (1.0, "1"), "ratio": (1.0, "1"), "fraction": (1.0, "1"), "%": (0.01, "1"),
    "bit": (1.0, "bit"), "token": (1.0, "token"),
    "byte": (1.0, "byte"), "kB": (1e3, "byte"), "MB": (1e6, "byte"), "GB": (1e9, "byte"), "TB": (1e12, "byte"),
    "KiB": (2.0**10, "byte"), "MiB": (2.0**20, "byte"), "GiB": (2.0**30, "byte"), "TiB": (2.0**40, "byte"),
    "byte/s": (1.0, "byte/s"), "MB/s": (1e6, "byte/s"), "GB/s": (1e9, "byte/s"), "TB/s": (1e12, "byte/s"),
    "Gbit/s": (1.25e8, "byte/s"), "Tbit/s": (1.25e11, "byte/s"),
    "FLOP/s": (1.0, "FLOP/s"), "GFLOP/s": (1e9, "FLOP/s"), "TFLOP/s": (1e12, "FLOP/s"), "PFLOP/s": (1e15, "FLOP/s"),
    "TOP/s": (1e12, "FLOP/s"), "FLOP": (1.0, "FLOP"),
    "s": (1.0, "s"), "ms": (1e-3, "s"), "us": (1e-6, "s"), "min": (60.0, "s"), "h": (3600.0, "s"),
    "year": (1.0, "year"), "month": (1 / 12, "year"),
    "1/year": (1.0, "1/year"), "%/year": (0.01, "1/year"),
    "W": (1.0, "W"), "kW": (1e3, "W"), "MW": (1e6, "W"), "GW": (1e9, "W"),
    "J": (1.0, "J"), "Wh": (3600.0, "J"), "kWh": (3.6e6, "J"), "TWh": (3.6e15, "J"),
    "USD": (1.0, "USD"), "kUSD": (1e3, "USD"), "MUSD": (1e6, "USD"), "BUSD": (1e9, "USD"),
    "USD/h": (1.0, "USD/h"), "USD/kWh": (1.0, "USD/kWh"), "USD/MWh": (1e-3, "USD/kWh"),
    "USD/W": (1.0, "USD/W"), "USD/kW": (1e-3, "USD/W"), "USD/MW": (1e-6, "USD/W"), "USD/GW": (1e-9, "USD/W"),
    "USD/kW-month": (1.0, "USD/kW-month"), "USD/kW-year": (1.0, "USD/kW-year"),
    "USD/GB": (1.0, "USD/GB"), "USD/Mtok": (1.0, "USD/Mtok"), "USD/year": (1.0, "USD/year"),
    "g/kWh": (1.0, "g/kWh"), "kg": (1e3, "g"), "g": (1.0, "g"),
    "req/s": (1.0, "req/s"), "token/s": (1.0, "token/s"), "km": (1.0, "km"), "deg": (1.0, "deg"),
    "token/month": (1.0, "token/month"), "request/day": (1.0, "request/day"),
    "token/min": (43830.0, "token/month"), "token/day": (30.4375, "token/month"), "token/quarter": (1 / 3, "token/month"),
    "USD/day": (365.25, "USD/year"), "BUSD/year": (1e9, "USD/year"), "Gbit": (1.25e8, "byte"),
}


def to_base(value: float, word: str) -> tuple[float, str]:
    """A value in the unit `word` as (value in its base unit, base unit).

    Raises
    ------
    ValueError
        If `word` is no unit of this package.
    """
    if word not in WORDS:
        raise ValueError(f"unknown unit '{word}'; known: {', '.join(WORDS)}")
    factor, base = WORDS[word]
    return float(value) * factor, base


# Numbers to text. Every number drawn, printed or put beside a slider passes here.

NBSP, MINUS, MISSING = "\u00a0", "\u2212", "n/a"
PREFIXES = {  # base unit: (size, word) on paper, largest first; kW and kJ only from ten of them on
    "1": ((1e12, "tn"), (1e9, "bn"), (1e6, "m"), (1.0, "1")),
    "byte": ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "byte")),
    "byte/s": ((1e12, "TB/s"), (1e9, "GB/s"), (1e6, "MB/s"), (1.0, "byte/s")),
    "FLOP": ((1e21, "ZFLOP"), (1e18, "EFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP"), (1.0, "FLOP")),
    "FLOP/s": ((1e21, "ZFLOP/s"), (1e18, "EFLOP/s"), (1e12, "TFLOP/s"), (1e9, "GFLOP/s"), (1.0, "FLOP/s")),
    "s": ((86400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs")),
    "W": ((1e9, "GW"), (1e6, "MW"), (1e3, "kW"), (1.0, "W")),
    "J": ((1e9, "GJ"), (1e6, "MJ"), (1e3, "kJ"), (1.0, "J")),
    "g": ((1e6, "t"), (1e3, "kg"), (1.0, "g")),
}
PLURAL = {"token": "tokens", "token/s": "tokens/s", "token/USD": "tokens/$", "req/s": "requests/s", "year": "years"}
LETTERS = ((1e12, "tn"), (1e9, "bn"), (1e6, "m"), (1e3, "k"))


def word(size: float, unit: str, name: str = "") -> tuple[float, str]:
    """Factor and word in which a value of that size is printed; TPOT is always in ms, TTFT in s."""
    if name.startswith(("tpot", "ttft")) and unit == "s":
        return (1e-3, "ms") if name.startswith("tpot") else (1.0, "s")
    steps = PREFIXES.get(unit, ((1.0, unit),))
    size = float(f"{abs(size):.2e}")
    return next(((f, w) for f, w in steps if size >= f * (10 if w in ("kW", "kJ") else 1)), steps[-1])


def _digits(x, digits, least=1):
    """x >= 0 with commas: `digits` significant ones, or up to four as typed and at least `least`."""
    x = float(f"{x:.{(digits or 4) - 1}e}") if digits or x < 1000 else float(round(x))
    size = int(f"{x:e}".split("e")[1])
    most = max((digits or 4) - 1 - size, 0)
    fewest = most if digits else max(least - 1 - size, 0)
    return f"{x:,.{next((d for d in range(fewest, most) if round(x, d) == x), most)}f}"


def _letters(x, digits, start):
    """x >= 0 with k, m, bn, tn from `start` on."""
    x = float(f"{x:.{(digits or 3) - 1}e}") if x >= start else x
    size, letter = next(((s, c) for s, c in LETTERS if x >= max(s, start)), (1.0, ""))
    return _digits(x / size, (digits or 0) if letter else digits) + letter


def _percent(x):
    """A share without decimals, but typed halves stay and nothing is rounded to none or all."""
    if abs(1000 * x - round(1000 * x)) < 1e-9 and x < 1:
        return _digits(100 * x, None) + "%"
    places = next((d for d in (0, 1, 2, 3) if x == 0 or x >= 1 or 0 < round(100 * x, d) < 100), 3)
    return f"{100 * x:,.{places}f}%"


def _money(x, unit, digits):
    if unit == "USD/h":
        return f"${x:,.2f}"
    if unit == "USD/Mtok" and not digits and x >= 0.0995:
        return f"${x:,.{2 if x < 9.995 else 1 if x < 99.95 else 0}f}"
    if unit == "USD/Mtok" and not digits and x >= 0.0005:
        return "$" + _digits(round(x, 3), None, 1)
    return "$" + (_letters(x, digits, 1e4) if x else "0")


def format(value: float, unit: str = "1", digits: int | None = None, name: str = "", bare: bool = False, as_word=None) -> str:
    """A value in its base unit as printed text; `share`, `ratio` and `date` (a decimal year) are units here too.

    Parameters
    ----------
    digits : int, optional
        Significant digits: 2 for an estimate with an interval. None: a fact, as typed.
    name : str, optional
        Field or column: TPOT is printed in ms, TTFT in s.
    bare : bool
        Without the unit, for a table whose head names it; `as_word`, from `word`, keeps one prefix for a column.

    Examples
    --------
    >>> print(format(0.1234, "USD/Mtok", digits=2), format(3.35e12, "byte/s", bare=True), format(0.35, "share"))
    $0.12 3.35 35%
    """
    if value is None or value != value:
        return MISSING
    x, sign = abs(value), MINUS if value < 0 else ""
    if unit == "date":
        return f"Q{int(x % 1 * 4) + 1} {int(x)}"
    if unit in ("share", "1/year"):
        return sign + _percent(x) + ("/year" if unit == "1/year" and not bare else "")
    if unit == "ratio":
        return sign + _digits(x, digits or 2) + "×"
    if unit.startswith("USD"):
        tail = "" if bare or unit == "USD/Mtok" else unit[3:]
        return sign + _money(x, unit, digits) + tail
    factor, text_unit = as_word or word(x, unit, name)
    if x / factor >= 1e6:
        text = _letters(x / factor, digits, 1e6)
    else:
        text = _digits(x / factor, digits, 2 if unit.startswith(("byte", "FLOP/s")) else 1) if x else "0"
    if unit == "1":
        return sign + text + text_unit.removesuffix("1")
    text_unit = PLURAL.get(text_unit, text_unit) if text != "1" else text_unit
    return sign + text + ("" if bare else NBSP + text_unit)


def span(low: float, high: float, unit: str = "1", digits: int | None = 2, joint: str = " to ", **how) -> str:
    """A range: "22 to 36" in prose, `joint="–"` in tables. The unit is printed once."""
    how.setdefault("as_word", None if unit.startswith("USD") else word(high, unit, how.get("name", "")))
    return format(low, unit, digits, **how | dict(bare=True)) + joint + format(high, unit, digits, **how)


def axis_labels(ticks, unit: str = "1", name: str = "") -> list[str]:
    """The ticks of one axis as text without the unit: money with cents or without, k and m from 10,000."""
    as_word = word(max(map(abs, ticks)), unit, name)
    if unit == "share":
        return [format(t, unit) for t in ticks]
    numbers = [float(f"{abs(t) / as_word[0]:.6g}") for t in ticks]
    texts = [_letters(x, None, 1e4) if x >= 1e4 else _digits(x, None) for x in numbers]
    if unit.startswith("USD"):
        decimals = [len(t.partition(".")[2]) if x < 1e4 else 0 for x, t in zip(numbers, texts, strict=True)]
        if max(numbers) < 20 * min((x for x in numbers if x), default=1.0):  # one step apart, so one form for all
            decimals = [max(decimals)] * len(texts)
        texts = ["$" + (f"{x:,.{max(n, 2) if n else 0}f}" if 0 < x < 1e4 else t) for x, t, n in zip(numbers, texts, decimals, strict=True)]
    return [(MINUS if t < 0 else "") + text for t, text in zip(ticks, texts, strict=True)]
