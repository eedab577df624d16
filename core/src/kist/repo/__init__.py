"""Layer 7: one repository on disk; may import kist.plugins and below."""
