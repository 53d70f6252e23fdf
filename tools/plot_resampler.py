"""Draw docs/images/resampler.png: the magnitude responses of the resampler's presets.

    python tools/plot_resampler.py          needs matplotlib and a built voicecore

The taps are read back from the objects with impulses, 48 to 16 kHz (three phases of one input).
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

import voicecore

mpl.use("Agg")
import matplotlib.pyplot as plt

IN_HZ, OUT_HZ = 48000, 16000
PICTURE = Path(__file__).resolve().parent.parent / "docs" / "images" / "resampler.png"


def taps(preset: str) -> NDArray[np.float64]:
    """Three impulses, one sample apart, each in a stream of its own, give every third tap."""
    down = IN_HZ // OUT_HZ
    h = np.zeros(IN_HZ // 50)
    for late in range(down):
        x = np.zeros(len(h), np.float32)
        x[late] = 1
        y = voicecore.Resampler(IN_HZ, OUT_HZ, preset=preset).process(x)
        # Output m ends its window at input (m + 1) * down - 1.
        h[down - 1 - late :: down][: len(y)] = y[: len(h[down - 1 - late :: down])]
    return h


def main() -> None:
    figure, (whole, near) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for preset in ("telephony", "voice", "studio"):
        spectrum = np.abs(np.fft.rfft(taps(preset), 1 << 16))
        place = np.arange(len(spectrum)) * IN_HZ / (1 << 16) / (OUT_HZ / 2)
        gain_db = 20 * np.log10(np.maximum(spectrum, 1e-8))
        for axes in (whole, near):
            axes.plot(place, gain_db, label=preset, linewidth=1)
    whole.set(xlim=(0, 2), ylim=(-140, 5), ylabel="gain, dB")
    near.set(xlim=(0.75, 1.05), ylim=(-6, 0.5))
    near.axhline(-3, color="grey", linewidth=0.6, linestyle=":")
    for axes in (whole, near):
        axes.set_xlabel("frequency, of the lower rate's Nyquist frequency")
        axes.grid(alpha=0.3)
    whole.legend()
    figure.savefig(PICTURE, dpi=80)


if __name__ == "__main__":
    main()
