"""Layer 10: the contract kit for authors of plugins; may import kist.api and below."""
