"""Topologies as data: who hears whom, in what language, when."""
