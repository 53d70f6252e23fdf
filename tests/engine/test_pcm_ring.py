"""The ring of received audio as Python sees it. Oracle: the whole stream, kept beside the ring."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicecore.errors import AudioGoneError, ConfigError, DtypeError, LengthError
from voicecore.media._pcm_ring import PcmRing

STREAM = np.random.default_rng(5).integers(-32768, 32768, 40_000).astype(np.int16)

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 3000)),
        st.tuples(st.sampled_from(["read", "view"]), st.just(0)),
        st.tuples(st.just("take"), st.integers(1, 2000)),
        st.tuples(st.just("replay"), st.integers(0, 10**6)),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.integers(1, 2500), STEPS)
def test_every_way_to_read_gives_the_stream(samples: int, steps: list[tuple[str, int]]):
    ring = PcmRing(samples)
    end = taken = missed = 0
    for step, value in steps:
        if step == "write":
            ring.write(STREAM[end : end + value])
            end = min(end + value, len(STREAM))
            missed += max(0, ring.begin - taken)
            taken = max(taken, ring.begin)
        elif step == "take":
            chunk = ring.take(value)
            assert (chunk is not None) == (end - taken >= value)
            if chunk is not None:
                assert chunk[1] == taken
                np.testing.assert_array_equal(chunk[0], STREAM[taken : taken + value])
                taken += value
        elif step == "replay":
            first = ring.begin + value % (end - ring.begin + 1)
            for copy in (True, False):
                pcm = ring.replay(first, None, copy)
                np.testing.assert_array_equal(pcm, STREAM[first:end])
        else:
            pcm, first = ring.read(step == "read")
            assert first == (taken if end > taken else -1)
            np.testing.assert_array_equal(pcm, STREAM[taken:end])
            taken = end
        assert (ring.end, ring.unread, ring.dropped) == (end, end - taken, missed)
        assert ring.begin <= max(0, end - samples)


def test_views_are_read_only_and_outlive_the_ring():
    ring = PcmRing(1000)
    ring.write(STREAM[:1500])
    view, _ = ring.read(copy=False)
    copy = ring.replay(0)
    assert not view.flags.writeable
    assert copy.flags.writeable
    assert not view.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 1
    before = view[600:].copy()
    # The ring comes round to the view's first samples: it changes, and the ring says so.
    ring.write(STREAM[1500:2500])
    assert ring.begin > 0
    assert not np.array_equal(view, copy)
    np.testing.assert_array_equal(view[600:], before)
    del ring
    gc.collect()
    np.testing.assert_array_equal(view[600:], before)


def test_what_is_gone_is_said_to_be_gone():
    ring = PcmRing(1000)
    ring.write(STREAM[:10_000])
    oldest = ring.begin
    np.testing.assert_array_equal(ring.replay(oldest), STREAM[oldest:10_000])
    for copy in (True, False):
        with pytest.raises(AudioGoneError, match=f"oldest one is {oldest}") as caught:
            ring.replay(oldest - 1, None, copy)
        assert caught.value.oldest_sample == oldest
        assert isinstance(caught.value, LookupError)
    with pytest.raises(LengthError, match="only 10000"):
        ring.replay(9_000, 10_001)
    for first, last in ((-1, None), (9_500, 9_400), (10_001, None)):
        with pytest.raises(ConfigError, match="in order"):
            ring.replay(first, last)
    assert len(ring.replay(10_000)) == 0
    with pytest.raises(DtypeError):
        ring.write(np.zeros(4))


def test_a_wish_is_told_once():
    ring = PcmRing(1000)
    assert not ring.write(STREAM[:100])
    ring.want(300)
    assert not ring.write(STREAM[100:299])
    assert ring.write(STREAM[299:310])
    assert not ring.write(STREAM[310:400])
