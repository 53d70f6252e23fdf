"""Finding the embedded models: files inside installed packages, located without importing them.

Importing the packages would pull in what voicecore does not need (a PortAudio binding, a download
library), so only their place on disk is looked up.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from voicecore.errors import DataError, MissingModelError

__all__ = ["import_onnxruntime", "make_session", "package_dir", "package_version", "require_files"]


def package_dir(module: str) -> Path | None:
    """The directory of an installed package, or None; nothing is imported."""
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations)))


def package_version(distribution: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def require_files(directory: Path | None, names: tuple[str, ...], what: str, how: str) -> Path:
    """``directory`` if it holds all ``names``.

    Raises:
        MissingModelError: something is missing; the message names the command ``how``.
    """
    if directory is None:
        raise MissingModelError(f"{what}: the package is not installed. Run: {how}")
    missing = [name for name in names if not (directory / name).is_file()]
    if missing:
        raise MissingModelError(
            f"{what}: {', '.join(missing)} not found in {directory}. Run: {how}"
        )
    return directory


def import_onnxruntime(what: str) -> Any:
    """The onnxruntime module, or :class:`MissingModelError` with the command to install it."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingModelError(
            f"{what} runs on onnxruntime, which cannot be imported ({error}). "
            "Run: pip install onnxruntime"
        ) from error
    return onnxruntime


def make_session(path: Path, what: str, threads: int = 1) -> Any:
    """An onnxruntime CPU session: ``threads`` computing threads, none of them spinning.

    A spinning thread would take a core from the audio threads.

    Raises:
        MissingModelError: onnxruntime is missing.
        DataError: the file cannot be loaded.
    """
    ort = import_onnxruntime(what)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise DataError(f"{what}: {path} cannot be loaded ({error}); reinstall it") from error
