"""Dates and times in figures: what has digits and is no number."""

import re

DATE = (
    r"\d{4}[-/.]\d{1,2}[-/.]\d{1,2}(?!\d|[-/.]\d)"
    r"|\d{1,2}/\d{1,2}/(?:\d{4}|\d{2})(?![\d/]|\.\d)|\d{1,2}\.\d{1,2}\.\d{4}(?!\d|\.\d)"
)
TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?![\d:])(?:\s?[ap]\.?m\b\.?)?"
# Years, days and hours in figures, wherever they stand.
TEMPORAL = re.compile(rf"(?<![\d.,:/-])(?:{DATE}|{TIME})", re.IGNORECASE)
