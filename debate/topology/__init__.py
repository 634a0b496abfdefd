"""Topologies as data: who hears whom, in what language, when. The rules by name, such as `ring`, are in `generators.py`."""
