"""The way from a configuration to the objects of a run: they are made, and checked against each other and the machine.

Checks that need no torch belong in `config`.
"""
