"""Watching a network run: where its spatial axes grow, whatever function or reshape makes them grow."""
