"""One file is one initialization, named as in configs; the contract is in `toolkit.contracts.initializer`."""

COMPONENT = "module"
ENTRY = "fill"
