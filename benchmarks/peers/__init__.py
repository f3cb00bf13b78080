"""This gateway beside Nchan, stock gunicorn and the bare kernel, in one run; see `Peers` in benchmarks/README.md."""
