"""The cache: the object store of this machine, read, written and checked."""
