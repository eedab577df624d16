"""Garbage collection: what roots reach, and what nothing reaches, in a cache and on a remote."""
