"""Compares the sizes that files declare with their own size, before memory is allocated for them.

A few kilobytes can declare terabytes: by a header with a shape, an archive of zeros, or a dataset
that was never written. Nothing is loaded here.
"""

import io
import zipfile
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from keras_initcheck.command.sources import LoadError
from keras_initcheck.records.errors import DataError

MEBIBYTE = 2**20
MOST_UNPACKED = {"MODEL": 256, "DATA": 1024}
"""MiB to which a compressed file may unpack by default."""
MOST_DESCRIBED = 64
"""MiB of the JSON that describes a model; it is about one for the largest models of Keras."""
HONEST = 4
"""A file that unpacks to at most this many times its own size may have any size.

Keras does not compress its archives, and real weights and data hardly shrink.
"""


def check_model_file(path: Path, most: int | None = None) -> None:
    """Checks that a model file has the format of its name, and does not unpack to too much.

    Args:
        path: A .keras or .h5 file.
        most: MiB to which it may unpack.

    Raises:
        LoadError: The file has another format, or is too large.
    """
    if path.is_dir():
        return
    if path.suffix != ".keras":
        _check_unpacked("MODEL", path, _stored(path), most, LoadError)
        return
    try:
        with zipfile.ZipFile(path) as archive:
            _check_unpacked(
                "MODEL", path, sum(each.file_size for each in archive.infolist()), most, LoadError
            )
            for member in archive.infolist():
                _check_member(path, archive, member, most)
    except LoadError:
        raise
    except Exception as error:  # files that are no zip archives fail in many ways
        raise LoadError(
            f"MODEL must be a readable .keras file. Received: {str(path)!r}, which is incomplete"
            " or has another format. Save it again with model.save(...)."
        ) from error


def _check_member(
    path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo, most: int | None
) -> None:
    limit = MOST_DESCRIBED if most is None else most
    if member.filename.endswith(".json") and member.file_size > limit * MEBIBYTE:
        raise LoadError(
            f"MODEL must have a description of {limit} MiB at most. Received: {str(path)!r} with"
            f" {member.file_size / MEBIBYTE:.4g} MiB in {member.filename}. If that is intended:"
            f" --max-size {member.file_size // MEBIBYTE + 1}."
        )
    if member.filename.endswith(".h5"):
        with archive.open(member) as file:
            # Each step back in a compressed member would unpack it from its beginning again.
            place = file if member.compress_type == zipfile.ZIP_STORED else io.BytesIO(file.read())
            _check_unpacked("MODEL", path, _stored(place), most, LoadError)


def check_arrays_file(path: Path, most: int | None = None) -> None:
    """Checks that a .npy or .npz file contains the arrays of numbers that its headers declare.

    Args:
        path: The file.
        most: MiB to which a .npz file may unpack.

    Raises:
        DataError: The file does not contain them, or is too large.
        Exception: The file has another format; zip and NumPy raise errors of their own.
    """
    if path.suffix == ".npy":
        with path.open("rb") as file:
            _check_array(path, "", file, path.stat().st_size)
        return
    with zipfile.ZipFile(path) as archive:
        _check_unpacked(
            "DATA", path, sum(each.file_size for each in archive.infolist()), most, DataError
        )
        for member in archive.infolist():
            with archive.open(member) as file:
                _check_array(
                    path, f" at {member.filename.removesuffix('.npy')!r}", file, member.file_size
                )


def _check_unpacked(
    role: str, path: Path, size: int, most: int | None, error: type[Exception]
) -> None:
    limit = MOST_UNPACKED[role] if most is None else most
    packed = path.stat().st_size
    if size > limit * MEBIBYTE and size > HONEST * packed:
        raise error(
            f"{role} must unpack to {limit} MiB at most. Received: {str(path)!r}, whose"
            f" {packed / MEBIBYTE:.3g} MiB would become {size / MEBIBYTE:.4g} MiB. If that is"
            f" right: --max-size {size // MEBIBYTE + 1}."
        )


def _stored(file: Path | Any) -> int:
    """Bytes of all arrays of an HDF5 file in memory; 0 for other files, which Keras reports."""
    try:
        with h5py.File(file, "r") as content:
            return sum(_sizes(content))
    except (OSError, RuntimeError, ValueError, KeyError):
        return 0


def _sizes(group: Any) -> Iterator[int]:
    found: list[int] = []
    group.visititems(
        lambda name, item: (
            found.append(prod(item.shape) * item.dtype.itemsize)
            if isinstance(item, h5py.Dataset)
            else None
        )
    )
    yield from found


def _check_array(path: Path, place: str, file: BinaryIO | Any, size: int) -> None:
    """Compares the header of one array with the number of bytes that follow."""
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise DataError(
            f"DATA must contain arrays of numbers. Received: {path}{place} with Python objects,"
            " which may contain code. Convert them to an array of floats or integers."
        )
    there = size - file.tell()
    promised = prod(shape) * dtype.itemsize
    if promised > there or min(shape, default=0) < 0:
        raise DataError(
            f"DATA must contain the array that its header declares. Received: {path}{place} with"
            f" the shape {shape} of {dtype}, {promised} bytes, of which {there} are present. Write"
            " it again with numpy.save."
        )
