"""Everything that takes a turn: language model, chooser, specialist, control."""

# The paper's controls (Pham et al., 2024, section 5), which a config names as roles; they say what they say without a model.
CONTROLS = ("expert", "misaligned", "random", "dummy")
