"""Functions of real numbers learned in context, by agents whose best possible belief can be computed."""
