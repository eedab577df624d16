"""Layer 6: the only code that knows how plugins are found; may import kist.builtin and below."""
