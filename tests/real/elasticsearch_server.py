"""A real Elasticsearch: fetched by Maven, unpacked once, run on a free loopback port by a user that is not root."""

from __future__ import annotations

import contextlib
import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import zipfile
from pathlib import Path

from tests.real.require import missing

VERSION = "8.19.21"
ARTIFACT = f"org.elasticsearch.distribution.integ-test-zip:elasticsearch:{VERSION}:zip"
READY_SECONDS = 120
FETCH_SECONDS = 900

SETTINGS = """\
cluster.name: pxl-audit-tests
node.name: pxl-audit-tests-1
discovery.type: single-node
network.host: 127.0.0.1
http.port: {port}
transport.port: {transport_port}
path.data: {place}/data
path.logs: {place}/logs
path.repo: {place}/snapshots
xpack.security.enabled: false
cluster.routing.allocation.disk.threshold_enabled: false
"""


def cache() -> Path:
    """Where downloads are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pxl-audit"


class ElasticsearchServer:
    """One server with one data directory; it may be killed and started again."""

    def __init__(self) -> None:
        self.port = _free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        java_home = _java_home()
        unpacked = _unpacked()
        # A cache below a home of mode 0700 is out of reach for the server's user: it runs from links elsewhere.
        self._place = Path(tempfile.mkdtemp(prefix="pxl-audit-es-"))
        self._place.chmod(0o755)
        self._home = self._place / "server"
        self.data = self._place / "data"
        self._process: subprocess.Popen[bytes] | None = None
        # Elasticsearch refuses to run as root; `nobody` is on every machine.
        nobody = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        self._user = nobody.pw_uid if nobody else None
        self._group = nobody.pw_gid if nobody else None
        self._environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._place),
            "ES_JAVA_HOME": str(java_home),
            "ES_JAVA_OPTS": "-Xms1g -Xmx1g",
            "ES_PATH_CONF": str(self._place / "config"),
            "ES_TMPDIR": str(self._place / "tmp"),
        }
        shutil.copytree(unpacked, self._home, copy_function=_link_or_copy)
        self._lay_out()

    def start(self) -> None:
        """Start the server and wait until it answers."""
        assert self._process is None
        with (self._place / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [str(self._home / "bin" / "elasticsearch")],
                cwd=self._place,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=self._user,
                group=self._group,
                extra_groups=None if self._user is None else [],
            )
        deadline = time.monotonic() + READY_SECONDS
        while not self.answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError("Elasticsearch did not start:\n" + self.output()[-4000:])
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether the cluster is there and has its state."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s")
            response = connection.getresponse()
            response.read()
            return response.status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """`kill -9` of the server and its launcher; its data stay."""
        if self._process is None:
            return
        group = self._process.pid
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self._process.wait()
        self._process = None
        deadline = time.monotonic() + 30
        while _group_lives(group):
            assert time.monotonic() < deadline, "a process of the server outlived kill -9"
            time.sleep(0.05)

    def output(self) -> str:
        """What the server printed."""
        return (self._place / "output").read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """Kill the server and remove everything it wrote."""
        self.kill()
        shutil.rmtree(self._place)

    def _lay_out(self) -> None:
        config = self._place / "config"
        shutil.copytree(self._home / "config", config)
        settings = SETTINGS.format(port=self.port, transport_port=_free_port(), place=self._place)
        (config / "elasticsearch.yml").write_text(settings, encoding="utf-8")
        for name in ("data", "logs", "snapshots", "tmp"):
            (self._place / name).mkdir()
        if self._user is not None and self._group is not None:
            for path in [self._place, *config.rglob("*"), *self._place.glob("*")]:
                if path != self._home:
                    os.chown(path, self._user, self._group)


def _java_home() -> Path:
    named = [os.environ.get("ES_JAVA_HOME"), *map(str, sorted(Path("/usr/lib/jvm").glob("*17*")))]
    found = [Path(name) for name in named if name and (Path(name) / "bin" / "java").exists()]
    if not found:
        missing("a JDK 17 for Elasticsearch; install openjdk-17-jdk-headless, or set ES_JAVA_HOME")
    return found[0]


def _unpacked() -> Path:
    """The unpacked distribution, made once: unpacked beside, then renamed, so a crash leaves no half of it."""
    home = cache() / f"elasticsearch-{VERSION}"
    if home.is_dir():
        return home
    archive = _archive()
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".unpacking-") as beside:
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(beside)
        unpacked = Path(beside) / f"elasticsearch-{VERSION}"
        for path in [unpacked, *unpacked.rglob("*")]:
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        try:
            unpacked.rename(home)
        except OSError:
            assert home.is_dir()  # another run was faster
    return home


def _archive() -> Path:
    archive = cache() / "downloads" / f"elasticsearch-{VERSION}.zip"
    if archive.exists():
        return archive
    if shutil.which("mvn") is None:
        missing(f"{archive.name}, and Maven to fetch it with; install maven")
    archive.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".fetching-") as beside:
        command = ["mvn", "-q", "-B", "dependency:copy", f"-Dartifact={ARTIFACT}", f"-DoutputDirectory={beside}"]
        done = subprocess.run(command, cwd=beside, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
        fetched = list(Path(beside).glob("*.zip"))
        if done.returncode != 0 or len(fetched) != 1:
            missing(f"{ARTIFACT}; mvn says: {done.stdout[-500:]}{done.stderr[-500:]}")
        fetched[0].rename(archive)
    return archive


def _link_or_copy(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
    return target


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
