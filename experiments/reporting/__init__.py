"""From a store of finished runs to records, figures, tables and the PDF.

May import `execution` (how much of a study is there), `store` and `study`; the only writer of `paper/data`.
"""
