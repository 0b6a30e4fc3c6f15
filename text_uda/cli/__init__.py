"""The command line. Nothing else knows of it; nothing heavy is imported until a verb runs."""

from text_uda.cli.app import main

__all__ = ["main"]
