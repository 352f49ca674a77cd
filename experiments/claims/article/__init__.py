"""The founding article, section by section: its statements, printed shapes and listings, run as they stand."""

SHELF = True
