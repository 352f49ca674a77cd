"""One file is one claim of the literature, run and judged; the contract is in `experiments.verdicts.contract`."""

COMPONENT = "module"
ENTRY = "check"
