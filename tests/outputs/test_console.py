"""The report on a terminal: nothing sticks out, nothing is acted on, and the worst comes where it
is seen.
"""

import io
import math
from dataclasses import replace

import pytest
from rich.cells import cell_len

from keras_initcheck.outputs.console import print_report, render
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import MeanFieldSummary, Report
from keras_initcheck.records.statistics import Places

WIDTHS = (40, 60, 80, 120, 200)
COLORS = ("\x1b[31m", "\x1b[1;31m", "\x1b[33m", "\x1b[36m")


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def colorful(monkeypatch):
    """Nothing in the environment speaks for or against colors."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


def residual_net(make, num_blocks):
    """Seven rows a block, and a head."""
    kinds = (
        ("Conv2D", "weight"),
        ("BatchNormalization", "normalization"),
        ("ReLU", "activation"),
        ("Conv2D", "weight"),
    )
    kinds += (("BatchNormalization", "normalization"), ("Add", "merge"), ("ReLU", "activation"))
    sites = []
    for block in range(num_blocks):
        for layer_type, kind in kinds:
            name = f"block_{block}/{layer_type.lower()}_{len(sites)}"
            is_weight = kind == "weight"
            sites.append(
                make.site(len(sites), name, layer_type=layer_type)
                if is_weight
                else make.other(len(sites), name, layer_type, kind)
            )
    return [*sites, make.site(len(sites), "head")]


def printed(report, width=80, **stream):
    file = io.TextIOWrapper(io.BytesIO(), **stream) if stream else io.StringIO()
    print_report(report, file, width)
    file.seek(0)
    return file.read()


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("num_sites", [3, 300])
def test_every_line_fits(make, width, num_sites):
    findings = [
        make.finding(name, code=f"IC{number}") for number, name in enumerate(make.nasty_names)
    ]
    not_probed = tuple((name, f"`{name}` was never called.") for name in make.nasty_names)
    report = make.report(
        findings=findings,
        num_sites=num_sites,
        not_probed=not_probed,
        model="".join(make.nasty_names),
    )
    assert max(cell_len(line) for line in render(report, width).split("\n")) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_printed_lines_are_the_rendered_ones(make, width):
    report = make.report(findings=[make.finding("plain0")], num_sites=20)
    assert printed(report, width).split("\n") == [
        *(line.rstrip() for line in render(report, width).split("\n")),
        "",
    ]


def test_wider_terminals_show_more_columns(make):
    narrow, normal, wide = (render(make.report(), width) for width in (40, 80, 200))
    assert "forward" in narrow
    assert "backward" not in narrow
    assert "backward" in normal
    assert "largest" not in normal
    assert "largest" in wide


def test_deep_net_with_repeated_blocks_takes_two_screens(make):
    text = render(make.report(residual_net(make, 24)), 80)
    assert text.count("\n") < 100
    assert "… 22 more blocks like these (forward 1.00 .. 1.00)" in text
    assert "head" in text


def test_what_is_not_in_the_table_is_counted(make):
    assert "Not shown: 48 activations." in render(make.report(residual_net(make, 24)), 80)


def test_row_with_a_finding_is_shown(make):
    sites = residual_net(make, 24)
    name = sites[80].name
    text = render(make.report(sites, [make.finding(name, layer=name)]), 120)
    assert sum(line.startswith(f"✗  80 {name} ") for line in text.split("\n")) == 1


def test_activation_is_shown_only_with_a_finding(make):
    sites = [
        make.site(0, "a"),
        make.other(1, "relu", "ReLU", "activation"),
        make.other(2, "tanh", "Tanh", "activation"),
    ]
    text = render(make.report(sites, [make.finding("relu", severity="warning")]), 80)
    assert "! 1 relu" in text
    assert "2 tanh" not in text


def test_net_of_uninformative_layers_is_shown_all_the_same(make):
    assert "0 relu" in render(make.report([make.other(0, "relu", "ReLU", "activation")]), 80)


def test_findings_come_in_the_report_s_order_and_the_verdict_last(make):
    severities = ("error", "warning", "info")
    findings = [
        make.finding(f"{severity}_site", code=f"IC10{k}", severity=severity)
        for k, severity in enumerate(severities)
    ]
    lines = render(make.report(findings=findings, num_sites=1), 80).split("\n")
    order = [
        lines.index(line)
        for line in ("✗ IC100 forward-gain: error_site", "! IC101 forward-gain: warning_site")
    ]
    order.append(lines.index("· IC102 The signal grows 9.1-fold in info_site."))
    assert order == sorted(order)
    assert " ".join(lines[-2:]) == (
        "net: error: The signal grows 9.1-fold in error_site. Use he_normal. 1 more finding."
    )


def test_healthy_net_ends_in_its_verdict(make):
    assert (
        render(make.report(num_sites=1), 80).split("\n")[-1]
        == "net: healthy. No layer loses or blows up the signal."
    )


def notes_and_formulas(make):
    notes = [
        make.finding(name, code="IC104", severity="info", why="Harmless.") for name in ("b", "c")
    ]
    loud = make.finding("a", details="½ n Var[w] = 3", span=("a", "z"))
    return make.report(findings=[loud, *notes])


def test_notes_are_a_line_for_each_code_and_formulas_are_left_out(make):
    text = render(notes_and_formulas(make), 80)
    assert "✗ IC102 forward-gain: a … z\n" in text
    assert "\n· IC104 The signal grows 9.1-fold in b. (and 1 more like it)\n" in text
    assert "½ n Var[w]" not in text
    assert "Harmless." not in text
    assert "In full: report.details(), or initcheck --verbose." in " ".join(text.split())


def test_everything_is_shown_if_asked_for(make):
    text = render(notes_and_formulas(make), 80, is_verbose=True)
    assert "    details: ½ n Var[w] = 3\n" in text
    assert "· IC104 forward-gain: b\n" in text
    assert "· IC104 forward-gain: c\n" in text
    assert "Harmless." in text
    assert "--verbose" not in text


def test_long_note_is_cut_at_the_end_of_the_line(make):
    note = make.finding(severity="info", message="Layers and " * 20)
    lines = render(make.report(findings=[note]), 60).split("\n")
    (line,) = (each for each in lines if each.startswith("·"))
    assert 55 < len(line) <= 60
    assert line.endswith("…")


def test_finding_says_what_why_and_fix(make):
    text = render(
        make.report(
            [make.site(0, "dense")],
            [make.finding("dense", fix="Use he_normal, " + "which is longer than a line " * 3)],
        ),
        60,
    )
    assert (
        "    The signal grows 9.1-fold in dense.\n    why: Activations overflow.\n    fix: Use"
        " he_normal, which is longer" in text
    )
    assert "\n         longer than a line which is longer" in text


def test_why_and_fix_are_said_once(make):
    text = render(make.report(findings=[make.finding("a"), make.finding("b")]), 80)
    assert text.count("why: ") == text.count("fix: ") == 1


def test_many_findings_of_a_code_are_counted(make):
    text = render(make.report(findings=[make.finding(f"site{number}") for number in range(20)]), 80)
    assert "forward-gain: site11" in text
    assert "forward-gain: site12" not in text
    assert "✗ IC102 and 8 more like it" in text


def test_finding_about_the_network_says_so(make):
    assert "✗ IC102 forward-gain: whole network" in render(
        make.report(findings=[make.finding(None)]), 80
    )


@pytest.mark.parametrize(("count", "line"), [(1, "1 finding exempted"), (2, "2 findings exempted")])
def test_exempted_findings_are_counted(make, count, line):
    assert line in render(replace(make.report(), num_exempted=count), 80).split("\n")
    assert "exempted" not in render(make.report(), 80)


def test_what_was_not_probed_is_listed(make):
    text = render(
        make.report(
            not_probed=tuple((f"layer_{number}", "was never called") for number in range(10))
        ),
        80,
    )
    assert "Not probed\n    layer_0: was never called\n" in text
    assert "layer_8" not in text
    assert "    and 2 more\n" in text


def test_report_without_sites_is_shown():
    lines = render(Report(Profile.of("empty", ())), 80).split("\n")
    assert lines[0] == "empty: 0 weight layers, 0 parameters, step 0"
    assert lines[-1] == "empty: healthy. No layer loses or blows up the signal."


def test_names_are_shown_literally(make):
    text = printed(make.report(num_sites=9, model="[bold]net[/bold] :smile:"), 200)
    assert "[bold]net[/bold] :smile:: 9 weight layers" in text
    assert "[red]markup[/red]1 " in text
    assert "a|b`c`*d*_e_7 " in text
    assert "größe/層の名前/とても長い名前/密結合層/出力5 " in text


def test_names_cannot_move_the_cursor(make):
    text = printed(
        make.report(
            num_sites=9,
            findings=[make.finding(name, code="IC\x1b") for name in make.nasty_names * 2],
        ),
        200,
    )
    assert "escape�[31m��line�break4 " in text
    assert {character for character in text if not character.isprintable()} == {"\n"}


def test_no_color_codes_go_to_a_file(make):
    assert "\x1b" not in printed(make.report(findings=[make.finding("plain0")]), 80)


def test_terminal_gets_colors_and_nothing_else(make, colorful):
    file = Terminal()
    print_report(make.report(num_sites=9, findings=[make.finding("plain0")]), file, 80)
    assert COLORS[0] in file.getvalue()
    assert "\x07" not in file.getvalue()


def test_no_color_is_respected(make, colorful, monkeypatch):
    monkeypatch.setenv("NO_COLOR", "1")
    file = Terminal()
    print_report(make.report(findings=[make.finding("plain0")]), file, 80)
    assert not any(color in file.getvalue() for color in COLORS)


def test_ascii_stream_gets_stand_ins(make):
    findings = [make.finding("plain0"), make.finding("größe", code="IC103", severity="info")]
    text = printed(
        make.report(residual_net(make, 24), findings), 80, encoding="ascii", errors="strict"
    )
    assert text.isascii()
    assert "x IC102 forward-gain: plain0" in text
    assert ". IC103 The signal grows 9.1-fold in gr??e." in text
    assert "~ 22 more blocks" in text
    assert "signal 1.8 times stronger" in text


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8", "utf-16"])
def test_stream_of_any_encoding_can_be_written(make, encoding):
    assert "healthy" in printed(make.report(num_sites=9), 80, encoding=encoding, errors="strict")


@pytest.mark.parametrize("width", [39, 0, -1])
def test_width_below_forty_is_refused(make, width):
    for show in (
        lambda: render(make.report(), width),
        lambda: print_report(make.report(), io.StringIO(), width),
    ):
        with pytest.raises(
            ValueError, match=f"`width` must be at least 40.*Received: width={width}"
        ):
            show()


@pytest.mark.parametrize(
    ("columns", "expected"), [("100", 100), ("20", 40)], ids=["terminal", "too narrow"]
)
def test_width_is_the_terminal_s(make, monkeypatch, columns, expected):
    monkeypatch.setenv("COLUMNS", columns)
    assert render(make.report(num_sites=30)) == render(make.report(num_sites=30), expected)


def test_standard_output_is_the_default(make, capsys):
    print_report(make.report(), width=80)
    assert capsys.readouterr().out.endswith(
        "net: healthy. No layer loses or blows up the signal.\n"
    )


def test_numbers_beyond_measure_are_shown(make):
    extreme = make.site(
        0,
        "extreme",
        math.nan,
        is_head=True,  # its NaN does not reach the gains of the whole network
        activations=Places(make.moments(), make.moments(), make.moments(share_nonfinite=1.0)),
        predicted_forward_ratio=math.inf,
        backward_ratio=1e300,
        log10_forward_gain=400.0,
    )
    zero = make.site(1, "zero", 0.0, predicted_backward_ratio=None, log10_forward_gain=-math.inf)
    lines = render(
        make.report([extreme, zero], log10_forward_gain=-400.25, log10_backward_gain=math.nan), 80
    ).split("\n")
    rows = {line.split()[1]: line.split()[-7:] for line in lines if line.startswith(("  0", "  1"))}
    assert rows["extreme"] == ["nan", "/", "inf", "1e150", "/", "1.00", "1e200"]
    assert rows["zero"] == ["0", "/", "1.00", "0.707", "/", "-", "0"]
    assert "signal 1.3e200 times weaker, gradient nan." in " ".join(" ".join(lines).split())


def test_title_counts_shared_layers_once(make):
    sites = [make.site(0, "dense"), make.site(1, "dense#2")]
    report = make.report(sites, step=12)
    weights = (
        replace(make.kernel(sites[0]), shape=(10, 100)),
        replace(make.kernel(sites[0]), shape=(100,)),
    )
    report = replace(report, profile=report.profile.with_changes(weights=weights))
    assert render(report, 80).split("\n")[0] == "net: 1 weight layer, 1.1k parameters, step 12"


def test_report_says_how_it_was_measured(make):
    text = render(make.report(loss=2.302585), 80)
    assert (
        "Measured on 32 samples: standard normal inputs, jax, float32, loss 2.30, 1.50 s." in text
    )


def test_singular_values_are_told_where_they_were_measured(make):
    text = " ".join(render(make.report(spectrum=make.spectrum), 80).split())
    assert (
        "mean square 0.250 ± 0.0100, the largest 2.00 (± 0.0300), 4.00 times their root mean"
        " square; all alike is ideal." in text
    )
    assert "Singular values" not in render(make.report(), 80)


def test_largest_singular_value_that_is_not_known_is_excused(make):
    spectrum = replace(
        make.spectrum, largest=None, note="the largest singular value is not known: no rule"
    )
    text = " ".join(render(make.report(spectrum=spectrum), 80).split())
    assert "mean square 0.250 ± 0.0100; the largest singular value is not known: no rule." in text


def test_network_through_which_nothing_passes_has_no_quotient(make):
    spectrum = replace(make.spectrum, mean_square=0.0, largest=0.0)
    assert "the largest 0 (± 0.0300); all alike is ideal." in " ".join(
        render(make.report(spectrum=spectrum), 120).split()
    )


def test_mean_field_is_for_wide_terminals(make):
    report = replace(make.report(), mean_field=make.mean_field)
    assert "Mean field theory: `<b>a` to `z` are 19 like layers." in render(report, 100)
    assert "Mean field" not in render(report, 99)
    assert "Mean field" not in render(
        replace(report, mean_field=MeanFieldSummary(reason="no run")), 100
    )


def test_first_step_is_a_sentence(full_report):
    text = " ".join(render(full_report, 120).split())
    assert (
        "First step of 500, SGD at rate 0.01 (the height of its warm-up), momentum 0.9, 0.00100 of"
        " each weight (median): loss 2.50 to 2.40, promised -0.200; 25% of each gradient (median)"
        " is below the optimizer's epsilon."
    ) in text
