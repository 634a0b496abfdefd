"""The runtime on Ray: engines in processes of their own, on this machine or many; the debates stay in one driver.

The driver plays the debates and alone writes the journal. Every engine is an actor, driven through a backend like any
other (remote.py), so that scheduler, retries and journal are the local runtime's. Imported only where it is asked for.
"""
