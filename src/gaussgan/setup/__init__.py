"""From a configuration to the objects of a run, checked against each other and against the machine.

What can be told without torch is checked in `config`.
"""
