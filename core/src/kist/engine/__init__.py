"""Layer 4: algorithms on given objects, which never ask for a plugin; may import kist.abc and below."""
