"""Make the objects of a run from its configuration, and check that they fit each other and the machine.

Checks that need no torch belong in `config`.
"""
