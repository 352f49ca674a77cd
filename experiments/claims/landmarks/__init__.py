"""Landmark papers of the field and their released code, each at a size that two cores manage in minutes."""

SHELF = True
