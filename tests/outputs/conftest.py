"""Synthetic reports: numbers chosen by hand, so that a test knows what must be shown or stored."""

from collections.abc import Callable, Sequence

import pytest

from keras_initcheck.profile import Histogram, Moments, Places, Profile, SiteStats, WeightStats
from keras_initcheck.report import Finding, Report

MakeReport = Callable[..., Report]

NASTY_NAMES = (
    "plain",
    "[red]markup[/red]",
    "<script>alert(1)</script>",
    "encoder/stage_with_a_long_name/block_012/attention/query_projection_dense",
    "escape\x1b[31m\x07\rline\nbreak",
    "größe/層の名前/とても長い名前/密結合層/出力",
    "emoji/🙂🙂🙂/rtl\u202eabc",
    "a|b`c`*d*_e_",
)


def moments(second_moment: float = 1.0, **changes: float) -> Moments:
    values = {"mean": 0.0, "variance": second_moment, "largest": 3.0, "share_zero": 0.5, "share_nonfinite": 0.0, "batch_share": 0.25}
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
    }
    return SiteStats(index=index, name=name, layer=name.partition("#")[0], **{**facts, **changes})  # type: ignore[arg-type]


def other_site(index: int, name: str, layer_type: str, kind: str) -> SiteStats:
    return SiteStats(index, name, name, layer_type, kind, output_shape=(32, 128), activations=Places(h=moments()))


def finding(site: str | None = None, code: str = "IC102", severity: str = "error", **changes: object) -> Finding:
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
        f"{site.name}/kernel", site.layer, site.index, "kernel", (128, 128), 128.0, 128.0, moments(0.25), 64.0, 0.5, True, moments(0.01), 12.8
    )


@pytest.fixture
def make_report() -> MakeReport:
    """Builds a report of those sites; by default `num_sites` dense layers with nasty names."""

    def make(sites: Sequence[SiteStats] = (), findings: Sequence[Finding] = (), num_sites: int = 3, **changes: object) -> Report:
        names = [f"{NASTY_NAMES[index % len(NASTY_NAMES)]}{index}" for index in range(num_sites)]
        sites = tuple(sites) or tuple(weight_site(index, name) for index, name in enumerate(names))
        facts: dict[str, object] = {
            "model": "net",
            "weights": tuple(kernel(site) for site in sites if site.kind == "weight"),
            "batch_size": 32,
            "backend": "jax",
            "data": "standard normal inputs",
            "log10_forward_gain": 0.5,
            "log10_backward_gain": -0.5,
            "seconds": 1.5,
        }
        return Report(Profile(sites=sites, **{**facts, **changes}), tuple(findings))  # type: ignore[arg-type]

    return make


@pytest.fixture
def histogram() -> Histogram:
    return Histogram(-1.0, 1.0, (1.0, 2.0, 3.0, 4.0))
