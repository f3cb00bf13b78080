"""Serving: gunicorn with gevent workers over one shared history; start, reload and drain."""
