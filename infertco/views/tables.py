"""Columns and fields in words: labels, values as printed, and tables as a reader wants them.

What a name means comes from the field's or the output's metadata, how a number looks from `units.format`.
"""

import math

from infertco import plans, units, values

FIELDS = values.FIELDS | plans.FIELDS
YES = {True: "yes", False: "no"}
NO_SHARES = ("tied_embeddings",)  # 0 or 1, not a share


def meta(name: str) -> dict:
    """Label, unit, help and better direction of a field or output column; of `x_low`, those of `x`."""
    name = name.removesuffix("_low").removesuffix("_high")
    if name in values.OUTPUTS:
        return values.OUTPUTS[name]
    return FIELDS[name].metadata if name in FIELDS else dict(label=name[:1].upper() + name[1:].replace("_", " "), unit="", help="", better=None)


def unit(name: str) -> str:
    """The unit `units.format` takes for a column: its base unit, or `share`."""
    about = meta(name)
    is_share = about.get("allowed") == values.ONE and name not in NO_SHARES
    return "share" if about["unit"] == "1" and (is_share or name in ("mfu", "mbu") or name.startswith("share_")) else about["unit"]


def digits(name: str) -> int | None:
    """2 for an estimate that has an interval, 3 for other outputs with a unit, None (as typed) for facts and counts."""
    if name.removesuffix("_low").removesuffix("_high") in values.INTERVALS:
        return 2
    return 3 if name in values.OUTPUTS and unit(name) not in ("1", "share", "USD/h") and not name.startswith("peak") else None


def text(name: str, value, **how) -> str:
    """A value of that field or column as printed: `text("ttft_s", 0.312)` is "0.31 s"."""
    if value is None or isinstance(value, str):
        return value or units.MISSING
    if isinstance(value, bool) or type(value).__name__ == "bool":  # numpy's too
        return YES[bool(value)]
    return units.format(float(value), unit(name) or "1", how.pop("digits", digits(name)), name=name, **how)


def head(name: str, word: str = "") -> str:
    """Label and unit of a column: "TTFT, s"."""
    base = unit(name)
    word = word or {"share": "", "text": "", "bool": "", "1": "", "USD": "US$"}.get(base, base.replace("USD", "US$"))
    label, word = meta(name)["label"], units.PLURAL.get(word, word)
    return label if word in ("", "1") or word in label.lower() else f"{label}, {word}"


def format_table(frame, rows: int = 12):
    """The first rows as a DataFrame of text with units in the head; `x_low` and `x_high` become one range beside x.

    Examples
    --------
    >>> import pandas as pd
    >>> format_table(pd.DataFrame(dict(tpot_slo_s=[0.03], usd_per_kwh=[0.0812]))).to_dict("records")
    [{'TPOT limit, ms': '30', 'Electricity, US$/kWh': '$0.0812'}]
    """
    import pandas as pd

    frame, made = frame.head(rows), {}
    for name in frame.columns:
        pair = [f"{name}_low", f"{name}_high"]
        if name.endswith(("_low", "_high")) and name.rpartition("_")[0] in frame.columns:
            continue
        if frame[name].dtype == bool or not pd.api.types.is_numeric_dtype(frame[name]):
            made[head(name)] = [YES.get(v, v) if isinstance(v, bool) else str(v) for v in frame[name]]
            continue
        sizes = sorted(abs(v) for v in frame[name] if math.isfinite(v))
        word = units.word(sizes[-1 if unit(name) == "1" else len(sizes) // 2] if sizes else 1.0, unit(name), name)
        how = dict(bare=True, as_word=word)
        made[title := head(name, word[1] if unit(name) in units.PREFIXES and unit(name) != "1" else "")] = [text(name, v, **how) for v in frame[name]]
        if pair[0] in frame.columns:
            made[title.partition(",")[0] + ", 80%"] = [
                units.MISSING if low != low else units.span(low, high, unit(name), 2, "–", name=name, **how)
                for low, high in zip(*(frame[p] for p in pair), strict=True)
            ]
    return pd.DataFrame(made, index=frame.index)
