"""TensorBoard's event files without TensorFlow: values, and the file they are appended to.

TensorBoard's own `EventFileWriter` imports all of TensorFlow where that is installed (seconds, and
memory on a GPU), and works in a thread that keeps what it could not write to itself. Here an event
is in the file, or the caller knows that it is not.
"""

import itertools
import os
import socket
import time
import weakref
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import (
    DATA_CLASS_SCALAR,
    DATA_CLASS_TENSOR,
    Summary,
    SummaryMetadata,
)
from tensorboard.plugins.histogram import metadata as histogram_plugin
from tensorboard.plugins.scalar import metadata as scalar_plugin
from tensorboard.plugins.text import metadata as text_plugin
from tensorboard.util.tensor_util import make_tensor_proto

from keras_initcheck.outputs.crc32c import frame
from keras_initcheck.records.statistics import Histogram

FILE_VERSION = "brain.Event:2"

_FILE_NUMBERS = itertools.count()
"""Keeps the names of files apart that one process opens within one second."""


def scalar(tag: str, value: float, description: str = "") -> Summary.Value:
    """A point of a curve. Stored as float32, NaN and infinities as they are."""
    with np.errstate(over="ignore"):
        number = np.float32(value)
    return _value(
        tag, number, scalar_plugin.create_summary_metadata(None, description), DATA_CLASS_SCALAR
    )


def text(tag: str, markdown: str) -> Summary.Value:
    """A piece of markdown."""
    return _value(
        tag,
        markdown.encode("utf-8", "replace"),
        text_plugin.create_summary_metadata(None, ""),
        DATA_CLASS_TENSOR,
    )


def histogram(tag: str, counts: Histogram) -> Summary.Value:
    """Counts in ready-made bins: `(bins, 3)` of left edge, right edge and count."""
    edges = np.linspace(counts.minimum, counts.maximum, len(counts.counts) + 1)
    buckets = np.stack([edges[:-1], edges[1:], np.asarray(counts.counts, np.float64)], axis=1)
    return _value(
        tag, buckets, histogram_plugin.create_summary_metadata(None, ""), DATA_CLASS_TENSOR
    )


def plugin_data(
    tag: str, data: npt.NDArray[np.floating] | bytes | list[bytes], plugin: str, content: str
) -> Summary.Value:
    """A tensor of numbers or strings for the plugin of that name.

    Args:
        tag: Name of the series.
        data: The tensor.
        plugin: Name of the plugin.
        content: Description of the tag, which the plugin reads.
    """
    description = SummaryMetadata.PluginData(
        plugin_name=plugin, content=content.encode("utf-8", "replace")
    )
    return _value(tag, data, SummaryMetadata(plugin_data=description), DATA_CLASS_TENSOR)


def _value(tag: str, data: object, metadata: SummaryMetadata, data_class: int) -> Summary.Value:
    metadata.data_class = (
        data_class  # without it, TensorBoard's data server drops the tag and says nothing
    )
    dtype = data.dtype if isinstance(data, np.ndarray | np.generic) else None
    return Summary.Value(tag=tag, tensor=make_tensor_proto(data, dtype=dtype), metadata=metadata)


class EventWriter:
    """Appends events to a new event file in a directory, each on disk before the call returns.

    Args:
        directory: An existing directory that no other writer uses: TensorBoard follows only the
            newest event file in it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        place = f"{socket.gethostname()}.{os.getpid()}.{next(_FILE_NUMBERS)}"
        name = f"events.out.tfevents.{int(time.time()):010d}.{place}"
        self._path = (directory / name).absolute()  # the working directory may change
        self._file = open(self._path, "xb", buffering=0)  # noqa: SIM115  # closed by `close`
        weakref.finalize(
            self, self._file.close
        )  # who forgets `close`, as an aborted fit does, gets no ResourceWarning
        self._tags: set[str] = set()
        try:
            self._append(Event(wall_time=time.time(), file_version=FILE_VERSION))
        except OSError:
            self.close()
            raise

    def write(self, values: Sequence[Summary.Value], step: int) -> None:
        """Appends one event. Metadata stays in a tag's first event: readers keep that one.

        Raises:
            OSError: It could not be written; the file is as it was before.
        """
        for value in values:
            if value.tag in self._tags:
                value.ClearField("metadata")
        self._append(Event(wall_time=time.time(), step=step, summary=Summary(value=values)))
        self._tags.update(value.tag for value in values)

    @property
    def is_lost(self) -> bool:
        """Whether the file was removed, so that nobody will read what is appended to it."""
        return not self._path.exists()

    def close(self) -> None:
        """Closes the file. May be called again."""
        self._file.close()

    def _append(self, event: Event) -> None:
        start, rest = self._file.tell(), memoryview(frame(event.SerializeToString()))
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            # Half a record would hide every later one from TensorBoard.
            self._file.truncate(start)
            self._file.seek(start)
            raise
