"""Read a number out of a response: pure, linear in the length of the text."""

import re
from decimal import Decimal, InvalidOperation

# A thousands separator only where three digits follow; a sign only where it does not subtract from something before it.
_NUMBER = re.compile(r"(?<![\w.)])[-−]?\$?\d+(?:,\d{3})*(?:\.\d+)?")
_CUE = re.compile(r"(?:####|\banswer\b\s*(?:is)?\s*[:=]?)", re.IGNORECASE)


def stated_number(response: str) -> str | None:
    """Return the number after the last "Answer:", "answer is" or "####"; without such a cue the last number; or None."""
    numbers = list(_NUMBER.finditer(response))
    if not numbers:
        return None
    cued = [cue.end() for cue in _CUE.finditer(response) if cue.end() <= numbers[-1].start()]
    if not cued:
        return normalised(numbers[-1].group())
    return normalised(next(number for number in numbers if number.start() >= cued[-1]).group())


def normalised(number: str) -> str | None:
    """Return one spelling for equal numbers: no thousands separators, currency, or trailing zeros."""
    try:
        value = Decimal(number.replace(",", "").replace("$", "").replace("−", "-"))
    except InvalidOperation:
        return None
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text
