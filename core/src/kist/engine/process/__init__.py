"""What belongs to running processes: locks, scratch folders, journals, waiting for the disk, network threads."""
