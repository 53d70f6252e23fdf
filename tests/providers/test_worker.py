"""The worker: order by urgency, results and errors, close. Oracle: the order written down."""

from __future__ import annotations

import threading

import pytest

from voicecore.errors import ClosedError
from voicecore.providers._worker import PriorityWorker


def test_urgent_jobs_go_first_and_age_decides_else() -> None:
    worker = PriorityWorker("test")
    started, gate, order = threading.Event(), threading.Event(), []

    def hold() -> None:
        started.set()
        gate.wait(10)

    first = worker.submit(hold)
    assert started.wait(10)
    jobs = [
        worker.submit(lambda n=name: order.append(n), urgent=urgent)
        for name, urgent in (("a", False), ("b", False), ("C", True), ("D", True))
    ]
    assert worker.urgent_waiting()
    gate.set()
    for job in (first, *jobs):
        job.result(10)
    assert order == ["C", "D", "a", "b"]
    assert not worker.urgent_waiting()
    worker.close()


def test_results_errors_and_thread() -> None:
    worker = PriorityWorker("test")
    assert worker.submit(lambda: threading.current_thread().name).result(10).startswith("test")
    with pytest.raises(ZeroDivisionError):
        worker.submit(lambda: 1 // 0).result(10)
    worker.close()


def test_close_fails_what_waits_and_refuses_more() -> None:
    worker = PriorityWorker("test")
    started, gate = threading.Event(), threading.Event()

    def hold() -> None:
        started.set()
        gate.wait(10)

    worker.submit(hold)
    assert started.wait(10)
    waiting = worker.submit(lambda: 1)
    worker.close()
    worker.close()
    gate.set()
    with pytest.raises(ClosedError, match="make a new one"):
        waiting.result(10)
    with pytest.raises(ClosedError, match="make a new one"):
        worker.submit(lambda: 1)


def test_a_cancelled_job_does_not_run() -> None:
    worker = PriorityWorker("test")
    started, gate, ran = threading.Event(), threading.Event(), []

    def hold() -> None:
        started.set()
        gate.wait(10)

    worker.submit(hold)
    assert started.wait(10)
    job = worker.submit(lambda: ran.append(1), urgent=True)
    assert job.cancel()
    gate.set()
    worker.submit(lambda: None).result(10)
    assert ran == []
    assert not worker.urgent_waiting()
    worker.close()
