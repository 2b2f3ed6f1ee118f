"""For the tests on random models: the examples of every run, and whatever health they have."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "random_models",
    settings.get_profile("same_in_every_run"),
    suppress_health_check=list(HealthCheck),
    print_blob=False,
)
settings.load_profile("random_models")
