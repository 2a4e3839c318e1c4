"""A real single-node OpenSearch for tests, assembled from Maven Central artifacts: no container, no account.

What a test claims about mappings, limits or analysis is only true when a real engine says so; the embedded stand-in
differs in just those points. In a test use the session fixture of `tests/engine/conftest.py`; by hand::

    python -m tests.support.opensearch_node            # runs a node in the foreground and prints its address

    with OpenSearchNode() as node:
        node.request("PUT", "/books/_doc/1", {"title": "x"})
        node.kill()                                    # SIGKILL, as in a crash
        node.start()                                   # same data folder, same address

The first use takes Maven about half a minute (165 MB from its repository), later ones nothing: the assembled node
stays in `.cache/` below the project root. A start takes about 10 s.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import fcntl
import functools
import http.client
import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PROJECT_ROOT = Path(__file__).resolve().parents[2]
CACHE = PROJECT_ROOT / ".cache"

DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1"
DISTRIBUTION_GROUP = "org.opensearch.distribution.integ-test-zip"
PLUGIN_GROUP = "org.opensearch.plugin"

# The version that Amazon's oldest supported domains run, and the newest 2.x for which core, job-scheduler and
# security are all in Maven Central.
VERSION = "2.19.4"
JAVA_VERSIONS = range(11, 24)  # 2.x needs a JDK's Security Manager, which 24 removed

# The distribution zip comes without modules; each of these is a jar, named in Maven as on the right.
MODULES: Mapping[str, str] = {
    "analysis-common": "analysis-common",
    "lang-painless": "lang-painless",
    "lang-mustache": "lang-mustache-client",
    "mapper-extras": "mapper-extras-client",
    "parent-join": "parent-join-client",
    "percolator": "percolator-client",
    "reindex": "reindex-client",
    "aggs-matrix-stats": "aggs-matrix-stats-client",
}
EXTENDED_BY: Mapping[str, str] = {"analysis-common": "lang-painless"}
POLICIES: Mapping[str, str] = {
    "lang-painless": 'permission java.lang.RuntimePermission "createClassLoader";'
    ' permission java.lang.RuntimePermission "getClassLoader";',
    "lang-mustache": 'permission java.lang.RuntimePermission "accessDeclaredMembers";',
    "reindex": 'permission java.net.SocketPermission "*", "connect"; permission java.net.NetPermission "getProxySelector";',
}

NODE_SETTINGS: Mapping[str, str] = {
    "cluster.name": "audit-search-tests",
    "node.name": "node-1",
    "network.host": "127.0.0.1",
    "discovery.type": "single-node",
    "node.portsfile": "true",  # the node writes the port it got into logs/http.ports
    # A developer's nearly full disk must not turn indices read-only in the middle of a test.
    "cluster.routing.allocation.disk.threshold_enabled": "false",
}


class NodeUnavailableError(RuntimeError):
    """This machine cannot assemble or run the node; the message is one line and says what to install."""


class NodeFailedError(RuntimeError):
    """The node was started and did not become ready, or died; the message ends with its last output."""


@dataclass(frozen=True)
class Distribution:
    """Which OpenSearch to assemble: a version, and plugins by their Maven name (`opensearch-security`, …)."""

    version: str = VERSION
    plugins: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where it is assembled; plugins make it another folder, so that both can exist."""
        return CACHE / "+".join((f"opensearch-{self.version}", *self.plugins))


def missing_requirements() -> str | None:
    """One line that says what this machine lacks to run a node and what to install, or None."""
    lacks = []
    if _java_home() is None:
        lacks.append(f"a JDK ({JAVA_VERSIONS.start} to {JAVA_VERSIONS.stop - 1}; name it with JAVA_HOME)")
    if shutil.which("mvn") is None and not _is_assembled(Distribution()):
        lacks.append("Maven (mvn)")
    if os.geteuid() == 0 and _unprivileged_user() is None:
        lacks.append("a user `nobody` (OpenSearch refuses to run as root)")
    return f"the OpenSearch node for engine tests needs {' and '.join(lacks)}: please install" if lacks else None


@functools.cache
def shared_node() -> OpenSearchNode:
    """The one running node that all tests of this process share; it ends with the process.

    Each user takes index names of its own, and nobody kills it: for a crash start another one.
    """
    return OpenSearchNode().start()


def must_be_present() -> bool:
    """Whether a missing part is an error rather than the caller's choice: true in continuous integration."""
    return os.environ.get("CI", "").lower() in {"true", "1"}


# --- assembling -------------------------------------------------------------------------------------------------------


def assemble(distribution: Distribution | None = None) -> Path:
    """The home folder of a ready-to-run OpenSearch; made by Maven the first time, whoever else calls meanwhile.

    Raises NodeUnavailableError where Java or Maven is missing or Maven fails.
    """
    wanted = distribution or Distribution()
    if _is_assembled(wanted):
        return wanted.folder
    problem = missing_requirements()
    if problem:
        raise NodeUnavailableError(problem)
    if shutil.which("mvn") is None:  # a distribution other than the default one
        raise NodeUnavailableError("the OpenSearch node for engine tests needs Maven (mvn): please install")
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{wanted.folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _is_assembled(wanted):
            return wanted.folder
        with tempfile.TemporaryDirectory(prefix=".assembling-", dir=CACHE) as work:
            home = _assemble_in(Path(work), wanted)
            (home / ".assembled").write_text(_marker(wanted))
            _readable_by_all(home)
            shutil.rmtree(wanted.folder, ignore_errors=True)
            home.rename(wanted.folder)
    return wanted.folder


def _marker(wanted: Distribution) -> str:
    # This file is the recipe: an edit of it makes what was assembled before stale.
    parts = [wanted.version, *wanted.plugins, repr(sorted(MODULES.items())), repr(sorted(POLICIES.items()))]
    return "\n".join(parts)


def _is_assembled(wanted: Distribution) -> bool:
    marker = wanted.folder / ".assembled"
    return marker.is_file() and marker.read_text() == _marker(wanted)


def _assemble_in(work: Path, wanted: Distribution) -> Path:
    """Fetch everything by one Maven run and lay out the node's home below `work`."""
    reactor = work / "reactor"
    projects = "".join(f"<module>{name}</module>" for name in ("archives", *MODULES))
    _write_pom(reactor, "", f"<modules>{projects}</modules>")
    archives = [(DISTRIBUTION_GROUP, "opensearch", wanted.version)]
    archives += [(PLUGIN_GROUP, plugin, f"{wanted.version}.0") for plugin in wanted.plugins]
    _write_pom(reactor / "archives", "".join(_dependency(*archive, archive=True) for archive in archives))
    for module, artifact in MODULES.items():
        _write_pom(reactor / module, _dependency(PLUGIN_GROUP, artifact, wanted.version))
    _maven(reactor)

    _extract(reactor / "archives" / "jars" / f"opensearch-{wanted.version}.zip", work)
    home = work / f"opensearch-{wanted.version}"
    for module in MODULES:
        _install_module(home, module, reactor / module / "jars", wanted.version)
    for plugin in wanted.plugins:
        _install_plugin(home, plugin, reactor / "archives" / "jars" / f"{plugin}-{wanted.version}.0.zip")
    return home


def _dependency(group: str, artifact: str, version: str, *, archive: bool = False) -> str:
    coordinates = f"<groupId>{group}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>"
    if archive:  # the zip holds what it needs; its declared dependencies would only be fetched in vain
        nothing_else = "<exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion>"
        coordinates += f"<type>zip</type><exclusions>{nothing_else}</exclusions>"
    return f"<dependency>{coordinates}</dependency>"


def _write_pom(folder: Path, dependencies: str, extra: str = "") -> None:
    folder.mkdir(parents=True)
    (folder / "pom.xml").write_text(
        "<project><modelVersion>4.0.0</modelVersion><groupId>audit-search.tests</groupId>"
        f"<artifactId>{folder.name}</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies>{extra}</project>"
    )


def _maven(reactor: Path) -> None:
    command = ["mvn", "-q", "-B", "-f", str(reactor / "pom.xml"), f"{DEPENDENCY_PLUGIN}:copy-dependencies"]
    command += ["-DincludeScope=runtime", "-DoutputDirectory=jars"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("[ERROR]")]
        raise NodeUnavailableError(f"Maven could not fetch OpenSearch: {lines[0] if lines else done.stderr.strip()}")


def _extract(archive: Path, target: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            extracted = Path(opened.extract(member, target))
            mode = member.external_attr >> 16
            if mode and extracted.is_file():  # zipfile forgets which files are programs
                extracted.chmod(stat.S_IMODE(mode))


def _install_module(home: Path, module: str, jars: Path, version: str) -> None:
    """Copy the module's jar and those that `lib/` lacks, and write the descriptor that the distribution build would."""
    target = home / "modules" / module
    target.mkdir(parents=True)
    in_lib = {_artifact(jar) for jar in (home / "lib").glob("*.jar")}
    for jar in jars.glob("*.jar"):
        # Painless' service interface belongs to Painless alone: a second copy beside it is refused as a jar clash.
        foreign = "painless-spi" in jar.name and module != "lang-painless"
        if _artifact(jar) not in in_lib and not foreign:
            shutil.copy(jar, target)
    descriptor = {
        "description": module,
        "version": version,
        "name": module,
        "classname": _plugin_class(target / f"{MODULES[module]}-{version}.jar"),
        "java.version": str(JAVA_VERSIONS.start),
        "opensearch.version": version,
        "custom.foldername": "",
        "extended.plugins": EXTENDED_BY.get(module, ""),
        "has.native.controller": "false",
    }
    lines = "".join(f"{key}={value}\n" for key, value in descriptor.items())
    (target / "plugin-descriptor.properties").write_text(lines)
    if module in POLICIES:
        (target / "plugin-security.policy").write_text(f"grant {{ {POLICIES[module]} }};\n")


def _artifact(jar: Path) -> str:
    return re.sub(r"-\d[\w.-]*$", "", jar.stem)


def _plugin_class(jar: Path) -> str:
    with zipfile.ZipFile(jar) as opened:
        names = [name for name in opened.namelist() if re.fullmatch(r"[A-Za-z/]*Plugin\.class", name)]
    return names[0].removesuffix(".class").replace("/", ".")


def _install_plugin(home: Path, plugin: str, archive: Path) -> None:
    target = home / "plugins" / plugin
    target.mkdir(parents=True)
    _extract(archive, target)
    if (target / "config").is_dir():
        (target / "config").rename(home / "config" / plugin)


def _readable_by_all(home: Path) -> None:
    """Whatever the umask: the node may run as another user than the one who assembled it."""
    for path in (home, *home.rglob("*")):
        mode = path.stat().st_mode
        executable = path.is_dir() or mode & stat.S_IXUSR
        path.chmod(stat.S_IMODE(mode) | (0o555 if executable else 0o444))


# --- Java and the user ------------------------------------------------------------------------------------------------


def _java_home() -> Path | None:
    """The first suitable JDK: as named by the environment, the one on the path, then wherever systems keep them."""
    candidates = [Path(os.environ[name]) for name in ("OPENSEARCH_JAVA_HOME", "JAVA_HOME") if os.environ.get(name)]
    on_path = shutil.which("java")
    if on_path:
        candidates.append(Path(on_path).resolve().parents[1])
    candidates += sorted(Path("/usr/lib/jvm").glob("*"))
    candidates += sorted(Path("/Library/Java/JavaVirtualMachines").glob("*/Contents/Home"))
    return next((home for home in candidates if _java_version(home) in JAVA_VERSIONS), None)


def _java_version(home: Path) -> int:
    """The feature release, 17 for 17.0.15; 0 where there is no Java that our node's user can run."""
    program = home / "bin" / "java"
    if not program.is_file() or (os.geteuid() == 0 and not _open_to_all(program.resolve())):
        return 0
    try:
        said = subprocess.run([program, "-version"], capture_output=True, text=True, check=False, timeout=60).stderr
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(\d+)', said)
    return int(found[1]) if found else 0


def _unprivileged_user() -> tuple[int, int] | None:
    import pwd  # only here: what starts a node imports this module on any system

    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return None
    return entry.pw_uid, entry.pw_gid


def _open_to_all(path: Path) -> bool:
    """Whether any user can reach and read `path`: every folder on the way lets everybody through."""
    through = all(parent.stat().st_mode & stat.S_IXOTH for parent in path.parents)
    return through and bool(path.stat().st_mode & stat.S_IROTH)


def _runtime_parent() -> Path:
    """A folder for temporary files that any user can enter; TMPDIR is often a private one."""
    candidates = (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp"))
    return next((folder for folder in candidates if folder.is_dir() and _open_to_all(folder)), candidates[0])


# --- running ----------------------------------------------------------------------------------------------------------


class OpenSearchNode:
    """One node with a data folder of its own, on ports that the operating system chose.

    `start` waits until it is ready; `kill` is a crash, after which `start` brings it back with the same data at the
    same address; `stop` ends it orderly; leaving the context also removes all its files. A node never outlives the
    process that started it, however that process ends.
    """

    def __init__(
        self,
        *,
        heap: str = "1g",
        settings: Mapping[str, str] | None = None,
        java_options: Sequence[str] = (),
        distribution: Distribution | None = None,
        start_timeout: float = 300,
    ) -> None:
        """Prepare a node, not yet running. `settings` are lines of opensearch.yml that win over ours.

        `start_timeout` is generous because a loaded machine with two cores takes ten times longer than an idle one.
        """
        self.heap = heap
        self._settings = {**NODE_SETTINGS, **(settings or {})}
        self._java_options = tuple(java_options)
        self._distribution = distribution or Distribution()
        self._start_timeout = start_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._watch: subprocess.Popen[bytes] | None = None
        self._port: int | None = None
        self._folder: Path | None = None
        self._home: Path | None = None
        self._owner: tuple[int, int] | None = None

    # What callers ask for.

    @property
    def port(self) -> int:
        """The HTTP port on 127.0.0.1; the same for the node's whole life."""
        if self._port is None:
            raise NodeFailedError("the node was never started")
        return self._port

    @property
    def endpoint(self) -> str:
        """The address as OPENSEARCH_ENDPOINT takes it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id of the node's JVM."""
        if self._process is None:
            raise NodeFailedError("the node is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the JVM lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def folder(self) -> Path:
        """Where its configuration, data (`data`) and logs are, until it is closed."""
        if self._folder is None:
            raise NodeFailedError("the node was never started, or was closed")
        return self._folder

    @property
    def log(self) -> str:
        """Everything the node has written so far, over all its starts."""
        return (self.folder / "node.out").read_text(errors="replace") if self._folder else ""

    def start(self) -> Self:
        """Start the node and return when it answers; raises NodeUnavailableError or NodeFailedError."""
        if self.running:
            return self
        java = _java_home()
        if java is None:
            raise NodeUnavailableError(missing_requirements() or "no suitable JDK")
        home = self._prepared_home()
        (self.folder / "logs" / "http.ports").unlink(missing_ok=True)
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.folder / "tmp"),
            "OPENSEARCH_JAVA_HOME": str(java),
            "OPENSEARCH_PATH_CONF": str(self.folder / "config"),
            "OPENSEARCH_TMPDIR": str(self.folder / "tmp"),
            "OPENSEARCH_JAVA_OPTS": " ".join((f"-Xms{self.heap}", f"-Xmx{self.heap}", *self._java_options)),
        }
        user, group = self._owner or (None, None)
        with (self.folder / "node.out").open("ab") as output:
            self._process = subprocess.Popen(
                [str(home / "bin" / "opensearch"), f"-Ehttp.port={self._port or 0}", "-Etransport.port=0"],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C belongs to whoever started us; we end the node ourselves
                user=user,
                group=group,
                extra_groups=() if self._owner else None,
            )
        self._watch = _end_with_us(self._process.pid)
        atexit.register(self.close)
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def kill(self) -> None:
        """End the node as a crash does (SIGKILL); the data folder stays as it was at that instant."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the node orderly; the data folder stays, and `start` brings the node back."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """End the node and remove its data; the object is not to be used afterwards."""
        self.kill()
        atexit.unregister(self.close)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def request(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """The answer to one request, a JSON object; `body` is JSON, or NDJSON when it is bytes.

        Raises NodeFailedError for a status of 400 and above, with the answer.
        """
        status, answer = self.call(method, path, body)
        if status >= 400 or not isinstance(answer, dict):
            raise NodeFailedError(f"{method} {path}: {status} {json.dumps(answer)[:2000]}")
        return answer

    def call(self, method: str, path: str, body: object = None, *, timeout: float = 120) -> tuple[int, Any]:
        """Status and parsed answer of one request, whatever the status."""
        payload = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        kind = "application/x-ndjson" if isinstance(body, bytes) else "application/json"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, payload, {"Content-Type": kind})
            response = connection.getresponse()
            text = response.read()
        finally:
            connection.close()
        try:
            return response.status, json.loads(text)
        except ValueError:  # HEAD and _cat answers
            return response.status, text.decode(errors="replace")

    # How it is done.

    def _prepared_home(self) -> Path:
        """Where the programs are; the first time, also make the folder with configuration, data and logs.

        That folder belongs to the user that the node will run as.
        """
        if self._home is not None:
            return self._home
        home = assemble(self._distribution)
        self._folder = Path(tempfile.mkdtemp(prefix="audit-search-node-", dir=_runtime_parent()))
        if os.geteuid() == 0:
            self._owner = _unprivileged_user()
            if self._owner is None:
                raise NodeUnavailableError(missing_requirements() or "no user `nobody`")
            if not _open_to_all(home):  # a project below a private folder, such as root's home
                shutil.copytree(home, self._folder / "home")
                home = self._folder / "home"
        for name in ("data", "logs", "tmp"):
            (self._folder / name).mkdir()
        shutil.copytree(home / "config", self._folder / "config")
        self._configure(self._folder / "config")
        if self._owner:
            # Only what the node writes; `home`, when it was copied, may stay ours.
            written = [self._folder / name for name in ("data", "logs", "tmp", "config")]
            for path in (self._folder, *(each for top in written for each in (top, *top.rglob("*")))):
                os.chown(path, *self._owner)
        self._home = home
        return home

    def _configure(self, config: Path) -> None:
        paths = {"path.data": str(self.folder / "data"), "path.logs": str(self.folder / "logs")}
        lines = [f"{name}: {json.dumps(value)}\n" for name, value in {**paths, **self._settings}.items()]
        (config / "opensearch.yml").write_text("".join(lines))
        # Its JVM options name files relative to the home folder, which may not be writable, and is shared.
        options = (config / "jvm.options").read_text().splitlines()
        kept = [line for line in options if "gc.log" not in line and "HeapDump" not in line]
        text = "\n".join(kept).replace("logs/hs_err", f"{self.folder}/logs/hs_err")
        (config / "jvm.options").write_text(text + "\n")

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self._start_timeout
        while time.monotonic() < deadline:
            if not self.running:
                raise NodeFailedError(f"OpenSearch ended while starting:\n{self.log[-4000:]}")
            if self._answers():
                return
            time.sleep(0.1)
        raise NodeFailedError(f"OpenSearch was not ready after {self._start_timeout:g} s:\n{self.log[-4000:]}")

    def _answers(self) -> bool:
        ports = self.folder / "logs" / "http.ports"
        if not ports.is_file():
            return False
        found = re.search(r"127\.0\.0\.1:(\d+)", ports.read_text())
        if not found:
            return False
        self._port = int(found[1])
        try:
            status, _ = self.call("GET", "/_cluster/health?wait_for_status=yellow&timeout=1s", timeout=10)
        except OSError:
            return False
        return status in {200, 401}  # 401: ready, and the security plugin guards it

    def _end(self, with_signal: signal.Signals) -> None:
        process, watch = self._process, self._watch
        self._process = self._watch = None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(with_signal)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if watch is not None:
            with contextlib.suppress(BrokenPipeError):
                watch.communicate(b"done\n")


def _end_with_us(pid: int) -> subprocess.Popen[bytes]:
    """A shell that waits on a pipe only we hold: when we vanish (even by SIGKILL) it ends the node of `pid`."""
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read -r word || kill -9 "$1"', "watch", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextlib.contextmanager
def _interruptible() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C, so that a foreground node is cleaned up either way."""
    previous = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, previous)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one node in the foreground until Ctrl-C; its address is the first line on stdout."""
    parser = argparse.ArgumentParser(prog="python -m tests.support.opensearch_node", description=main.__doc__)
    parser.add_argument("--heap", default="1g", help="Java heap, for example 512m (default: 1g)")
    heap = parser.parse_args(arguments).heap
    try:
        with _interruptible(), OpenSearchNode(heap=heap) as node:
            print(node.endpoint, flush=True)
            print(f"OpenSearch {VERSION}, process {node.pid}; Ctrl-C ends it and removes its data", file=sys.stderr)
            while node.running:
                time.sleep(0.5)
            print(f"OpenSearch ended by itself:\n{node.log[-4000:]}", file=sys.stderr)
            return 1
    except (NodeUnavailableError, NodeFailedError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
