"""Layer 8: one verb a module, returning a report; may import kist.repo and below."""
