"""Threads for work that would block the event loop, urgent work first.

onnxruntime and llama.cpp release the GIL while they compute, so a job here costs the loop only the
hand-over. A job that is already running is never broken off by the worker; a long job asks
:meth:`PriorityWorker.urgent_waiting` at its own safe points and gives up its place.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from voicecore.errors import ClosedError

__all__ = ["PriorityWorker"]

T = TypeVar("T")

_URGENT, _NORMAL = 0, 1
_CLOSED = "the provider was closed; make a new one"


class PriorityWorker:
    """A few threads that take jobs by urgency, then by age.

    Args:
        name: prefix of the thread names.
        threads: how many jobs may run at once.

    Example:
        >>> worker = PriorityWorker("stt")
        >>> worker.submit(lambda: 1 + 1, urgent=True).result()
        2
        >>> worker.close()
    """

    def __init__(self, name: str, threads: int = 1) -> None:
        # The pool owns the threads (and joins them at interpreter exit); the heap owns the order.
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._heap: list[tuple[int, int, Future[Any], Callable[[], Any]]] = []
        self._lock = threading.Lock()
        self._age = itertools.count()
        self._urgent = 0
        self._closed = False

    def submit(self, job: Callable[[], T], *, urgent: bool = False) -> Future[T]:
        """Queue ``job``; its result or exception arrives in the future."""
        future: Future[T] = Future()
        with self._lock:
            if self._closed:
                raise ClosedError(_CLOSED)
            heapq.heappush(
                self._heap, (_URGENT if urgent else _NORMAL, next(self._age), future, job)
            )
            self._urgent += urgent
        self._pool.submit(self._run_next)
        return future

    def urgent_waiting(self) -> bool:
        """Whether an urgent job waits for a thread."""
        return self._urgent > 0

    def close(self) -> None:
        """Let the threads end; what waits fails with :class:`ClosedError`. Idempotent."""
        with self._lock:
            self._closed = True
            waiting, self._heap = self._heap, []
            self._urgent = 0
        for _, _, future, _ in waiting:
            # Not cancelled: a task that awaits the future would take that for its own cancellation
            # and end without telling its reader.
            if future.set_running_or_notify_cancel():
                future.set_exception(ClosedError(_CLOSED))
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run_next(self) -> None:
        with self._lock:
            if not self._heap:
                return
            priority, _, future, job = heapq.heappop(self._heap)
            self._urgent -= priority == _URGENT
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = job()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
