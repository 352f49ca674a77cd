"""What benchmarks share: timing, the machine's ceilings, the sides of a comparison, and where results go.

May import the package only; no benchmark and no page.
"""
