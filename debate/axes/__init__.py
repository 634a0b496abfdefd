"""Which axes an operator's tensors have, as declarations: held against what it computes, and drawn as circuit diagrams."""
