"""One engine, several executors (loop, graph, grouped) with the same results."""
