"""Make the objects of a run from its configuration, and check that they fit each other and the machine.

Checks that do not need torch belong in the package `gaussgan.config`.
"""
