"""Rows from files and the hub, and tasks made from them."""
