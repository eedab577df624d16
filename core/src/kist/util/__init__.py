"""Layer 1: small tools without a word of the domain; may import kist.errors."""
