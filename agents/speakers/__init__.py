"""Everything that takes a turn: language model, chooser, specialist, control."""
