"""Realtime delivery under WSGI: one follower per process wakes streams, each of which reads from its own position."""
