"""From a manifest to workspace files: plan, refuse or apply; links, moves, displaced files."""
