"""The one private function of Hydra that the command line uses: its parser, for which Hydra has no public name."""

from __future__ import annotations

from argparse import Namespace


def parse_command_line() -> tuple[Namespace | None, list[str]]:
    """Return the command line as Hydra parses it, and the arguments that Hydra does not understand.

    If Hydra no longer has the function, return (None, []). An error is then told in Hydra's own words.
    """
    try:
        from hydra._internal.utils import get_args_parser
    except ImportError:
        return None, []
    return get_args_parser().parse_known_args()
