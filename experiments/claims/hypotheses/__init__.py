"""This study's hypotheses H1 to H8, at the size of a claim."""

SHELF = True
