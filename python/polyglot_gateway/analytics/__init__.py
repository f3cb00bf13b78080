"""Figures of what is kept of a channel: rates, sizes, numbers in the events' data.

The engine reads the events into NumPy arrays (`Engine.columns`) without a Python object for any of them; all that is
here works on whole arrays. Imports NumPy, which the gateway itself does not need: a worker does so when it is first
asked.
"""

from polyglot_gateway.analytics.analytics import Analytics, Buckets
from polyglot_gateway.analytics.summary import Summary

__all__ = ["Analytics", "Buckets", "Summary"]
