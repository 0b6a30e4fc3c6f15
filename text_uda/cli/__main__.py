"""`python -m text_uda.cli`."""

from text_uda.cli.app import main

main()
