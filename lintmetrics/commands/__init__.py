"""The subcommands; each module holds one, as ``command``."""
