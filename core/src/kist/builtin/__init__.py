"""Layer 5: the defaults, each a plugin like any other; may import everything below."""
