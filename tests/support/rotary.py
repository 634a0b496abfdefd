"""Rotary positions by their definition."""

import math


def rotated(x, place):
    """Return a head's vector [d] turned to a place, pair by pair."""
    out, half = x.clone(), len(x) // 2
    for i in range(half):
        angle = place * 10000.0 ** (-i / half)
        out[i] = x[i] * math.cos(angle) - x[i + half] * math.sin(angle)
        out[i + half] = x[i + half] * math.cos(angle) + x[i] * math.sin(angle)
    return out
