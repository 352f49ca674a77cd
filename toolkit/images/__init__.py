"""One file is one image source; the contract is in `toolkit.contracts.image_source`."""

COMPONENT = "module"
ENTRY = "load"
