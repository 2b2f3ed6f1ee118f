"""Files and code that mean no good, or are broken: one line, exit status 2, and nothing raw on the
terminal.
"""

import io
import json
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from keras_initcheck.cli import main
from keras_initcheck.command.loading import open_model
from keras_initcheck.command.user_code import Importer

MODELS = r"""
import keras

def model(name="small"):
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)], name=name)

def red():
    raise RuntimeError("\x1b[31mred\x1b[0m \x9b2J \u202eback \x1b]0;title\x07")

def unreadable():
    class Unreadable(Exception):
        def __str__(self):
            raise ValueError("no")
    raise Unreadable

def huge():
    raise ValueError("a" * 5_000_000)

def deep():
    return deep()

def closes():
    raise GeneratorExit

def leaves():
    raise SystemExit(0)

def cancelled():
    import asyncio
    raise asyncio.CancelledError

def no_memory():
    raise MemoryError

def named():
    return model("\x1b]0;pwned\x07")

def leaves_midway():
    raise SystemExit(0)
    yield

def quits():
    return Late()

class Late(keras.Model):
    def call(self, x):
        raise SystemExit(0)

def complex_numbers():
    import numpy
    return numpy.ones((8, 4), "complex64")

def too_long():
    import numpy
    return numpy.ones((8, 4), "longdouble").view("V16")

def null():
    dense = keras.layers.Dense(3, name="a\0b", kernel_initializer="zeros")
    return keras.Sequential([keras.Input((4,)), dense])
"""


@pytest.fixture(autouse=True)
def workplace(make_workplace):
    make_workplace(MODELS)


def header(shape, descr="<f4", is_fortran=False):
    """A .npy file of a header alone."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": descr, "fortran_order": is_fortran, "shape": shape}
    )
    return file.getvalue()


def zipped(**members):
    """The bytes of an archive, compressed."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "x.npy",
            header((10**12, 6)),
            (
                "DATA must contain the array that its header declares. Received: x.npy with the"
                " shape (1000000000000, 6)"
            ),
        ),
        ("x.npy", header((10**12, 6), is_fortran=True), "the array that its header declares"),
        ("x.npy", header((10**30, 10**30)), "the array that its header declares"),
        (
            "x.npy",
            header((-8, -4)),
            "the array that its header declares. Received: x.npy with the shape (-8, -4)",
        ),
        ("x.npy", header((8, 4)) + b"1234", "128 bytes, of which 4 are present"),
        ("x.npy", header((8, 4), "(1000000000,)f8"), "DATA must contain arrays of numbers"),
        (
            "x.npy",
            header((8, 4), "|O"),
            "DATA must contain arrays of numbers. Received: x.npy with Python objects",
        ),
        ("x.npy", header((8, 4))[:40], "DATA must contain arrays of numbers"),
        (
            "x.npz",
            zipped(**{"x.npy": header((10**12, 6))}),
            "Received: x.npz at 'x' with the shape (1000000000000, 6)",
        ),
        (
            "x.npz",
            zipped(**{"x.npy": header((8, 4), "|O") + b"cos\nsystem\n"}),
            "x.npz at 'x' with Python objects",
        ),
        (
            "x.npz",
            zipped(**{"x.npy": header((8, 4)) + bytes(128)})[:-30],
            "DATA must contain arrays of numbers",
        ),
        ("x.npz", zipped(**{"x.txt": "text"}), "DATA must contain arrays of numbers"),
    ],
)
def test_arrays_that_are_not_there_are_not_waited_for(error_of, name, content, expected):
    Path(name).write_bytes(content)
    assert expected in error_of("models.py:model", name)


def test_archive_of_zeros_is_refused_by_its_declared_size(error_of):
    Path("x.npz").write_bytes(zipped(**{"x.npy": header((2**19, 4)) + bytes(2**23)}))
    assert "DATA must unpack to 1 MiB at most. Received: 'x.npz'" in error_of(
        "models.py:model", "x.npz", "--max-size", "1"
    )
    assert main(["models.py:model", "x.npz"]) == 0


def test_model_that_unpacks_to_too_much_is_refused_before_keras_reads_it(error_of):
    keras.Sequential(
        [keras.Input((512,)), keras.layers.Dense(1024, kernel_initializer="zeros")]
    ).save("stored.keras")
    with zipfile.ZipFile("stored.keras") as archive:
        members = {each: archive.read(each) for each in archive.namelist()}
    Path("bomb.keras").write_bytes(zipped(**members))
    assert "MODEL must unpack to 1 MiB at most. Received: 'bomb.keras'" in error_of(
        "bomb.keras", "--max-size", "1"
    )
    for name, most in (("bomb.keras", 3), ("stored.keras", 1)):
        assert open_model(name, Importer(), most=most).count_params() == 513 * 1024


def test_dataset_that_promises_more_than_its_file_holds_is_refused(error_of):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save("model.keras")
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file.create_dataset("layers/dense/vars/0", (10**6, 10**6), "f4", chunks=(1000, 1000))
    with (
        zipfile.ZipFile("model.keras") as archive,
        zipfile.ZipFile("promises.keras", "w") as written,
    ):
        for name in archive.namelist():
            written.writestr(
                name, weights.getvalue() if name.endswith(".h5") else archive.read(name)
            )
    assert "MODEL must unpack to 256 MiB at most. Received: 'promises.keras'" in error_of(
        "promises.keras"
    )


def test_description_of_a_model_is_bounded(error_of):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save("model.keras")
    with zipfile.ZipFile("model.keras", "a") as archive:
        archive.writestr("assets/more.json", " " * (2**20 + 1))
    assert (
        "MODEL must have a description of 1 MiB at most. Received: 'model.keras' with 1 MiB in"
        " assets/more.json." in error_of("model.keras", "--max-size", "1")
    )


def test_model_file_that_is_cut_off_is_told_as_such(error_of):
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save("whole.keras")
    Path("cut.keras").write_bytes(Path("whole.keras").read_bytes()[:-100])
    error = error_of("cut.keras")
    assert (
        "MODEL must be a readable .keras file. Received: 'cut.keras', which is incomplete or has"
        " another format." in error
    )
    assert "not found" not in error


@pytest.mark.parametrize(
    ("factory", "expected"),
    [
        ("red", "MODEL: models.py:red failed. RuntimeError: red �2J �back �]0;title�."),
        (
            "unreadable",
            "MODEL: models.py:unreadable failed. Unreadable: its message cannot be read.",
        ),
        ("huge", "MODEL: models.py:huge failed. ValueError: aaaa"),
        ("deep", "MODEL: models.py:deep failed. RecursionError: maximum recursion depth exceeded"),
        ("closes", "MODEL: models.py:closes failed. GeneratorExit: no message."),
        ("leaves", "MODEL: models.py:leaves failed. SystemExit: 0."),
        ("cancelled", "MODEL: models.py:cancelled failed. CancelledError: no message."),
        ("no_memory", "MODEL: models.py:no_memory failed. MemoryError: no message."),
    ],
)
def test_whatever_a_factory_raises_is_one_clean_line_below_a_clean_traceback(
    capsys, factory, expected
):
    assert main([f"models.py:{factory}"]) == 2
    error = capsys.readouterr().err
    assert expected in error.splitlines()[-1]
    assert all(line.isprintable() for line in error.splitlines())
    assert len(error) < 20_000


def test_interrupted_factory_is_an_interrupt():
    Path("models.py").write_text("def model(): raise KeyboardInterrupt")
    assert main(["models.py:model"]) == 130


@pytest.mark.parametrize(
    "arguments",
    [["models.py:model", "models.py:leaves_midway"], ["models.py:quits", "x.npy"]],
    ids=["data", "model"],
)
def test_exit_of_the_users_code_is_not_the_exit_of_the_command(capsys, arguments):
    np.save("x.npy", np.ones((8, 4), "float32"))
    assert main(arguments) == 2
    assert "must not end the command. Received: SystemExit: 0." in capsys.readouterr().err


def test_names_reach_the_terminal_cleaned(capsys):
    main(["models.py:named", "--log-dir", "logs\x1b[31m"])
    output = capsys.readouterr()
    assert "\x1b" not in output.out + output.err
    assert "�]0;pwned�" in output.out


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            "models.py:complex_numbers",
            (
                "DATA must hold real numbers for this model. Received: models.py:complex_numbers"
                " with complex64."
            ),
        ),
        (
            "models.py:too_long",
            "DATA 'models.py:too_long': Arrays must hold numbers. Received: dtype |V16",
        ),
    ],
)
def test_numbers_of_an_unusual_kind_are_named_as_data(error_of, data, expected):
    assert expected in error_of("models.py:model", data)


@pytest.mark.backend("torch")
@pytest.mark.parametrize("dtype", ["uint64", "longdouble"])
def test_dtype_that_the_backend_lacks_is_named_with_the_way_out(error_of, dtype):
    np.save("x.npy", np.ones((8, 4), dtype))
    error = error_of("models.py:model", "x.npy")
    assert "DATA 'x.npy': Arrays must have a dtype that torch has. Received: " in error
    assert 'x.astype("float32")' in error


@pytest.mark.parametrize("option", ["--select", "--ignore"])
def test_list_of_no_codes_is_refused(error_of, option):
    assert (
        f"{option}: must be codes or slugs, separated by commas, such as IC101,dead-layer."
        " Received: ',,,'." in error_of("models.py:model", option, ",,,")
    )


def test_name_that_hdf5_cannot_hold_is_blamed_on_the_layer(capsys):
    assert main(["models.py:null", "--repair", "--save", "saved.keras"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "--save saved.keras: names of layers must not contain a NUL character." in error
    assert not Path("saved.keras").exists()


def test_report_with_sites_that_are_not_there_is_one_line(error_of, capsys):
    main(["models.py:model", "--json", "good.json"])
    capsys.readouterr()
    document = json.loads(Path("good.json").read_text())
    document["profile"]["sites"][0]["inputs"] = [99, -7]
    Path("bad.json").write_text(json.dumps(document))
    expected = (
        "must name a report that --json wrote. Received: 'bad.json'."
        " `report.profile.sites[0].inputs` must be empty at the first"
    )
    assert f"--compare {expected}" in error_of(
        "--compare", "good.json", "bad.json", "--html", "c.html"
    )
    assert f"--baseline {expected}" in error_of("models.py:model", "--baseline", "bad.json")


def test_report_that_is_too_large_is_refused_by_its_size(error_of, capsys):
    main(["models.py:model", "--json", "good.json"])
    capsys.readouterr()
    Path("large.json").write_text(Path("good.json").read_text() + " " * 2**20)
    expected = "Received: 'large.json'. It has more than 1 MiB. If that is intended: --max-size"
    assert expected in error_of("--compare", "good.json", "large.json", "--max-size", "1")
    assert main(["--compare", "good.json", "large.json", "--max-size", "2"]) == 0
