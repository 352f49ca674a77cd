"""What a study consists of: the config file, its grid, the spec of one run and the objects that follow from it."""
