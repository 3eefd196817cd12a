"""Run tasks on a Ray cluster, or on a local cluster that is started for the sweep."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from typing import Any

from gaussgan.config.errors import ConfigError, one_line
from gaussgan.config.schema import Rule, number, or_null, whole
from gaussgan.sweep.executors.protocol import STOP_SECONDS, Task
from gaussgan.sweep.executors.settings import MAPPING, TEXT, check_settings, import_extra
from gaussgan.sweep.executors.worker import InWorker, why_lost

log = logging.getLogger(__name__)

RULES: dict[str, Rule] = {
    "ray.init.address": or_null(TEXT),
    "ray.init.num_cpus": or_null(whole(1)),
    "ray.init.num_gpus": or_null(whole(0)),
    "ray.init.runtime_env": or_null(MAPPING),
    "ray.remote.num_cpus": or_null(number(0)),
    "ray.remote.num_gpus": or_null(number(0)),
    "ray.remote.memory": or_null(whole(1)),
}
CONNECT_SECONDS = 10.0


class RayCluster:
    """Runs each task as a task of Ray.

    If `ray.init.address` is null, a cluster of this machine alone is started. It ends with this process.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings

    def check(self) -> None:
        check_settings(self.settings, RULES)
        init = self.settings["ray"]["init"]
        for key in ("num_cpus", "num_gpus"):
            if init["address"] is not None and init[key] is not None:
                raise ConfigError(
                    f"hydra.launcher.ray.init.{key} must be null with an address: the cluster knows its machines"
                    f" (got {init[key]})"
                )
        import_extra("ray")
        try:
            _reach(init["address"] or "")
        except OSError as error:
            raise _no_cluster(init["address"], error) from error

    @property
    def workers(self) -> int:
        init, remote = self.settings["ray"]["init"], self.settings["ray"]["remote"]
        if init["address"] is not None:
            return 1  # a task of a few runs would waste a node
        return max(1, int((init["num_cpus"] or os.cpu_count() or 1) / (remote["num_cpus"] or 1)))

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[int, str | None]]:
        ray = import_extra("ray")
        self._connect(ray)
        given = {key: value for key, value in self.settings["ray"]["remote"].items() if value is not None}
        remote = ray.remote(max_retries=0, **given)(_call)
        references = [remote.remote(InWorker(task)) for task in tasks]
        # A signal that comes in ray.wait would lose its number.
        running = {reference.future(): index for index, reference in enumerate(references)}
        try:
            while running:
                for ended in wait(running, return_when=FIRST_COMPLETED).done:
                    yield running.pop(ended), _reason(ray, ended.exception())
        finally:
            if running:
                _stop(ray, running, [references[index] for index in running.values()])

    def _connect(self, ray: Any) -> None:
        if ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        given = {key: value for key, value in self.settings["ray"]["init"].items() if value is not None}
        given.setdefault("address", "local")  # else Ray takes a cluster that somebody has started on this machine
        before = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**given, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
        except Exception as error:
            raise _no_cluster(given["address"], error) from error
        finally:
            with suppress(ValueError):  # Ray has replaced the handler, unless this is not the main thread
                signal.signal(signal.SIGTERM, before)


def _call(task: InWorker) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background, and so by its children
    try:
        task()
    except SystemExit as stop:  # would end Ray's worker, too
        raise InterruptedError(f"stopped with exit code {stop.code}") from stop


def _no_cluster(address: str, error: Exception) -> ConfigError:
    return ConfigError(f"hydra.launcher.ray.init.address: no Ray cluster at {address} ({one_line(error)})")


def _reach(address: str) -> None:
    """Open a connection to the cluster and close it again, because Ray would wait long for a cluster that is not there.

    Raises:
        OSError: when the cluster does not answer within `CONNECT_SECONDS`.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()


def _reason(ray: Any, error: BaseException | None) -> str | None:
    return None if error is None else why_lost(getattr(error, "cause", error))


def _stop(ray: Any, running: Collection[Future[None]], references: Sequence[Any]) -> None:
    log.warning("Stopping %d tasks; a second signal kills them", len(running))
    try:
        for reference in references:
            ray.cancel(reference)  # removes the task from the queue, or raises SIGINT in the process that runs it
        wait(running, STOP_SECONDS)
    finally:
        for reference in references:
            ray.cancel(reference, force=True)
