"""Reading an answer out of a response, and comparing it: pure functions, linear in the length of the text.

`numbers`, `options`, `words` and `mathematics` read, out of what is left when thoughts (`thinking`), questions that the model
asks itself (`run_ons`) and spellings of one character (`characters`) are out of the way. `mathematics` also compares, in a
process of its own (`bounded`, `worker`, `exact`), since computer algebra may take any time; `belief_score` scores distributions
over options.
"""
