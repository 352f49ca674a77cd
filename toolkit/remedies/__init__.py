"""One file is one cure; the contract is in `toolkit.contracts.remedy`."""

COMPONENT = "module"
ENTRY = "apply"
