"""Layer 10: the command line, without logic; may import kist.api and below."""
