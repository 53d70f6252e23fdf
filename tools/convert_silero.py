"""Convert the Silero VAD v6.2 ONNX file into the two weight files of csrc/vad/vc_silero.

    python tools/convert_silero.py                       the file of the installed silero-vad 6.2.3
    python tools/convert_silero.py silero_vad.onnx --out directory

Needs the packages onnx and, unless a path is given, silero-vad==6.2.3 (``pip install --no-deps``
is enough: only its data is read). The output depends on nothing but the ONNX file.

File format, all little-endian: 8 bytes "VCSILERO", then six uint32: version (1), rate in Hz, length
of the DFT, channels that the first convolution reads, number of float32 that follow, CRC-32 of
those; then the float32 in this order:

    window            [dft]                  row 0 of the STFT basis; the other rows are checked
                                             to be the DFT of this window and are not stored
    conv1 weight,bias [128][dft/2+1][3]
    conv2 weight,bias [64][128][3]
    conv3 weight,bias [64][64][2]            tap 0 only ever meets padding
    conv4 weight,bias [128][64][1]           taps 0 and 2 only ever meet padding
    LSTM weight       [512][256]             gates i, f, g, o; columns: 128 of the input, 128 of h
    LSTM bias         [512]                  the sum of the two biases
    head weight,bias  [128], [1]
"""

from __future__ import annotations

import argparse
import hashlib
import struct
import zlib
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

SHA256 = "1a153a22f4509e292a94e67d6f9b85e8deb25b4988682b7e174c65279d8788e3"
MAGIC = b"VCSILERO"
VERSION = 1
DEFAULT_OUT = Path(__file__).resolve().parent.parent / "voicecore" / "media" / "data"
Weights = dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"]


def installed_package() -> Path:
    """The directory of the installed silero-vad package; it is not imported (it wants torch)."""
    found = find_spec("silero_vad")
    if found is None or not found.submodule_search_locations:
        raise SystemExit(
            "silero-vad is not installed: pip install --no-deps silero-vad==6.2.3, "
            "or give the path of silero_vad.onnx"
        )
    return Path(found.submodule_search_locations[0])


def installed_license() -> bytes:
    """The licence text of silero-vad, as its package ships it."""
    (path,) = installed_package().parent.glob("silero_vad-*.dist-info/licenses/LICENSE")
    return path.read_bytes()


def read_branches(onnx_file: Path) -> dict[int, Weights]:
    """The named float constants of the 16 kHz and the 8 kHz network."""
    content = onnx_file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != SHA256:
        raise SystemExit(
            f"{onnx_file}: sha256 {digest}, expected {SHA256} (silero_vad.onnx of silero-vad 6.2)"
        )
    graph = onnx.load_model_from_string(content).graph
    (choice,) = (node for node in graph.node if node.op_type == "If")
    branches = {attribute.name: attribute.g for attribute in choice.attribute}
    return {
        16000: named_constants(branches["then_branch"]),
        8000: named_constants(branches["else_branch"]),
    }


def named_constants(graph: onnx.GraphProto) -> Weights:
    found: Weights = {}
    for node in graph.node:
        name = node.output[0].split("__Inline_0__")[-1]
        if node.op_type == "Constant" and name.startswith(("stft.", "encoder.", "decoder.")):
            found[name] = numpy_helper.to_array(node.attribute[0].t)
    return found


def check_basis(basis: np.ndarray) -> np.ndarray:
    """The window of the STFT, after proving that the basis is a DFT of that window."""
    length = basis.shape[1]
    bins = length // 2 + 1
    window = basis[0].astype(np.float64)
    angle = 2 * np.pi * np.outer(np.arange(bins), np.arange(length)) / length
    expected = np.concatenate([np.cos(angle), -np.sin(angle)]) * window
    worst = np.abs(expected - basis).max()
    if worst > 1e-6:
        raise SystemExit(f"the STFT basis differs from a windowed DFT by {worst:.2e}")
    return basis[0]


def payload(weights: Weights) -> list[np.ndarray]:
    """The arrays of one weight file, in file order."""
    basis = weights["stft.forward_basis_buffer"][:, 0, :]
    bins = basis.shape[1] // 2 + 1
    conv = [weights[f"encoder.{i}.reparam_conv.weight"] for i in range(4)]
    bias = [weights[f"encoder.{i}.reparam_conv.bias"] for i in range(4)]
    shapes = [array.shape for array in conv]
    if shapes != [(128, bins, 3), (64, 128, 3), (64, 64, 3), (128, 64, 3)]:
        raise SystemExit(f"unexpected convolution shapes {shapes}")
    return [
        check_basis(basis),
        conv[0], bias[0],
        conv[1], bias[1],
        conv[2][:, :, 1:], bias[2],
        conv[3][:, :, 1:2], bias[3],
        np.hstack([weights["decoder.rnn.weight_ih"], weights["decoder.rnn.weight_hh"]]),
        weights["decoder.rnn.bias_ih"] + weights["decoder.rnn.bias_hh"],
        weights["decoder.decoder.2.weight"], weights["decoder.decoder.2.bias"],
    ]  # fmt: skip


def encode(rate_hz: int, weights: Weights) -> bytes:
    """One weight file."""
    arrays = [np.ascontiguousarray(array, dtype="<f4") for array in payload(weights)]
    body = b"".join(array.tobytes() for array in arrays)
    length = arrays[0].size
    header = (VERSION, rate_hz, length, length // 2 + 1, len(body) // 4, zlib.crc32(body))
    return MAGIC + struct.pack("<6I", *header) + body


def convert(onnx_file: Path, out: Path) -> list[Path]:
    """Write both weight files into ``out``; return their paths."""
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for rate_hz, weights in read_branches(onnx_file).items():
        path = out / f"silero_v6_{rate_hz // 1000}k.bin"
        path.write_bytes(encode(rate_hz, weights))
        written.append(path)
    return written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("onnx", nargs="?", type=Path, help="silero_vad.onnx of silero-vad 6.2.x")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    options = parser.parse_args()
    source = options.onnx or installed_package() / "data" / "silero_vad.onnx"
    for path in convert(source, options.out):
        print(f"{path}: {path.stat().st_size} bytes")
    if options.onnx is None:
        (options.out / "SILERO_LICENSE").write_bytes(installed_license())


if __name__ == "__main__":
    main()
