"""Between a cache and a remote: push, fetch, and the check of a remote."""
