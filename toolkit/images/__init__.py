"""One file is one image source; the contract is in `toolkit.image_source`."""

COMPONENT = "module"
ENTRY = "load"
