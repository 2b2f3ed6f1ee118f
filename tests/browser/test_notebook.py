"""The tab inside of a notebook: `%tensorboard` shows TensorBoard in a frame of a page that comes
from elsewhere.
"""

import contextlib
import http.server
import re
import threading

import pytest

MAGIC_HEIGHT = 800
"""Pixels of the frame that `%tensorboard` makes by default, as wide as the cell."""

PAGE = """<!doctype html><meta charset="utf-8"><title>notebook</title>
<link rel="icon" href="data:,">
<p>A cell's output:</p>
<iframe id="tensorboard" width="100%" height="{height}" frameborder="0" src="{address}"></iframe>"""


@contextlib.contextmanager
def serving(page):
    """The address of a server that answers everything with that page: of another origin than
    TensorBoard, whose port is another.

    The host is the same, as in Jupyter: TensorBoard itself does not start where the browser denies
    it storage as a third party.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.parametrize("width", [1000, 600], ids=["notebook", "narrow notebook"])
def test_tab_works_in_the_frame_of_a_page_from_another_origin(tab, board, num_sites, width):
    with serving(PAGE.format(height=MAGIC_HEIGHT, address=board.url)) as notebook:
        tab.page.set_viewport_size({"width": width, "height": MAGIC_HEIGHT + 100})
        tab.page.goto(notebook)
        outer = tab.page.frame_locator("#tensorboard")
        outer.get_by_text("Init check", exact=True).first.click()
        tab.root = outer.frame_locator("iframe[src*='plugin_entry']")
        tab.find("body[data-ready][data-details]").wait_for()
        assert len(tab.places()) >= num_sites
        before = tab.places()
        tab.find("input[type=range]").press("End")
        tab.find("body[data-ready^='signal 4 ']").wait_for()
        assert tab.places() != before
        tab.find("body[data-details$=' 4']").wait_for()
        assert tab.value("document.documentElement.scrollWidth <= innerWidth")
        tab.keep_picture(f"notebook_{width}")
        asked = {origin for origin in tab.origins if origin.startswith("http")}
        assert asked == {notebook.rstrip("/"), re.match(r"http://[^/]*", board.url)[0]}
