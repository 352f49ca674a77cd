"""Several engines (loop, graph, grouped) that train with the same results."""
