"""Layer 2: frozen values without I/O; may import kist.errors and kist.util."""
