"""One file is one claim of the literature, run and judged; the contract is in `experiments.verdicts.contract`.

Claims lie on shelves by their source, each with the helpers that only it needs; what several shelves need lies here.
"""

COMPONENT = "module"
ENTRY = "check"
