"""JupyterLab on a port of its own, and pages of Chromium that reach nothing but it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections import namedtuple
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOKEN = "browser-test"
SETTINGS = """{
  "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false},
  "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"}
}"""
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
Lab = namedtuple("Lab", "address folder token")


def missing(what: str):
    """Skip the test, or fail it where a browser is demanded."""
    if os.environ.get("INFERTCO_REQUIRE_BROWSER") == "1":
        pytest.fail(f"INFERTCO_REQUIRE_BROWSER=1, but {what}")
    pytest.skip(what)


@pytest.fixture(scope="session")
def browser():
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not chromium:
        missing("there is no Chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright is not installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM)
        yield started
        started.close()


@pytest.fixture(scope="session")
def lab(browser, tmp_path_factory):
    """A running JupyterLab with settings, kernels' configuration and notebooks in folders of its own."""
    home = tmp_path_factory.mktemp("lab")
    folders = {name: home / name for name in ("notebooks", "settings", "user", "spaces", "config", "ipython", "runtime")}
    for folder in folders.values():
        folder.mkdir()
    (folders["settings"] / "overrides.json").write_text(SETTINGS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = dict(JUPYTER_CONFIG_DIR="config", IPYTHONDIR="ipython", JUPYTER_RUNTIME_DIR="runtime")
    environment = os.environ | {name: str(folders[folder]) for name, folder in here.items()} | dict(PYTHONPATH=str(ROOT))
    options = dict(app_settings_dir=folders["settings"], user_settings_dir=folders["user"], workspaces_dir=folders["spaces"], expose_app_in_browser=True)
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={folders['notebooks']}"]
    command += [f"--LabApp.{name}={value}" for name, value in options.items()]
    address, log = f"http://127.0.0.1:{port}", home / "log"
    with open(log, "w") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        until = time.monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(f"{address}/api?token={TOKEN}", timeout=2)
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > until:
                    pytest.fail(f"JupyterLab did not start:\n{log.read_text()}")
                time.sleep(0.25)
        yield Lab(address, folders["notebooks"], TOKEN)
    finally:
        server.terminate()  # it ends its kernels
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()


@pytest.fixture
def page(browser, lab):
    """A page; `page.outside` lists what it asked of anyone but JupyterLab, all of it refused, `page.errors` its errors."""
    context = browser.new_context(viewport=dict(width=1700, height=1200))
    outside, own = [], (lab.address, lab.address.replace("http", "ws"), "data:", "blob:")

    def gate(route):
        if route.request.url.startswith(own):
            return route.continue_()
        outside.append(route.request.url)
        route.abort()

    context.route("**/*", gate)
    opened = context.new_page()
    opened.outside, opened.errors = outside, []
    opened.on("websocket", lambda socket: None if socket.url.startswith(own) else outside.append(socket.url))
    opened.on("pageerror", lambda error: opened.errors.append(str(error)))
    yield opened
    context.close()
