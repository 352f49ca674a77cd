"""Sections of the pages that are made from committed results: text and tables, no measuring."""
