"""The echo laboratory's scenes: what was made is what was asked for. Oracles: correlation of the
reference with the echo (its delay, jump and drift), levels, Schroeder's decay, analytic sines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.audio import speech
from voicecore.errors import ConfigError, MissingLibraryError, MissingModelError
from voicecore.testing import echo_paths, echo_speech
from voicecore.testing.echo_paths import (
    CLIPS_DB,
    drifted,
    hybrid_response,
    measured_rt60_s,
    room_response,
    soft_clip,
    stretched,
)
from voicecore.testing.echo_scenes import SCENES, Scene, SceneEntry, make_scene
from voicecore.testing.echo_speech import active_level_dbfs

RATE_HZ = 16000


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory):
    """Rooms of these tests only."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("VOICECORE_CACHE", str(folder))
        yield folder


def pcm(name: str, rate_hz: int = RATE_HZ) -> np.ndarray:
    return np.rint(32767 * speech(name, rate_hz)).astype(np.int16)


def scene(name: str | SceneEntry, *, seconds: float = 8.0, seed: int = 3, rate_hz: int = RATE_HZ
          ) -> Scene:  # fmt: skip
    far, near = pcm("two_cities", rate_hz), pcm("beckett", rate_hz)
    return make_scene(name, seed=seed, seconds=seconds, rate_hz=rate_hz, far=far, near=near)


def lag_of(reference: np.ndarray, heard: np.ndarray, most: int = 16000) -> int:
    """Delay of the strongest path: the largest of the generalized cross-correlation (PHAT)."""
    size = 1 << (len(heard) + most).bit_length()
    cross = np.fft.rfft(heard.astype(float), size) * np.conj(np.fft.rfft(reference, size))
    return int(np.argmax(np.fft.irfft(cross / (np.abs(cross) + 1e-3), size)[:most]))


def power_db(signal: np.ndarray) -> float:
    return float(10 * np.log10(np.square(signal.astype(float) / 32768).mean()))


# -- paths ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rt60_s", [0.2, 0.4])
def test_a_room_decays_as_asked(rt60_s: float) -> None:
    found = [measured_rt60_s(room_response(rt60_s, 8000, seed), 8000) for seed in (1, 2, 3)]
    # Sabine's formula, by which the walls are chosen, is off by some 20 % in so dry a room.
    assert np.mean(found) == pytest.approx(rt60_s, rel=0.25)


def test_the_first_sound_is_the_straight_way(cache: Path) -> None:
    for seed in range(4):
        response = room_response(0.2, RATE_HZ, seed)
        first = int(np.flatnonzero(np.abs(response) > 0.5 * np.abs(response).max())[0])
        # 40 samples of the filters, then 0.3 to 1.5 m through the air.
        assert 40 + 0.3 / 343 * RATE_HZ - 2 <= first <= 40 + 1.5 / 343 * RATE_HZ + 2


def test_rooms_are_kept_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    made = room_response(0.2, 8000, 77)
    monkeypatch.setattr(echo_paths, "_shoebox", lambda *_: pytest.fail("it was made again"))
    np.testing.assert_array_equal(room_response(0.2, 8000, 77), made)
    monkeypatch.undo()
    monkeypatch.setenv("VOICECORE_CACHE", str(tmp_path))
    np.testing.assert_array_equal(room_response(0.2, 8000, 77), made)
    assert len(list(tmp_path.rglob("room-*.npy"))) == 1
    assert not np.array_equal(room_response(0.2, 8000, 78)[:500], made[:500])


def test_rooms_need_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyroomacoustics", None)
    with pytest.raises(MissingLibraryError, match="pip install"):
        room_response(0.3, 8000, 1)


@pytest.mark.parametrize("loss_db", [6.0, 12.0, 24.0])
def test_a_line_returns_what_was_asked(loss_db: float) -> None:
    rng = np.random.default_rng(5)
    spectrum = np.fft.rfft(rng.normal(size=80_000))
    f_hz = np.fft.rfftfreq(80_000, 1 / 8000)
    spectrum[(f_hz < 300) | (f_hz > 3400)] = 0
    sent = np.fft.irfft(spectrum)
    for seed in (1, 2, 3):
        response = hybrid_response(8000, seed, loss_db)
        back = np.convolve(sent, response)
        assert power_db(sent) - power_db(back) == pytest.approx(loss_db, abs=0.6)
        energy = np.cumsum(np.square(response)) / np.square(response).sum()
        spread = np.searchsorted(energy, 0.99) - np.searchsorted(energy, 0.01)
        assert spread <= 0.012 * 8000
        assert len(response) <= 0.028 * 8000 + 1


def test_lines_lose_6_to_24_db_by_chance() -> None:
    def loss(seed: int) -> float:
        power = np.square(np.abs(np.fft.rfft(hybrid_response(8000, seed), 4096)))
        return float(-10 * np.log10(power[160:1741].mean()))

    found = [loss(seed) for seed in range(20)]
    assert all(5.5 <= value <= 24.5 for value in found)
    assert max(found) - min(found) > 10


@pytest.mark.parametrize("clip", ["mild", "strong"])
def test_the_loudspeaker_distorts_as_asked(clip: str) -> None:
    sent = speech("two_cities", RATE_HZ)[: 5 * RATE_HZ].astype(float)
    out = soft_clip(sent, CLIPS_DB[clip])
    gain = (out @ sent) / (sent @ sent)
    left = out - gain * sent
    level = 10 * np.log10(np.square(left).sum() / np.square(out).sum())
    assert level == pytest.approx(CLIPS_DB[clip], abs=0.1)
    np.testing.assert_array_equal(soft_clip(sent, None), sent)


@pytest.mark.parametrize("ppm", [20.0, 100.0, -100.0, 200.0])
@pytest.mark.parametrize("f_hz", [200.0, 3000.0, 6900.0])
def test_drift_of_a_sine_is_another_sine(ppm: float, f_hz: float) -> None:
    n = np.arange(3 * RATE_HZ)
    out = drifted(np.sin(2 * np.pi * f_hz / RATE_HZ * n), ppm)
    wanted = np.sin(2 * np.pi * f_hz / RATE_HZ * n * (1 + ppm * 1e-6))
    inside = slice(100, len(n) - 200)
    assert power_db(32768 * (out - wanted)[inside]) < -90  # a 16-bit signal's own noise: -98 dB


def test_no_drift_is_the_same_signal() -> None:
    sent = speech("two_cities", RATE_HZ)[:1000].astype(float)
    np.testing.assert_array_equal(drifted(sent, 0.0), sent)


def test_a_jitter_buffer_moves_the_reference_by_what_it_tells() -> None:
    sent = speech("two_cities", RATE_HZ)[: 25 * RATE_HZ].astype(float)
    found = stretched(sent, RATE_HZ, "lte-handover", seed=1)  # no packet is lost
    events = sorted(found.events, key=lambda event: event[1])
    assert {kind for kind, _, _ in events} == {"accelerated", "concealed", "expanded"}
    # Where most of a second passes without an event, the echo is behind by the first delay and
    # what was put in since, less what was taken out.
    net, since, off = 0, 0, []
    for kind, at, count in [*events, ("end", len(sent), 0)]:
        if at - since > 0.75 * RATE_HZ:
            heard = np.zeros(len(sent))
            heard[since + 800 : at - 100] = found.signal[since + 800 : at - 100]
            off.append(lag_of(sent, heard) - net)
        net += -count if kind == "accelerated" else count
        since = at + (0 if kind == "accelerated" else count)
    assert len(off) >= 5
    assert set(off) == {off[0]}


# -- scenes --------------------------------------------------------------------------------


def test_levels_and_what_the_microphone_hears() -> None:
    made = scene("double-minus6db-100ms-rt0.2")
    assert active_level_dbfs(made.far, RATE_HZ) == pytest.approx(-20.0, abs=0.05)
    assert active_level_dbfs(made.echo / 32768.0, RATE_HZ) == pytest.approx(-26.0, abs=0.3)
    assert active_level_dbfs(made.speech, RATE_HZ) == pytest.approx(-32.0, abs=0.05)
    noise = made.ideal.astype(float) - made.speech
    assert power_db(noise) == pytest.approx(-75.0, abs=0.1)
    together = made.ideal + made.echo.astype(float)
    assert np.abs(made.mic - together).max() <= 1.0
    start, end = (int(s * RATE_HZ) for s in made.double_s or (0, 0))
    assert (start, end) == (int(3.2 * RATE_HZ), int(7.2 * RATE_HZ))
    assert not made.speech[:start].any()
    assert not made.speech[end:].any()
    assert made.speech[start:end].any()


@pytest.mark.parametrize(("key", "ser_db"), [("minus6", -6), ("0", 0), ("plus6", 6)])
def test_near_to_echo(key: str, ser_db: float) -> None:
    made = scene(f"double-{key}db-0ms-rt0.2")
    near, echo = (active_level_dbfs(x / 32768.0, RATE_HZ) for x in (made.speech, made.echo))
    assert near - echo == pytest.approx(ser_db, abs=0.3)


def test_noise_of_a_room() -> None:
    made = scene("single-100ms-noise55")
    assert power_db(made.ideal) == pytest.approx(-55.0, abs=0.1)
    power = np.square(np.abs(np.fft.rfft(made.ideal.astype(float))))
    octave = len(power) // 16  # 500 Hz to 1 kHz against 4 to 8 kHz: three octaves, 5 dB each
    ratio = power[octave : 2 * octave].mean() / power[8 * octave :].mean()
    assert 10 * np.log10(ratio) == pytest.approx(15.0, abs=1.0)


@pytest.mark.parametrize("delay_ms", [0, 100, 250, 500])
def test_delay(delay_ms: int) -> None:
    made, none = scene(f"single-{delay_ms}ms-rt0.2"), scene("single-0ms-rt0.2")
    shift = delay_ms * RATE_HZ // 1000
    straight = lag_of(none.far, none.echo)
    assert 40 <= straight <= 120
    assert lag_of(made.far, made.mic) == pytest.approx(shift + straight, abs=1)
    assert made.onset_s - none.onset_s == pytest.approx(delay_ms / 1000, abs=0.02)


def test_a_delay_of_less_than_nothing() -> None:
    early, none = scene("single-minus2ms-rt0.2"), scene("single-0ms-rt0.2")
    assert lag_of(none.far, none.echo) - lag_of(early.far, early.echo) == 32


def test_jump() -> None:
    made = scene("jump-100-180-rt0.2")
    assert (made.jump_s, made.jump_ms) == (4.0, 80)
    at = 4 * RATE_HZ
    before, after = (np.zeros(len(made.mic)) for _ in range(2))
    before[:at], after[at + 1600 :] = made.mic[:at], made.mic[at + 1600 :]
    assert lag_of(made.far, after) - lag_of(made.far, before) == 80 * RATE_HZ // 1000


@pytest.mark.parametrize(("name", "ppm"), [("drift-100-rt0.2", 100), ("drift-minus100-rt0.2", -100),
                                           ("drift-200-rt0.2", 200)])  # fmt: skip
def test_drift_of_a_scene(name: str, ppm: float) -> None:
    made = scene(name, seconds=24.0)
    lags = []
    for start_s in (1.0, 21.0):
        part = slice(int(start_s * RATE_HZ), int((start_s + 2) * RATE_HZ))
        heard = np.zeros(len(made.mic))
        heard[part] = made.mic[part]
        lags.append(lag_of(made.far, heard))
    # The microphone's clock is faster: it counts fewer samples behind the reference as time goes.
    assert lags[0] - lags[1] == pytest.approx(ppm * 1e-6 * 20.0 * RATE_HZ, abs=2)


def test_events_of_a_scene_are_in_the_microphones_time() -> None:
    entry = SCENES["stretch-gamma-40-rt0.2"]
    made = scene(entry, seconds=12.0)
    told = stretched(made.far / 32768.0, RATE_HZ, "gamma-40", seed=3)
    shift = entry.delay_ms * RATE_HZ // 1000
    assert made.events == tuple((kind, at + shift, count) for kind, at, count in told.events)
    assert made.events


def test_a_reference_that_follows_the_jitter_buffer() -> None:
    told, known = scene("stretch-lte-handover-rt0.2"), scene("known-lte-handover-rt0.2")
    np.testing.assert_array_equal(told.echo, known.echo)
    assert not known.events
    steady = scene("single-0ms-rt0.2")
    straight = lag_of(steady.far, steady.echo)
    for start_s in (1, 6):
        part = slice(start_s * RATE_HZ, (start_s + 2) * RATE_HZ)
        heard = np.zeros(len(known.mic))
        heard[part] = known.mic[part]
        assert lag_of(known.far, heard) == pytest.approx(640 + straight, abs=1)


def test_a_clipping_microphone() -> None:
    made = scene("single-100ms-overload")
    clipped = np.abs(made.mic.astype(int)) >= 32767
    inside = slice(int(3.2 * RATE_HZ), int(4.0 * RATE_HZ))
    assert clipped[inside].mean() > 0.02
    assert clipped.sum() == clipped[inside].sum()


def test_g711_is_in_the_path() -> None:
    made = scene("line-g711", rate_hz=8000)
    assert len(np.unique(made.mic)) <= 256
    assert len(np.unique(made.far)) <= 256


def test_equal_arguments_give_equal_samples() -> None:
    one, two, other = (scene("double-0db-100ms-rt0.2", seed=seed, seconds=4) for seed in (3, 3, 4))
    for name in ("far", "mic", "ideal", "speech", "echo"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.echo, other.echo)
    assert not np.array_equal(one.ideal, other.ideal)


@pytest.mark.parametrize("name", SCENES)
def test_every_scene_can_be_made(name: str) -> None:
    made = scene(name, seconds=4.0, rate_hz=8000)
    signals = (made.far, made.mic, made.ideal, made.speech)
    assert {(len(x), x.dtype) for x in signals} == {(32000, np.dtype(np.int16))}
    assert made.echo.any() == (made.entry.path != "none")
    assert made.far.any() == (made.entry.kind != "near")
    assert made.speech.any() == (made.entry.kind != "single")
    assert [e.description for e in SCENES.values()].count(made.entry.description) == 1


# -- voices --------------------------------------------------------------------------------


def test_prompts_that_are_not_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(echo_speech, "_INSTALLED", tmp_path)
    echo_speech.prompts.cache_clear()
    with pytest.raises(MissingModelError, match=r"tools/fetch_echo_speech\.py"):
        make_scene("near-alone")
    (tmp_path / "it_IT_m_Carlo").mkdir()
    with pytest.raises(MissingModelError, match="holds no prompts"):
        make_scene("near-alone", seed=1)


def test_prompts_are_read_trimmed_and_joined(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from voicecore import Encoder

    voice = tmp_path / "en_US_f_Allison"
    voice.mkdir()
    said = pcm("two_cities")[10 * RATE_HZ : 12 * RATE_HZ].copy()
    silence = np.zeros(RATE_HZ, np.int16)
    for name, scale in (("a", 1.0), ("b", 0.3)):
        with Encoder("g722", RATE_HZ) as encoder:
            louder = np.concatenate([silence, (said * scale).astype(np.int16), silence])
            (voice / f"{name}.g722").write_bytes(encoder.encode(louder))
    (voice / "short.g722").write_bytes(bytes(100))
    monkeypatch.setattr(echo_speech, "_INSTALLED", tmp_path)
    echo_speech.prompts.cache_clear()
    try:
        found = echo_speech.prompts("en_US_f_Allison")
        assert len(found) == 2
        assert [len(s) for s in found] == pytest.approx([2 * RATE_HZ] * 2, abs=0.1 * RATE_HZ)
        far = echo_speech.far_speech(np.random.default_rng(1), RATE_HZ, 4.0)
        assert len(far) == 4 * RATE_HZ
        # Both come at one level, whatever theirs was.
        halves = [active_level_dbfs(part, RATE_HZ) for part in (far[:28000], far[36000:])]
        assert halves[0] == pytest.approx(halves[1], abs=1.5)
        assert active_level_dbfs(far, RATE_HZ) == pytest.approx(-20.0, abs=0.05)
    finally:
        echo_speech.prompts.cache_clear()


def test_levels_of_known_signals() -> None:
    t = np.arange(2 * RATE_HZ)
    tone = 0.1 * np.sin(2 * np.pi * 1000 / RATE_HZ * t)
    paused = np.concatenate([tone, np.zeros(2 * RATE_HZ)])
    for signal in (tone, paused, np.rint(paused * 32768).astype(np.int16)):
        assert active_level_dbfs(signal, RATE_HZ) == pytest.approx(-23.01, abs=0.05)
    assert active_level_dbfs(np.zeros(1000), RATE_HZ) == float("-inf")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"entry": "nowhere"}, "unknown; use one of single-0ms"),
        ({"entry": "near-alone", "rate_hz": 44100}, "8000 or 16000"),
        ({"entry": "near-alone", "seconds": 1.0}, "4 to 600"),
        ({"entry": "near-alone", "seed": -1}, "0 or more"),
        ({"entry": "near-alone", "near": np.zeros(5, np.int16)}, "near is silent"),
        ({"entry": SceneEntry("x", "single", clip="hard")}, "none, mild, strong"),
    ],
)
def test_wrong_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_scene(**arguments)  # type: ignore[arg-type]
