"""Reports as one HTML file that needs nothing else: no network, no server, no other file.

Almost all of its size is plotly.js, of which plotly's wheel ships the full bundle only: 4.8 MB. It
is carried as gzip in base64 and unpacked by the browser itself (`DecompressionStream`: Chromium 80,
Firefox 113, Safari 16.4 and later), which makes 2.0 MB. An older browser shows verdict, findings
and table without the figures, and says so. A content security policy in the page forbids it to ask
anybody for anything.
"""

import base64
import gzip
import json
import uuid
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_initcheck.outputs import html_text, summary
from keras_initcheck.outputs.comparison import compare
from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.figures import draw, get_plotlyjs
from keras_initcheck.outputs.figures.layout import without_title
from keras_initcheck.outputs.figures.palette import DARK, LIGHT, Palette, dark_for_light
from keras_initcheck.outputs.html_text import escape
from keras_initcheck.records.report import Report

if TYPE_CHECKING:
    import plotly.graph_objects as go

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
)

CAPTIONS = {
    "signal": (
        "Solid: measured. Dotted: predicted from the model's inputs and all weights on the way,"
        " shaded: what chance allows in 99% of healthy networks. Dashed: ideal, where signal and"
        " gradient keep their size."
    ),
    "ratios": (
        "What each layer multiplies the mean square by. Points: measured. Dashes and bars:"
        " predicted from its weights, with what chance allows."
    ),
}


def save_html(report: Report, path: str | Path) -> None:
    """Writes the report as one HTML file of about 2 MB.

    Args:
        report: What to show.
        path: The file.

    Raises:
        OSError: The file cannot be written.
        MissingPackageError: plotly is not installed.
    """
    Path(path).write_text(render(report), encoding="utf-8")


def compare_html(reports: Sequence[tuple[str, Report]], path: str | Path) -> None:
    """Writes several reports as one HTML file of about 2 MB, their curves over each other.

    Args:
        reports: Title and report of each probe.
        path: The file.

    Raises:
        OSError: The file cannot be written.
        ValueError: There are fewer than two reports.
        MissingPackageError: plotly is not installed.
    """
    Path(path).write_text(render_comparison(reports), encoding="utf-8")


def render(report: Report) -> str:
    """The page of one report."""
    profile, frame = report.profile, FigureData.from_report(report)
    figures = {
        kind: without_title(draw(kind, [frame])) for kind in ("signal", "ratios") if profile.sites
    }
    anchors = {site.name: f"site-{site.index}" for site in profile.sites}
    parts = [
        _verdict(report, summary.title(profile), summary.whole_network(profile)),
        _figure("Signal and gradient, layer by layer", "signal", figures),
        f"<section><h2>Findings</h2>\n{html_text.findings(report.findings, anchors)}</section>",
        f"<section><h2>Layers</h2>\n{html_text.table(report)}</section>" if profile.sites else "",
        _figure("Each layer by itself", "ratios", figures),
        _whole(report),
        (
            f"<section><h2>Not probed</h2>\n{html_text.list_of(not_probed)}</section>"
            if (not_probed := summary.not_probed(profile))
            else ""
        ),
        _footer(report),
    ]
    return _page(f"{profile.model}: initialisation check", "\n".join(parts), figures)


def render_comparison(reports: Sequence[tuple[str, Report]]) -> str:
    """The page of several reports.

    Raises:
        ValueError: There are fewer than two.
    """
    if len(reports) < 2:
        raise ValueError(
            f"`reports` must hold two reports or more to compare. Received: {len(reports)}."
        )
    frames = [FigureData.from_report(report, run=title) for title, report in reports]
    figures = {"signal": without_title(draw("signal", frames))}
    parts = [
        f"<header><h1>Comparison of {len(reports)} probes</h1></header>",
        _comparison_table(reports),
    ]
    parts.append(_figure("Signal and gradient, layer by layer", "signal", figures))
    parts += [_summary(title, report) for title, report in reports]
    return _page("Comparison of initialisation checks", "\n".join(parts), figures)


def figure_fragment(figure: "go.Figure") -> str:
    """The figure as HTML to put into a notebook's output. It carries plotly.js, 2 MB, and unpacks
    it where the window has none yet.
    """
    identity = f"initcheck-{uuid.uuid4().hex}"
    script = f"""(async () => {{
{_asset("unpack.js")}
const {{ data, layout }} = JSON.parse(await unpack("{_pack(_json(figure))}"));
const plotly = await loadPlotly("{_pack(get_plotlyjs())}");
plotly.newPlot(document.getElementById("{identity}"), data, layout, CONFIG);
}})();"""
    return (
        f'<div id="{identity}" style="min-height:'
        f' {figure.layout.height}px"></div><script>{script}</script>'
    )


def _verdict(report: Report, title: str, gains: str, level: int = 1) -> str:
    worst = report.worst if not report.ok else "healthy"
    said = f'<p class="muted">{escape(gains)}</p>' if gains else ""
    heading = f"<h{level}>{html_text.prose(report.verdict)}</h{level}>"
    return (
        f'<header class="verdict {worst}">{heading}<p'
        f' class="muted">{escape(title)}</p>{said}</header>'
    )


def _summary(title: str, report: Report) -> str:
    """One of several reports: its verdict, and its findings folded away."""
    profile = report.profile
    verdict = _verdict(report, summary.title(profile), summary.whole_network(profile), level=3)
    num = len(report.findings)
    found = (
        f"<details><summary>{num}"
        f" finding{'s' * (num != 1)}</summary>\n{html_text.findings(report.findings, {})}</details>"
        if num
        else ""
    )
    measured = f'<p class="muted">{escape(summary.how_measured(profile))}</p>'
    return f"<section><h2>{escape(title)}</h2>\n{verdict}\n{found}{measured}</section>"


def _figure(title: str, name: str, figures: "dict[str, go.Figure]") -> str:
    """A place for the figure, as high as it will be, so that nothing moves when it is drawn."""
    if name not in figures:
        return ""
    plot = (
        f'<div class="plot" data-figure="{name}" data-state="waiting" style="min-height:'
        f' {figures[name].layout.height}px">drawing …</div>'
    )
    caption = f"<figcaption>{escape(CAPTIONS[name])}</figcaption>"
    return f"<section><h2>{escape(title)}</h2><figure>{plot}{caption}</figure></section>"


def _whole(report: Report) -> str:
    """What is known of the network as a whole beside its gains; `""` where nothing is."""
    found = report.mean_field
    parts = [f"<p>{escape(text)}</p>"] if (text := summary.spectrum(report.profile)) else []
    if found is not None and found.reason is None:
        parts += [
            f"<p>Mean field theory, from the weights alone: {html_text.prose(found.sentence)}</p>",
            html_text.mean_field(found),
        ]
    return (
        f"<section><h2>Depth and singular values</h2>\n{''.join(parts)}</section>" if parts else ""
    )


def _comparison_table(reports: Sequence[tuple[str, Report]]) -> str:
    head, *rows = compare(reports)
    heads = "".join(f'<th scope="col">{escape(title)}</th>' for title in head)
    lines = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return (
        '<div class="scroll"><table'
        f' class="comparison"><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'
    )


def _footer(report: Report) -> str:
    profile = report.profile
    versions = ", ".join(f"{name} {version}" for name, version in profile.versions)
    facts = [
        summary.how_measured(profile),
        f"Seed {profile.seed}.",
        f"{versions}." if versions else "",
    ]
    return (
        '<footer class="muted"><h2>How it was'
        f" measured</h2><p>{escape(' '.join(facts))}</p></footer>"
    )


def _page(title: str, body: str, figures: "dict[str, go.Figure]") -> str:
    drawn = ", ".join(f"{json.dumps(name)}: {_json(figure)}" for name, figure in figures.items())
    pictures = f'{{"figures": {{{drawn}}}, "darkForLight": {json.dumps(dict(dark_for_light()))}}}'
    return "\n".join(
        (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n<main>\n{body}\n</main>",
            f'<script type="text/plain" id="figures">{_pack(pictures)}</script>',
            f'<script type="text/plain" id="plotly">{_pack(get_plotlyjs())}</script>',
            f"<script>\n{_asset('unpack.js')}\n{_asset('page.js')}</script>\n</body>\n</html>\n",
        )
    )


def _style() -> str:
    """The style sheet with the figures' colours filled in."""
    style = _asset("page.css")
    for name, colours in (("LIGHT", LIGHT), ("DARK", DARK)):
        for field, value in _single_colours(colours).items():
            style = style.replace(f"{name}.{field};", f"{value};")
    return style


def _single_colours(colours: Palette) -> dict[str, Any]:
    return {field: value for field, value in vars(colours).items() if isinstance(value, str)}


def _asset(name: str) -> str:
    return (
        resources.files("keras_initcheck.outputs")
        .joinpath("page", name)
        .read_text(encoding="utf-8")
    )


def _pack(text: str) -> str:
    """The text as gzip in base64, the same each time. It holds no tag, whatever the text holds."""
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def _json(figure: "go.Figure") -> str:
    return str(figure.to_json())
