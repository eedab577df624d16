"""Remotes in folders: hook implementations only."""
