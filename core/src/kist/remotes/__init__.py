"""Layer 4: bricks for authors of remotes; may import kist.abc and below."""
