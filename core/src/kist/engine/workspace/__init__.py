"""What the workspace holds: walking, reading and remembering it."""
