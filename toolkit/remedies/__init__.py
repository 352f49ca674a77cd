"""One file is one cure; the contract is in `toolkit.remedy`."""

COMPONENT = "module"
ENTRY = "apply"
