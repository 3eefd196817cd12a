"""Parse Hydra's command line. Hydra's parser is private, and there is no public one."""

from __future__ import annotations

from argparse import Namespace


def parse_command_line() -> tuple[Namespace | None, list[str]]:
    """Parse the command line with Hydra's parser. Return the parsed command line and a list of unknown arguments.

    If the installed version of Hydra has no parser with the expected name, return (None, []). The user then sees
    Hydra's own errors.
    """
    try:
        from hydra._internal.utils import get_args_parser
    except ImportError:
        return None, []
    return get_args_parser().parse_known_args()
