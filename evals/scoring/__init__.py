"""Reading an answer out of a response, and comparing it: pure functions, linear in the length of the text.

`numbers`, `options`, `words` and `mathematics` read; `mathematics` also compares, in a process of its own (`bounded`),
since computer algebra may take any time; `beliefs` scores distributions over options.
"""
