"""One file is one claim from the literature, run and judged."""
