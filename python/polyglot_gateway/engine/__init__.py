"""Engines: what keeps the events. `base` is the contract."""
