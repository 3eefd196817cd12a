"""Parse Hydra's command line. Hydra's parser is private, and there is no public one."""

from __future__ import annotations

from argparse import Namespace


def parse_command_line() -> tuple[Namespace | None, list[str]]:
    """Parse the command line with Hydra's parser. Return the result, and the arguments that Hydra does not know.

    If the parser has another name in this version of Hydra, return (None, []). The user then sees Hydra's own errors.
    """
    try:
        from hydra._internal.utils import get_args_parser
    except ImportError:
        return None, []
    return get_args_parser().parse_known_args()
