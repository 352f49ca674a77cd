"""One file is one figure: `draw(records) -> matplotlib.figure.Figure`."""
