"""The entry point for TensorBoard: the plugin, its command-line flag and its WSGI applications.

An error while this module is imported would keep TensorBoard from starting for everybody. Therefore
it imports neither a package that TensorBoard does not need itself, nor any module outside this
folder. Whatever reads or draws is imported by the first request, whose response then names what is
missing or broken.
"""

import argparse
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tensorboard.plugins import base_plugin
from werkzeug import wrappers

from keras_initcheck.tensorboard_plugin.log_format import PLUGIN
from keras_initcheck.tensorboard_plugin.responses import respond_with
from keras_initcheck.tensorboard_plugin.static_files import static_file

if TYPE_CHECKING:
    from keras_initcheck.tensorboard_plugin.routes import Routes

DEFAULT_MAX_STEPS = 1000
ROUTES = ("/series", "/steps", "/figures", "/figure", "/probe")
"""Paths below `data/plugin/initcheck`; `routes` documents them."""


class InitcheckLoader(base_plugin.TBLoader):
    """Loads the plugin, and raises TensorBoard's limit of 10 steps for tensors."""

    def define_flags(self, parser: argparse.ArgumentParser) -> None:
        """Adds `--initcheck_max_steps`."""
        parser.add_argument_group("initcheck plugin").add_argument(
            "--initcheck_max_steps",
            metavar="NUM",
            type=int,
            default=DEFAULT_MAX_STEPS,
            help=(
                "Number of probes to keep of each run: a random sample if there are more. 0 keeps"
                " all. (default: %(default)s)"
            ),
        )

    def fix_flags(self, flags: argparse.Namespace) -> None:
        """Sets the sampling limit, unless the user has set it with `--samples_per_plugin`."""
        limits = dict(flags.samples_per_plugin or {})
        limits.setdefault(PLUGIN, max(flags.initcheck_max_steps, 0))
        flags.samples_per_plugin = limits

    def load(self, context: base_plugin.TBContext) -> "InitcheckPlugin":
        """Makes the plugin."""
        return InitcheckPlugin(context)


class InitcheckPlugin(base_plugin.TBPlugin):
    """The tab.

    Args:
        context: TensorBoard's services.
    """

    plugin_name = PLUGIN

    def __init__(self, context: base_plugin.TBContext) -> None:
        super().__init__(context)
        self._provider = context.data_provider
        self._routes: Routes | None = None
        self._lock = threading.Lock()

    def is_active(self) -> bool:
        """Whether to show the tab although no run has data for it, which TensorBoard checks."""
        return False

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """The tab's module and title."""
        return base_plugin.FrontendMetadata(
            es_module_path="/static/index.js", tab_name="Init check"
        )

    def get_plugin_apps(self) -> dict[str, Callable[..., Any]]:
        """Returns the WSGI applications by route."""
        applications = {route: respond_with(self._handler(route)) for route in ROUTES}
        return {**applications, "/static/*": respond_with(static_file)}

    def _handler(self, route: str) -> Callable[[wrappers.Request], object]:
        return lambda request: self._loaded_routes().handlers[route](request)

    def _loaded_routes(self) -> "Routes":
        """The routes, imported once and by one request at a time."""
        with self._lock:
            if self._routes is None:
                from keras_initcheck.tensorboard_plugin.routes import Routes

                self._routes = Routes(self._provider)
            return self._routes
