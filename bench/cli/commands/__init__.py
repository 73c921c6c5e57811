"""The commands, a file each: options, what a person reads, and the keys of `--json`."""
