"""Which layer of a network makes a grid: run it under `tracing`, fold its output into phases, judge.

Works on any module; imports `toolkit` and the measures' arithmetic, and opens no file.
"""

from checkerscope.analysis.audit.procedure import audit
from checkerscope.analysis.audit.report import Report

__all__ = ["Report", "audit"]
