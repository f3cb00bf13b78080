"""Polyglot Gateway: a realtime event gateway with a C++ core and a Falcon shell."""
