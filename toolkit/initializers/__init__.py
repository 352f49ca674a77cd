"""One file is one initialization; the file's name is its name in configs. The contract is in `toolkit.initializer`."""

COMPONENT = "module"
ENTRY = "fill"
