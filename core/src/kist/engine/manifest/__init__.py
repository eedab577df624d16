"""Manifests: the nodes of a version's tree, how they are cut, edited, compared and merged."""
