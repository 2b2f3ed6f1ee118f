"""Replicas, shards and ranks: each script in `on_devices/` starts once with several devices, and
its tests read what it prints.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

SCRIPTS = Path(__file__).parent / "on_devices"
PACKAGE = Path(__file__).parents[2]
ONE_RUN = ["by_depth", "initcheck"]
"""The directories with a file of events that one writer leaves: a run, and its picture over
depth.
"""
LIMIT = 900  # seconds, for a machine that does much else; what hangs would hang for ever
QUIET = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGE), os.environ.get("PYTHONPATH")])),
}


def start(name, *arguments):
    command = [sys.executable, str(SCRIPTS / name), *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **QUIET},
    )


def results(process):
    """What a script printed last."""
    try:
        printed, errors = process.communicate(timeout=LIMIT)
    finally:
        process.kill()
    assert process.returncode == 0, errors[-4000:]
    return json.loads(printed.splitlines()[-1])


@pytest.fixture(scope="module")
def replicas(tmp_path_factory):
    return results(start("tensorflow_replicas.py", tmp_path_factory.mktemp("log")))


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return results(start("jax_shards.py", tmp_path_factory.mktemp("log")))


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Of both processes, and the directory to which they log."""
    directory = tmp_path_factory.mktemp("ranks")
    processes = [
        start("torch_ranks.py", rank, directory / "meeting", directory / "log") for rank in range(2)
    ]
    return [results(process) for process in processes], directory / "log"


def assert_same_statistics(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4, nan_ok=True), name


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize(
    ("where", "what"),
    [
        ("compiled_fit", "statistics"),
        ("distributed_data", "data set"),
        ("distributed_data", "batch"),
        ("distributed_data", "loop"),
        ("distributed_data", "fit"),
        ("other_models", "one_device"),
    ],
)
def test_statistics_of_a_global_batch_are_those_of_one_device(replicas, where, what):
    assert_same_statistics(replicas[where][what], replicas["alone"])


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("fit", ["compiled_fit", "uneven_fit"])
def test_training_on_replicas_is_bitwise_what_it_is_without_the_callback(replicas, fit):
    assert replicas[fit]["is_same"]
    assert replicas[fit]["said"] == []


@pytest.mark.backend("tensorflow")
def test_probe_that_fails_beside_replicas_steps_aside(replicas):
    assert replicas["failing_probe"]["is_same"]
    (said,) = replicas["failing_probe"]["said"]
    assert "steps aside" in said
    assert "no replica here" in said


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("key", ["is_kept", "are_alike", "is_as_on_one_device"])
def test_repair_in_a_fit_changes_every_replica_alike(replicas, key):
    assert replicas["repaired_fit"][key]


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize("key", ["is_kept", "are_alike", "is_undone"])
def test_repair_inside_a_strategy_s_scope_changes_every_replica_alike(replicas, key):
    assert replicas["repair_in_scope"][key]


@pytest.mark.backend("tensorflow")
def test_check_inside_a_strategy_s_scope_finds_what_it_finds_outside(replicas):
    found = replicas["in_scope"]
    assert_same_statistics(found["inside"], found["outside"])
    assert found["is_same"]
    assert found["is_in_scope_again"]
    assert found["without data"] == 32
    assert found["spectrum"] > 0


@pytest.mark.backend("tensorflow")
def test_unbuilt_model_of_a_strategy_trains_after_a_check_outside_of_the_scope(replicas):
    assert replicas["other_models"]["steps"] == 1


@pytest.mark.backend("tensorflow")
def test_model_made_outside_of_a_scope_is_checked_inside(replicas):
    assert replicas["other_models"]["made_outside"]


@pytest.mark.backend("jax")
@pytest.mark.parametrize("distribution", ["data_parallel", "model_parallel"])
class TestShards:
    def test_statistics_are_those_of_one_device(self, shards, distribution):
        assert_same_statistics(shards[distribution]["statistics"], shards["alone"])

    def test_training_is_bitwise_what_it_is_without_the_callback(self, shards, distribution):
        assert shards[distribution]["is_same"]
        assert shards[distribution]["said"] == []

    def test_the_kernel_lay_on_all_devices(self, shards, distribution):
        assert shards[distribution]["holders"] == 4
        assert shards[distribution]["is_split"] == (distribution == "model_parallel")


@pytest.mark.backend("jax")
def test_probe_that_fails_beside_shards_steps_aside(shards):
    assert shards["failing_probe"]["is_same"]
    (said,) = shards["failing_probe"]["said"]
    assert "steps aside" in said


@pytest.mark.backend("jax")
def test_repair_changes_every_copy_of_a_sharded_model_alike(shards):
    assert shards["repaired_fit"] == {
        "is_kept": True,
        "are_alike": True,
        "is_changed": True,
        "copies": 4,
    }


@pytest.mark.backend("tensorflow", "jax")
def test_one_process_writes_one_run(request):
    import keras

    by_fit = {
        "tensorflow": ("replicas", ["compiled_fit"]),
        "jax": ("shards", ["data_parallel", "model_parallel"]),
    }
    fixture, fits = by_fit[keras.backend.backend()]
    assert [request.getfixturevalue(fixture)[fit]["runs"] for fit in fits] == [ONE_RUN] * len(fits)


WORKERS = {"worker": ["a:1", "b:1"]}
WITH_CHIEF = {"chief": ["c:1"], **WORKERS}


@pytest.mark.backend("tensorflow")
@pytest.mark.parametrize(
    ("cluster", "task", "is_first"),
    [
        (WORKERS, ("worker", 0), True),
        (WORKERS, ("worker", 1), False),
        (WITH_CHIEF, ("chief", 0), True),
        (WITH_CHIEF, ("worker", 0), False),
        ({}, ("", 0), True),
    ],
    ids=["first worker", "second worker", "chief", "worker beside a chief", "no cluster"],
)
def test_chief_of_a_cluster_or_its_first_worker_writes(cluster, task, is_first):
    import tensorflow as tf

    from keras_initcheck.probe.engine.tensorflow import is_first_process

    kind, number = task
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec(cluster), task_type=kind, task_id=number
    )
    model = SimpleNamespace(
        distribute_strategy=SimpleNamespace(cluster_resolver=resolver)
    )  # a strategy would open ports
    assert is_first_process(model) is is_first


@pytest.mark.backend("torch")
def test_ranks_check_together_and_alone_and_train_on_alike(ranks):
    (first, second), _ = ranks
    assert [first["is_unchanged"], second["is_unchanged"]] == [True, True]
    assert first["weights"] == second["weights"]
    assert (len(first["losses"]), len(second["losses"])) == (3, 2)


@pytest.mark.backend("torch")
def test_only_rank_zero_writes(ranks):
    _, log = ranks
    assert sorted(path.parent.name for path in log.rglob("events.out.tfevents.*")) == ONE_RUN


@pytest.mark.backend("torch")
def test_wrapper_is_refused_in_one_line_that_names_its_module(ranks):
    for found in ranks[0]:
        assert (
            found["refusal"]
            == "`model` must be a keras.Model. Received: one of type DistributedDataParallel. Pass"
            " what it wraps: its `.module`."
        )
