"""The files that objects lie in: packs, index files, the trash."""
