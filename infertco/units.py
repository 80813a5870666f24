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


# Numbers to text: every number drawn, printed or put beside a slider passes here.

NBSP, MINUS, MISSING = "\u00a0", "\u2212", "n/a"
STEPS = {  # base unit: words on paper, largest first, each from its own size on
    "byte": ("TB", "GB", "MB", "kB", "byte"),
    "byte/s": ("TB/s", "GB/s", "MB/s", "byte/s"),
    "FLOP": ("TFLOP", "GFLOP", "FLOP"),
    "FLOP/s": ("TFLOP/s", "GFLOP/s", "FLOP/s"),
    "s": ("h", "min", "s", "ms", "us"),
    "W": ("GW", "MW", "kW", "W"),
    "J": ("TJ", "GJ", "MJ", "kJ", "J"),
    "g": ("t", "kg", "g"),
}
ON_PAPER = {"kJ": 1e3, "MJ": 1e6, "GJ": 1e9, "TJ": 1e12, "t": 1e6, "TFLOP": 1e12, "GFLOP": 1e9, "h": 3600.0}
SPELLED = {"us": "µs", "token/s": "tokens/s", "token": "tokens", "bit": "bits", "req/s": "requests/s", "year": "years", "FLOP/byte": "FLOP/byte"}
LARGE = ((1e12, "tn"), (1e9, "bn"), (1e6, "m"), (1e4, "k"))


def word(largest: float, unit: str, name: str = "") -> str:
    """The word a value is printed in: the largest it reaches; TPOT always in ms, TTFT in s."""
    if unit == "s" and name.startswith(("tpot", "ttft")):
        return "ms" if name.startswith("tpot") else "s"
    steps = STEPS.get(unit, (unit,))
    return next((w for w in steps if abs(largest) >= _factor(w) * (1 - 1e-9)), steps[-1])


def _factor(unit):
    return ON_PAPER.get(unit) or WORDS.get(unit, (1.0, unit))[0]


def _plain(x, digits, least=0):
    """Decimal digits of x >= 0: `digits` significant ones (None: up to four, as typed), commas from 1,000."""
    rounded = float(f"{x:.{(digits or 4) - 1}e}")
    if not digits and x >= 1000:
        rounded = round(x)
    size = int(f"{rounded:e}".split("e")[1])
    decimals = max((digits or 4) - 1 - size, 0)
    text = f"{rounded:,.{decimals}f}"
    if not digits and "." in text:
        whole, tail = text.split(".")
        tail = tail.rstrip("0").ljust(least if size < 1 else 0, "0")
        text = f"{whole}.{tail}" if tail else whole
    return text


def _large(x, digits):
    """As `_plain`, with k, m, bn, tn from 10,000 on."""
    for size, letter in LARGE:
        if x >= size * (0.1 if letter == "m" and x >= 999_500 else 1):
            return _plain(x / (1e3 if letter == "k" else size), digits or 3) .rstrip() + letter
    return _plain(x, digits)
