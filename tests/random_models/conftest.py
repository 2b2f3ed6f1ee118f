"""For the tests on random models: how many, chosen alike in every run, and never held to a time."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "random_models",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
settings.load_profile("random_models")


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "random_models: builds random models by the hundred; run by `make random-models`"
    )
