"""Reports as strict JSON and back, and what is refused."""

import json
import math
import random
from dataclasses import fields, is_dataclass, replace

import pytest

from keras_initcheck.outputs import comparison, console, limits
from keras_initcheck.outputs.figure_data import FigureData
from keras_initcheck.outputs.json_document import ProfileDocument
from keras_initcheck.outputs.json_format import from_json, schema, to_json
from keras_initcheck.records.profile import Profile
from keras_initcheck.records.report import Report
from tests.support.mutations import mutated


def refuse_constant(name):
    raise AssertionError(f"{name} is no JSON")


def strict(text):
    return json.loads(text, parse_constant=refuse_constant)


def unfilled(value, path="report"):
    """Paths of fields that hold `None` or nothing."""
    if isinstance(value, Profile):
        value = ProfileDocument.from_profile(value)
    if is_dataclass(value):
        return [
            each
            for field in fields(value)
            for each in unfilled(getattr(value, field.name), f"{path}.{field.name}")
        ]
    if isinstance(value, tuple):
        return [each for item in value for each in unfilled(item, f"{path}[]")] if value else [path]
    return [path] if value is None or value == "" else []


def test_report_with_every_field_filled_comes_back(full_report):
    assert unfilled(full_report) == [
        "report.profile.sites[].inputs"
    ]  # of the first site, which has none before it
    assert from_json(to_json(full_report)) == full_report


def test_first_step_needs_an_entry_for_each_weight(full_report):
    step = full_report.profile.first_step
    profile = replace(full_report.profile, first_step=replace(step, relative_updates=(0.1,)))
    expected = (
        r"first_step.relative_updates` must be a list with an entry for each of the 2 weights"
    )
    with pytest.raises(ValueError, match=expected):
        from_json(to_json(replace(full_report, profile=profile)))


def test_first_step_of_an_earlier_release_has_no_sizes(full_report):
    document = json.loads(to_json(full_report))
    del document["profile"]["first_step"]["relative_sizes"]
    assert from_json(json.dumps(document)).profile.first_step.relative_sizes == ()


def test_report_of_an_earlier_release_has_no_first_step(full_report):
    document = json.loads(to_json(full_report))
    del document["profile"]["first_step"]
    assert from_json(json.dumps(document)).profile.first_step is None


def test_number_of_exempted_findings_comes_back(full_report):
    assert from_json(to_json(replace(full_report, num_exempted=3))).num_exempted == 3


def test_empty_report_comes_back():
    report = Report(Profile.of("empty", ()))
    assert from_json(to_json(report)) == report


def test_nasty_names_come_back_from_ascii(make):
    report = make.report(
        num_sites=9, findings=[make.finding(name) for name in make.nasty_names], model="NaN"
    )
    assert to_json(report).isascii()
    assert from_json(to_json(report)) == report


def test_numbers_that_json_lacks_are_strings(make):
    site = make.site(
        0, "a", forward_ratio=math.nan, backward_ratio=math.inf, log10_forward_gain=-math.inf
    )
    (written,) = strict(to_json(make.report([site])))["profile"]["sites"]
    assert [written["forward_ratio"], written["backward_ratio"], written["log10_forward_gain"]] == [
        None,
        "Infinity",
        "-Infinity",
    ]


def test_numbers_that_json_lacks_come_back(make):
    site = make.site(
        0, "a", forward_ratio=math.nan, backward_ratio=math.inf, log10_forward_gain=-math.inf
    )
    report = make.report([site], [make.finding(measured=math.nan)], loss=math.inf)
    assert from_json(to_json(report)) == report


@pytest.mark.parametrize("number", [0.1, 1e308, 5e-324, -0.0, 1 / 3])
def test_floats_come_back_bitwise(make, number):
    assert from_json(to_json(make.report(loss=number))).profile.loss.hex() == number.hex()


def test_integer_is_read_as_float_where_a_float_is_asked(full_report):
    document = strict(to_json(full_report))
    document["profile"]["loss"] = 3
    loss = from_json(json.dumps(document)).profile.loss
    assert loss == 3.0
    assert type(loss) is float


def test_document_says_what_it_is(full_report):
    document = strict(to_json(full_report))
    assert list(document) == [
        "format",
        "version",
        "profile",
        "findings",
        "num_exempted",
        "mean_field",
    ]
    assert (document["format"], document["version"]) == ("keras_initcheck.report", 2)


def test_indented_text_is_the_same_report(full_report):
    text = to_json(full_report, indent=1)
    assert text.startswith('{\n "format"')
    assert from_json(text) == full_report


@pytest.mark.parametrize(
    "text",
    [
        "",
        "report.json",
        "{'single': 1}",
        '{"a": NaN}',
        '{"a": Infinity}',
        "[" * 100_000,
        "1" * 5000,
    ],
    ids=["empty", "file name", "quotes", "NaN", "Infinity", "deep", "long number"],
)
def test_text_that_is_no_strict_json_is_refused(text):
    with pytest.raises(
        ValueError, match=r"`text` must be strict JSON\. Received: .*Pass the text itself"
    ):
        from_json(text)


@pytest.mark.parametrize(
    ("text", "received"),
    [("[]", "'list'"), ("3", "'int'"), ("{}", "None"), ('{"format": "other"}', "'other'")],
    ids=["list", "number", "no format", "other format"],
)
def test_json_that_is_no_report_is_refused(text, received):
    with pytest.raises(ValueError, match=f"`text` must hold a report.*Received: {received}"):
        from_json(text)


@pytest.mark.parametrize(
    ("version", "remedy"),
    [
        (1, "An older keras_initcheck wrote it: probe again"),
        (3, "Upgrade"),
        (None, "Upgrade"),
        ("2", "Upgrade"),
        (True, "Upgrade"),
    ],
    ids=repr,
)
def test_other_version_is_refused(full_report, version, remedy):
    document = {**strict(to_json(full_report)), "version": version}
    with pytest.raises(
        ValueError, match=f"must be of version 2. Received: version {version!r}. {remedy}"
    ):
        from_json(json.dumps(document))


def change(path, value):
    """A function that puts `value` at `path` of a document, or takes the key away where `value` is
    `...`.
    """

    def changed(document):
        *parents, last = path.split(".")
        place = document
        for key in parents:
            place = place[int(key) if key.isdigit() else key]
        if value is ...:
            del place[last]
        else:
            place[last] = value
        return document

    return changed


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            change("profile", ...),
            (
                r"`report` must be an object with exactly the keys .*missing \['profile'\],"
                r" unexpected \[\]"
            ),
        ),
        (
            change("profile.sites.0.kind", ...),
            r"`report.profile.sites\[0\]` must be .*missing \['kind'\]",
        ),
        (
            change("profile.new", 1),
            r"`report.profile` must be .*missing \[\], unexpected \['new'\]",
        ),
        (change("profile", []), r"`report.profile` must be an object with the keys"),
        (change("profile.sites", {}), r"`report.profile.sites` must be a list"),
        (
            change("profile.not_probed", [["a"]]),
            r"`report.profile.not_probed\[0\]` must be a list of 2",
        ),
        (
            change("profile.not_probed", [["a", "b", "c"]]),
            r"`report.profile.not_probed\[0\]` must be a list of 2",
        ),
        (change("profile.model", 3), r"`report.profile.model` must be str. Received: '3'"),
        (change("profile.model", None), r"`report.profile.model` must be str"),
        (change("profile.step", 1.5), r"`report.profile.step` must be int"),
        (change("profile.step", True), r"`report.profile.step` must be int"),
        (change("profile.sites.0.is_head", 1), r"`report.profile.sites\[0\].is_head` must be bool"),
        (
            change("profile.sites.0.inputs", ["x"]),
            r"`report.profile.sites\[0\].inputs\[0\]` must be int",
        ),
        (change("profile.loss", "2.5"), r"`report.profile.loss` must be a float64 number"),
        (change("profile.loss", False), r"`report.profile.loss` must be a float64 number"),
        (change("profile.loss", 10**400), r"`report.profile.loss` must be a float64 number"),
        (
            change("findings.0.severity", "fatal"),
            r"`report.findings\[0\].severity` must be one of info, warning, error",
        ),
        (
            change("profile.sites.1.inputs", [99, -7]),
            r"`report.profile.sites\[1\].inputs` must be indices of earlier sites, 0 to 0",
        ),
        (
            change("profile.sites.1.inputs", [-1]),
            r"`report.profile.sites\[1\].inputs` must be indices of earlier sites",
        ),
        (
            change("profile.sites.1.inputs", [1]),
            r"`report.profile.sites\[1\].inputs` must be indices of earlier sites",
        ),
        (
            change("profile.sites.0.inputs", [1]),
            r"`report.profile.sites\[0\].inputs` must be empty at the first site",
        ),
        (
            change("profile.sites.1.index", -3),
            r"`report.profile.sites\[1\].index` must be the site's position, 1. Received: '-3'",
        ),
        (
            change("profile.sites.0.output_shape", [-32, 128]),
            r"`report.profile.sites\[0\].output_shape` must be a shape",
        ),
        (
            change("profile.sites.0.input_shape", [2**32] * 4),
            r"`report.profile.sites\[0\].input_shape` must be a shape",
        ),
        (
            change("profile.weights.0.shape", [1] * 65),
            r"`report.profile.weights\[0\].shape` must be a shape",
        ),
        (
            change("profile.weights.0.site", 2),
            r"`report.profile.weights\[0\].site` must be the index of one of the 2 sites",
        ),
        (
            change("profile.outputs.0.site", -1),
            r"`report.profile.outputs\[0\].site` must be the index of one of the 2 sites",
        ),
        (
            change("profile.sites.0.num_parameters", -1),
            r"`report.profile.sites\[0\].num_parameters` must be 0 or more",
        ),
        (
            change("profile.sites.0.num_parameters", 10**30),
            r"`report.profile.sites\[0\].num_parameters` must be an integer of 64 bits",
        ),
        (
            change("profile.sites.0.forward_ratio", -1),
            r"`report.profile.sites\[0\].forward_ratio` must be 0 or more",
        ),
        (
            change("profile.sites.0.activations.h.share_zero", 2),
            r"`report.profile.sites\[0\].activations.h.share_zero` must be a share",
        ),
        (
            change("profile.sites.0.kind", "magic"),
            r"`report.profile.sites\[0\].kind` must be one of weight, activation",
        ),
        (
            change("profile.weights.0.role", "magic"),
            r"`report.profile.weights\[0\].role` must be one of kernel, bias",
        ),
        (
            change("profile.sites.0.name", "a" * 100_001),
            r"`report.profile.sites\[0\].name` must be a text of at most 100000 characters",
        ),
        (
            change("profile.histograms.0.1.maximum", "Infinity"),
            r"`report.profile.histograms\[0\]\[1\].maximum` must be a finite number",
        ),
        (
            change("profile.histograms.0.1.minimum", 2),
            r"`report.profile.histograms\[0\]\[1\].minimum` must be at most the maximum",
        ),
        (
            change("profile.histograms.0.1.counts", [-1]),
            r"`report.profile.histograms\[0\]\[1\].counts` must be a list of numbers",
        ),
        (
            change("profile.tabular_inputs.0.largest", [13]),
            r"`report.profile.tabular_inputs\[0\].largest` must be indices of the 13 columns",
        ),
        (change("profile.step", -1), r"`report.profile.step` must be 0 or more"),
        (change("num_exempted", -1), r"`report.num_exempted` must be 0 or more"),
    ],
)
def test_damaged_report_is_refused(full_report, damage, message):
    document = damage(strict(to_json(full_report)))
    with pytest.raises(ValueError, match=message):
        from_json(json.dumps(document))


def test_number_beyond_float64_is_refused(full_report):
    text = to_json(
        replace(full_report, profile=full_report.profile.with_changes(loss=123456.5))
    ).replace("123456.5", "1e999")
    with pytest.raises(ValueError, match=r"`report\.profile\.loss` must be a float64 number"):
        from_json(text)


def test_report_of_an_earlier_release_lacks_what_has_a_default(full_report):
    document = strict(to_json(full_report))
    profile = document["profile"]
    del (
        document["num_exempted"],
        profile["sites"][0]["log_ratio_variance"],
        profile["weights"][0]["rank"],
        profile["weights"][0]["draw"],
    )
    del profile["outputs"], profile["tabular_inputs"]
    read = from_json(json.dumps(document))
    assert (
        read.num_exempted,
        read.profile.sites[0].log_ratio_variance,
        read.profile.weights[0].rank,
        read.profile.weights[0].draw,
    ) == (0, None, None, None)
    assert (read.profile.outputs, read.profile.tabular_inputs) == ((), ())


def test_key_that_comes_twice_is_refused(full_report):
    text = to_json(full_report).replace('"step": 7', '"step": 7, "step": 8')
    with pytest.raises(ValueError, match="the key 'step' comes twice in an object"):
        from_json(text)


def test_text_beyond_its_bound_is_refused_unread_and_read_where_it_is_raised(full_report):
    text = to_json(full_report) + " " * 2**20
    with pytest.raises(
        ValueError,
        match=r"`text` must have at most 1 MiB\. Received: 1\.\d+ MiB\. If that is right, raise",
    ):
        from_json(text, max_mebibytes=1)
    assert from_json(text, max_mebibytes=2) == full_report


@pytest.mark.parametrize("seed", range(4))
def test_mutated_report_is_refused_in_words_or_shown(full_report, seed):
    chance = random.Random(seed)
    for _ in range(60):
        text = json.dumps(mutated(strict(to_json(full_report)), chance))
        try:
            report = from_json(text)
        except ValueError as error:
            assert "Received" in str(error)
        else:
            assert console.render(report)
            assert comparison.render([("before", full_report), ("after", report)])
            assert len(FigureData.from_report(report)) == len(report.profile.sites)


def test_every_limit_is_of_a_field():
    for record, fields_of_it in limits.LIMITS.items():
        assert set(fields_of_it) <= {field.name for field in fields(record)}


def schema_parts(value):
    """Every object within a schema."""
    if isinstance(value, dict):
        yield value
    for each in value.values() if isinstance(value, dict) else value:
        if isinstance(each, dict | list):
            yield from schema_parts(each)


def test_schema_has_the_keys_of_a_report_and_no_others(full_report):
    found, document = schema(), strict(to_json(full_report))
    assert list(found["properties"]) == list(document)
    assert found["required"] == ["format", "version", "profile"]
    definitions = found["$defs"]
    assert list(definitions["ProfileDocument"]["properties"]) == list(document["profile"])
    assert list(definitions["SiteStats"]["properties"]) == list(document["profile"]["sites"][0])
    assert all(each["additionalProperties"] is False for each in definitions.values())


def test_schema_has_the_limits_of_numbers_and_words():
    properties = schema()["$defs"]["SiteStats"]["properties"]
    assert properties["num_parameters"]["minimum"] == 0
    assert "recurrent" in properties["kind"]["enum"]
    number, text, nothing = properties["forward_ratio"]["anyOf"]
    assert (number["type"], number["minimum"], nothing) == ("number", 0, {"type": "null"})
    assert text["enum"] == ["NaN", "Infinity"]


def test_schema_is_json_whose_references_exist():
    found = json.loads(json.dumps(schema(), allow_nan=False))
    references = {part["$ref"] for part in schema_parts(found) if "$ref" in part}
    assert references <= {f"#/$defs/{name}" for name in found["$defs"]}
    assert (found["properties"]["format"], found["properties"]["version"]) == (
        {"const": "keras_initcheck.report"},
        {"const": 2},
    )
