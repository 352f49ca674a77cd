"""Trains and measures the runs of a study: what is due, what a worker does, and what is checked beforehand.

May import `workers`, `store` and `study`; writes through the store only.
"""
