"""The command line. No other part imports it, and it imports nothing heavy until a verb runs."""

from text_uda.cli.app import main

__all__ = ["main"]
