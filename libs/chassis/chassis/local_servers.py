"""Private servers from this machine's own binaries: a RabbitMQ and a PostgreSQL on loopback, on free ports.

For tests where no Docker engine answers and for `make services`. Each has its own data folder and is stopped by its
process id; nothing that already runs on the machine is touched. ``python -m chassis.local_servers`` checks that the
binaries are there and, where it may (root with apt), installs them; with ``--unless-docker`` only where no Docker
engine answers.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

RABBITMQ_PACKAGE = "rabbitmq-server"
POSTGRESQL_PACKAGE = "postgresql"
_START_TIMEOUT_S = 90
_LONGEST_SOCKET_PATH = 100  # the kernel takes 107 characters


class ServerError(Exception):
    """A server is not there, or did not start; says what to do."""


def free_port() -> int:
    """A TCP port of the loopback address that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def find_rabbitmq() -> Path | None:
    """The start script of RabbitMQ that any user may run (Debian's wrapper insists on root or rabbitmq)."""
    found = [*glob.glob("/usr/lib/rabbitmq/bin/rabbitmq-server"), shutil.which("rabbitmq-server")]
    return Path(found[0]) if found[0] else None


def find_postgresql() -> Path | None:
    """The folder with initdb and postgres, the newest version there is."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"), key=lambda path: int(path.split("/")[4]))
    found = folders[-1] if folders else shutil.which("initdb")
    return Path(found).parent if found else None


def ensure_installed() -> None:
    """Have RabbitMQ and PostgreSQL on the machine, installing them where this user may.

    Raises:
        ServerError: one is missing and cannot be installed from here; says what to install.
    """
    missing = [
        package
        for package, finder in ((RABBITMQ_PACKAGE, find_rabbitmq), (POSTGRESQL_PACKAGE, find_postgresql))
        if finder() is None
    ]
    if not missing:
        return
    apt = shutil.which("apt-get")
    if apt is None or os.geteuid() != 0:
        raise ServerError(
            f"{' and '.join(missing)} must be installed for the tests and for `make services`: "
            f"as root, apt-get install {' '.join(missing)}; or start a Docker engine."
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    _say(f"installing {' and '.join(missing)} with apt")
    for command in ([apt, "-q", "update"], [apt, "-q", "install", "-y", "--no-install-recommends", *missing]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)  # noqa: S603  # fixed words
        if done.returncode != 0:
            raise ServerError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()[-800:]}")


def docker_answers() -> bool:
    """Whether a Docker engine can run containers here."""
    docker = shutil.which("docker")
    if docker is None:
        return False
    try:
        asked = subprocess.run([docker, "info"], capture_output=True, timeout=10)  # noqa: S603  # a fixed word
    except subprocess.TimeoutExpired:
        return False
    return asked.returncode == 0


class PrivateServer:
    """A server process of our own: its folder, its log, its process id.

    Args:
        folder: where its data and log live; made if missing.
        name: for messages and the log's name.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def log(self) -> Path:
        """Where the server writes what it has to say."""
        return self.folder / f"{self.name}.log"

    def _spawn(self, command: Sequence[str | Path], environment: dict[str, str], user: str | None = None) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  # our own command line
                [str(word) for word in command], env=environment, stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, user=user, start_new_session=True, cwd=self.folder,
            )  # fmt: skip

    def _wait_until(self, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process is None or self.process.poll() is not None:
                raise ServerError(f"{self.name} stopped while starting; see {self.log}")
            if ready():
                return
            time.sleep(0.1)
        raise ServerError(f"{self.name} did not answer within {_START_TIMEOUT_S} s; see {self.log}")

    def _end(self, stop_signal: int) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, stop_signal)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.process = None

    def kill(self) -> None:
        """``kill -9``, for those who test what happens then."""
        self._end(signal.SIGKILL)


class PrivatePostgres(PrivateServer):
    """A PostgreSQL.

    Args:
        folder: data and log; kept data is used again.
        port: a free one unless told.
        durable: whether what is committed survives a crash of the machine; tests that throw the data away need not
            wait for the disk.
    """

    def __init__(self, folder: Path, port: int | None = None, durable: bool = True) -> None:
        super().__init__(folder, "postgresql")
        self.port = port or free_port()
        self._durability = [] if durable else ["-c", "fsync=off", "-c", "full_page_writes=off"]
        # PostgreSQL refuses to run as root; Debian's package brings a user for it
        self._user = "postgres" if os.geteuid() == 0 else None
        self._superuser = self._user or pwd.getpwuid(os.geteuid()).pw_name

    def url(self, database: str = "postgres") -> str:
        """SQLAlchemy's URL of one of its databases."""
        return f"postgresql+psycopg2://{self._superuser}@127.0.0.1:{self.port}/{database}"

    def local_url(self, database: str = "postgres") -> str:
        """The same by its Unix socket, which costs both sides less than TCP does; by TCP where its path is too long."""
        if len(f"{self.folder}/.s.PGSQL.{self.port}") > _LONGEST_SOCKET_PATH:
            return self.url(database)
        return f"postgresql+psycopg2://{self._superuser}@/{database}?host={self.folder}&port={self.port}"

    def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            ServerError: there is none on the machine, or it did not start.
        """
        binaries = find_postgresql()
        if binaries is None:
            raise ServerError(f"PostgreSQL is not installed; install {POSTGRESQL_PACKAGE}")
        data = self.folder / "data"
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
        if self._user:
            shutil.chown(self.folder, self._user)
        if not (data / "PG_VERSION").exists():
            made = subprocess.run(  # noqa: S603  # our own command line
                [binaries / "initdb", "-D", data, "--auth=trust", "--encoding=UTF8", "--no-sync"],
                env=environment, user=self._user, capture_output=True, text=True, cwd=self.folder,
            )  # fmt: skip
            if made.returncode != 0:
                raise ServerError(f"initdb failed: {made.stderr.strip()[-800:]}")
        (data / "postmaster.pid").unlink(missing_ok=True)  # of a postmaster that was killed; the folder is ours alone
        self._spawn(
            [binaries / "postgres", "-D", data, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1",
             "-c", f"unix_socket_directories={self.folder}", "-c", "max_connections=300",
             *self._durability],
            environment, self._user,
        )  # fmt: skip
        ask = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        self._wait_until(lambda: subprocess.run(ask, env=environment).returncode == 0)  # noqa: S603

    def stop(self) -> None:
        """Stop it cleanly (fast shutdown)."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        # its children are in process groups of their own, and must be gone before it starts again
        children = _children(self.process.pid) if self.process is not None else []
        super().kill()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        while any(_alive(child) for child in children):
            time.sleep(0.02)


class PrivateRabbit(PrivateServer):
    """A RabbitMQ node with its own cookie, user and port mapper.

    Args:
        folder: data and log; kept data is used again.
        port: a free one unless told.
    """

    def __init__(self, folder: Path, port: int | None = None) -> None:
        super().__init__(folder, "rabbitmq")
        self.port = port or free_port()
        self._mapper_port = free_port()
        self._distribution_port = free_port()
        secret = folder / "password"
        if not secret.exists():
            secret.touch(mode=0o600)
            secret.write_text(secrets.token_hex(16))
        self._password = secret.read_text()

    @property
    def uri(self) -> str:
        """kombu's URI, with the private user."""
        return f"amqp://punchcard:{self._password}@127.0.0.1:{self.port}//"

    def _environment(self) -> dict[str, str]:
        node = f"punchcard-{self.folder.name}@localhost"
        names = {
            "RABBITMQ_NODENAME": node,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq"),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "no-environment-file"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "ERL_EPMD_PORT": str(self._mapper_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "HOME": str(self.folder),
            "LC_ALL": "C.UTF-8",
        }
        return {"PATH": f"{os.environ['PATH']}:/usr/sbin", **names}

    def start(self) -> None:
        """Start it and wait until it takes connections.

        Raises:
            ServerError: there is none on the machine, or it did not start.
        """
        binary = find_rabbitmq()
        if binary is None:
            raise ServerError(f"RabbitMQ is not installed; install {RABBITMQ_PACKAGE}")
        (self.folder / "enabled_plugins").write_text("[].\n")
        (self.folder / "rabbitmq.conf").write_text(
            f"default_user = punchcard\ndefault_pass = {self._password}\nlog.console.level = warning\n"
            "disk_free_limit.absolute = 50MB\nvm_memory_high_watermark.absolute = 1GB\n"
        )
        self._spawn([binary], self._environment())
        self._wait_until(self._answers)

    def stop(self) -> None:
        """Stop it cleanly, its port mapper too."""
        self._end(signal.SIGTERM)
        self._stop_mapper()

    def kill(self) -> None:
        super().kill()
        self._stop_mapper()

    def control(self, *words: str) -> str:
        """Run `rabbitmqctl` on this node; what it says.

        Args:
            words: its command and arguments.

        Raises:
            ServerError: it failed.
        """
        binary = find_rabbitmq()
        tool = binary.with_name("rabbitmqctl") if binary is not None else "rabbitmqctl"
        done = subprocess.run(  # noqa: S603  # our own command line
            [tool, "-q", *words], env=self._environment(), capture_output=True, text=True, cwd=self.folder, timeout=60
        )
        if done.returncode != 0:
            raise ServerError(f"rabbitmqctl {' '.join(words)} failed: {done.stderr.strip()[-800:]}")
        return done.stdout

    def _answers(self) -> bool:
        from kombu import Connection

        try:
            with Connection(self.uri, connect_timeout=2) as connection:
                connection.connect()
            return True
        except Exception:  # whatever it says, it is not up yet; _wait_until has the deadline
            return False

    def _stop_mapper(self) -> None:
        mapper = shutil.which("epmd")
        if mapper:
            subprocess.run([mapper, "-kill"], env=self._environment(), capture_output=True)  # noqa: S603


@contextlib.contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """A folder that PostgreSQL's user can reach as well, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix=f"punchcard-{name}-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        # a PostgreSQL of many test databases has hundreds of thousands of files; rm takes a fraction of shutil's time
        subprocess.run(["rm", "-rf", "--", folder])  # noqa: S603, S607  # a folder of our own


def _children(parent: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):  # it ended meanwhile
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry.name))
    return found


def _alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")


if __name__ == "__main__":
    try:
        if "--unless-docker" not in sys.argv or not docker_answers():
            ensure_installed()
    except ServerError as problem:
        raise SystemExit(str(problem)) from problem
