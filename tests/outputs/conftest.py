"""Synthetic reports, whose numbers are chosen by hand, and TensorBoard's own readers of what was
logged of them.
"""

import contextlib
import json
import math
import re
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import grpc
import pytest
from tensorboard.backend.event_processing import (
    directory_loader,
    directory_watcher,
    event_file_loader,
    io_wrapper,
    plugin_asset_util,
)
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.compat import tensorflow_stub
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.tensorflow_stub.errors import OutOfRangeError
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New
from tensorboard.context import RequestContext
from tensorboard.data import grpc_provider
from tensorboard.data.provider import RunTagFilter

from keras_initcheck.records.data import IndexInput, Labels, OutputStats, TabularInput
from keras_initcheck.records.draw import Distribution, Draw
from keras_initcheck.records.finding import Finding
from keras_initcheck.records.first_step import FirstStep
from keras_initcheck.records.profile import Profile, Spectrum
from keras_initcheck.records.report import MeanFieldSummary, Report
from keras_initcheck.records.sites import SiteStats, WeightStats
from keras_initcheck.records.statistics import Histogram, Moments, Places
from keras_initcheck.records.trial import Trial

NASTY_NAMES = (
    "plain",
    "[red]markup[/red]",
    "<script>alert(1)</script>",
    "encoder/stage_with_a_long_name/block_012/attention/query_projection_dense",
    "escape\x1b[31m\x07\rline\nbreak",
    "größe/層の名前/とても長い名前/密結合層/出力",
    "emoji/🙂🙂🙂/rtl\u202eabc",
    "a|b`c`*d*_e_",
    "surrogate\ud800/thumb👍🏽/flag🇩🇪/e\u0301\u200b",
)


def moments(second_moment: float = 1.0, **changes: float) -> Moments:
    values = {
        "mean": 0.0,
        "variance": second_moment,
        "max_abs": 3.0,
        "share_zero": 0.5,
        "share_nonfinite": 0.0,
        "batch_share": 0.25,
    }
    return Moments(**{**values, **changes}, second_moment=second_moment, num_elements=1024)  # type: ignore[arg-type]


def weight_site(index: int, name: str, ratio: float = 1.0, **changes: object) -> SiteStats:
    q = changes.pop("q", 1.0)
    assert isinstance(q, float)
    facts: dict[str, object] = {
        "layer_type": "Dense",
        "kind": "weight",
        "output_shape": (32, 128),
        "num_parameters": 16_512,
        "activations": Places(moments(q), moments(q * 2), moments(q * ratio)),
        "random_gradients": Places(x=moments(0.25), h=moments(0.5)),
        "forward_ratio": ratio,
        "backward_ratio": 0.5,
        "predicted_forward_ratio": 1.0,
        "predicted_backward_ratio": 1.0,
        "log10_forward_gain": 0.0,
        "log10_backward_gain": 0.0,
        "predicted_log10_second_moment": 0.0,
    }
    return SiteStats(index=index, name=name, layer=name.partition("#")[0], **{**facts, **changes})  # type: ignore[arg-type]


def other_site(index: int, name: str, layer_type: str, kind: str) -> SiteStats:
    return SiteStats(
        index, name, name, layer_type, kind, output_shape=(32, 128), activations=Places(h=moments())
    )


def finding(
    site: str | None = None, code: str = "IC102", severity: str = "error", **changes: object
) -> Finding:
    facts: dict[str, object] = {
        "slug": "forward-gain",
        "message": f"The signal grows 9.1-fold in {site}.",
        "why": "Activations overflow.",
        "fix": "Use he_normal.",
        "layer": site,
        "measured": 9.1,
        "expected": "0.5 .. 2",
    }
    return Finding(code=code, severity=severity, site=site, **{**facts, **changes})  # type: ignore[arg-type]


def kernel(site: SiteStats) -> WeightStats:
    return WeightStats(
        f"{site.name}/kernel",
        site.layer,
        site.index,
        "kernel",
        (128, 128),
        128.0,
        128.0,
        moments(0.25),
        64.0,
        0.5,
        moments(0.01),
        12.8,
        16,
        Draw(
            "another draw",
            Distribution("truncated normal", 0.0, 0.125),
            Distribution("normal", 0.0, 0.5),
        ),
        optimizer="Adam",
    )


def report(
    sites: Sequence[SiteStats] = (),
    findings: Sequence[Finding] = (),
    num_sites: int = 3,
    **changes: object,
) -> Report:
    """A report of those sites; by default `num_sites` dense layers with nasty names."""
    names = [f"{NASTY_NAMES[index % len(NASTY_NAMES)]}{index}" for index in range(num_sites)]
    sites = tuple(sites) or tuple(weight_site(index, name) for index, name in enumerate(names))
    facts: dict[str, object] = {
        "model": "net",
        "weights": tuple(kernel(site) for site in sites if site.kind == "weight"),
        "batch_size": 32,
        "backend": "jax",
        "source": "standard normal inputs",
        "log10_forward_gain": 0.5,
        "log10_backward_gain": -0.5,
        "seconds": 1.5,
    }
    return Report(Profile.of(sites=sites, **{**facts, **changes}), tuple(findings))  # type: ignore[arg-type]


SPECTRUM = Spectrum(
    64, 320, 0.25, 0.01, 16, largest=2.0, largest_error=0.03, num_iterations=20, note="a note"
)
MEAN_FIELD = MeanFieldSummary(
    None,
    "<b>a",
    "z",
    19,
    "tanh",
    1.3,
    0.05,
    0.3,
    0.88,
    1.0,
    7.8,
    7.9,
    "`<b>a` to `z` are 19 like layers.",
)


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """The builders above."""
    return SimpleNamespace(
        report=report,
        site=weight_site,
        other=other_site,
        finding=finding,
        moments=moments,
        kernel=kernel,
        nasty_names=NASTY_NAMES,
        spectrum=SPECTRUM,
        mean_field=MEAN_FIELD,
    )


@pytest.fixture
def full_report() -> Report:
    """Two sites, weights and a finding, with every field filled but the inputs of the first."""
    places = [
        Places(moments(number), moments(number * 2), moments(number / 3))
        for number in (0.1, 0.2, 0.3)
    ]
    site = weight_site(
        0,
        "block/dense#2",
        inputs_known=False,
        follows_previous=True,
        model_inputs=("image",),
        input_shape=(32, 64),
        is_trainable=False,
        activation="relu",
        activations=places[0],
        loss_gradients=places[1],
        random_gradients=places[2],
        log_ratio_variance=0.04,
        chain=2,
        is_head=True,
        predicted_log10_second_moment=-0.25,
        predicted_log10_gradient=0.5,
        unpredicted="a recurrent layer",
    )
    full = report(
        [site, replace(site, index=1, name="block/dense#3", inputs=(0,))],
        [finding("block/dense#2", culprits=("a", "b"), details="½ n Var[w] = 3", span=("a", "b"))],
        not_probed=(("lambda", "was not called"),),
        loss=2.5,
        inputs=(("image", moments()),),
        optimizer="SGD",
        step=7,
        seed=3,
        versions=(("keras", "3.15.1"),),
        histograms=(("weight/dense", Histogram(-1.0, 1.0, (1.0, 2.0))),),
        outputs=(
            OutputStats(
                "out",
                0,
                "softmax",
                10,
                "huber",
                True,
                2.5,
                -1.0,
                1.0,
                math.nan,
                Labels(0.0, 9.0, 4.5, 2.9, 2.5),
                True,
                "tanh",
            ),
        ),
        tabular_inputs=(TabularInput("table", 13, (12, 3), 0.98, 700.0, 2.5),),
        index_inputs=(IndexInput(1, "word", 4, 0.0, 7.0, 0.5, 0.0),),
        regularization=0.5,
        spectrum=SPECTRUM,
        first_step=FirstStep(
            2.5,
            2.4,
            -0.2,
            0.01,
            0.9,
            (0.001, math.nan),
            (0.0, 0.5),
            500,
            True,
            (0.999, math.nan),
            0.001,
        ),
        trial=Trial(
            "net",
            "diverges",
            "the loss is nan from step 2 on",
            (("loss", (2.5, math.nan)),),
            "loss",
            (0.1, 0.1),
            2.3,
            2.4,
            2.4,
            0.1,
            2,
            ("kernel",),
            (0, 1),
            ((0.001,), (math.nan,)),
            "SGD",
            32,
            "2 batches of ndarray, shuffled",
            0.5,
        ),
        is_loss_scaled=True,
    )
    return replace(full, mean_field=replace(MEAN_FIELD, reason="none"))


@pytest.fixture(scope="session")
def events_of():
    """`events_of(path)`: the events in a file, as they were written."""

    def read_events(path):
        reader, events = PyRecordReader_New(str(path)), []
        with contextlib.suppress(OutOfRangeError):  # its way to say that the file has ended
            while True:
                reader.GetNext()
                events.append(Event.FromString(reader.record()))
        return events

    return read_events


@pytest.fixture(scope="session")
def files_of_at_most():
    """`with files_of_at_most(num_bytes)`: no file can grow further, as on a full disk. The write
    that crosses the limit is cut short.
    """
    resource = pytest.importorskip("resource")

    @contextlib.contextmanager
    def limited(num_bytes):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limited


class Log:
    """What a data provider of TensorBoard says about a log directory."""

    def __init__(self, provider):
        self.provider = provider
        self.query = {"ctx": RequestContext(), "experiment_id": ""}

    def runs(self):
        return {run.run_name for run in self.provider.list_runs(**self.query)}

    def scalars(self, run):
        """`{tag: {step: value}}`."""
        found = self.provider.read_scalars(
            **self.query, plugin_name="scalars", downsample=1000, run_tag_filter=RunTagFilter([run])
        )
        return {
            tag: {point.step: point.value for point in points}
            for tag, points in found.get(run, {}).items()
        }

    def tensors(self, run, plugin):
        """`{tag: {step: array}}`."""
        found = self.provider.read_tensors(
            **self.query, plugin_name=plugin, downsample=1000, run_tag_filter=RunTagFilter([run])
        )
        return {
            tag: {point.step: point.numpy for point in points}
            for tag, points in found.get(run, {}).items()
        }

    def descriptions(self, run):
        """`{tag: the JSON that the package's own plugin is told about it}`."""
        series = self.provider.list_tensors(**self.query, plugin_name="initcheck")[run]
        return {tag: json.loads(each.plugin_content) for tag, each in series.items()}


def read_with_python(log_dir, stack):
    # TensorBoard's stand-in for an absent TensorFlow. Importing the real one takes seconds and
    # changes nothing that is read.
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    for module in (
        directory_loader,
        directory_watcher,
        event_file_loader,
        io_wrapper,
        plugin_asset_util,
    ):
        patch.setattr(module, "tf", tensorflow_stub)
    multiplexer = EventMultiplexer(tensor_size_guidance={"initcheck": 0, "scalars": 0})
    multiplexer.AddRunsFromDirectory(str(log_dir))
    multiplexer.Reload()
    return MultiplexerDataProvider(multiplexer, str(log_dir))


def read_with_data_server(log_dir, stack):
    binary = pytest.importorskip("tensorboard_data_server").server_binary()
    if binary is None:
        pytest.skip("no data server for this platform")
    command = [
        binary,
        "--logdir",
        str(log_dir),
        "--port",
        "0",
        "--reload",
        "once",
        "--verbose",
        "--samples-per-plugin",
        "initcheck=all",
    ]
    server = stack.enter_context(subprocess.Popen(command, stderr=subprocess.PIPE, text=True))
    stack.callback(server.terminate)
    said = ""
    for line in server.stderr:  # before it has finished loading, it answers with a part of the data
        said += line
        if "Finished load cycle" in line:
            break
    address = re.search(r"listening on (\S+)", said)[1]
    channel = grpc.insecure_channel(address)
    stack.callback(channel.close)
    return grpc_provider.GrpcDataProvider(address, grpc_provider.make_stub(channel))


@pytest.fixture(params=[read_with_python, read_with_data_server], ids=["python", "data_server"])
def read(request):
    """`read(log_dir)`: the `Log`, through each of the two readers that TensorBoard has."""
    with contextlib.ExitStack() as stack:
        yield lambda log_dir: Log(request.param(log_dir, stack))
