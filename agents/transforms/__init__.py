"""Transforms: a causal language model made smaller or coarser, and written as an ordinary model folder.

A recipe names transforms in order (`recipe.py`); each is a function in a file or package of its own and changes a `Subject`
(`subject.py`); `folder.py` carries a recipe out. Nothing here is imported before a recipe is named.
"""
