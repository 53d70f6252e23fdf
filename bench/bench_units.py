"""Every unit of `voicecore bench` beside every peer that is installed.

    python -m pytest bench/bench_units.py                     all
    python -m pytest bench/bench_units.py -k "rtp or g722"    some

The list, the comparison of results before any timing, and the timing itself are the command's
(voicecore/cli/bench): this script lets `make bench` run them and fails if a peer that is installed
could not be measured.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rich.console import Console

from voicecore.cli.bench.command import FULL
from voicecore.cli.bench.machine import this_machine
from voicecore.cli.bench.measure import Bench, measure_one
from voicecore.cli.bench.registry import Measurement, every
from voicecore.cli.bench.tables import show

bench = Bench(this_machine(), FULL)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("measurement", every(), ids=lambda one: one.name)
def test_unit(measurement: Measurement) -> None:
    before = len(bench.left_out)
    row = measure_one(measurement, bench, compare=True)
    assert row is not None, bench.left_out[-1].reason
    assert len(bench.left_out) == before, bench.left_out[before:]


@pytest.fixture(scope="module", autouse=True)
def table(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print("\n")
        show(bench, Console(width=150))
