"""The command line: what is wrong is one line on standard error, with exit status 2."""

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from assistant import cli
from assistant.protocol.files import FORMATS
from tests import pictures

Output = tuple[int, str, str]


class Shell:
    """Runs the console script in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str) -> Output:
        self._monkeypatch.setattr(sys, "argv", ["assistant", *arguments])
        with pytest.raises(SystemExit) as left:
            cli.main()
        code = left.value.code
        assert code is None or isinstance(code, int)
        streams = self._capsys.readouterr()
        return code or 0, streams.out, streams.err

    def fails(self, *arguments: str) -> str:
        """The one line of a failure."""
        code, out, err = self(*arguments)
        assert (code, out) == (2, "")
        assert err.startswith("assistant: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        return err


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Shell:
    monkeypatch.setenv("ASSISTANT_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("ASSISTANT_ENGINE", "scripted")
    monkeypatch.setenv("ASSISTANT_SCRIPTED_DELAY_MS", "0")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("REDIS_URL", raising=False)
    return Shell(monkeypatch, capsys)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("serve", "--prot", "1"), "--prot"),
        (("serve", "extra"), "extra"),
        (("fly",), "fly"),
        (("serve", "--port", "http"), "--port"),
        (("serve", "--port", "70000"), "--port"),
        (("serve", "--engine", "gpt"), "--engine"),
        (("translate", "hello"), "--to"),
        (("translate", "--to", "es"), "needs a text, or a picture of one"),
        (("translate", "--to", "xx", "hello"), "to:"),
        (("translate", "--to", "es", "--from", "xx", "hello"), "source:"),
        (("translate", "--to", "es", ""), "needs a text"),
        (("translate", "--to", "es", "--image", "none.jpg", "hello"), "none.jpg"),
        (("caption",), "FILE"),
        (("caption", "none.jpg"), "There is no file none.jpg."),
        (("caption", "."), "There is no file ."),
        (("caption", __file__), "This is not a picture."),
        (("caption", "--style", "loud", __file__), "style:"),
        (("summarise",), "needs a text, or a picture of one"),
        (("summarise", "--image", "none.jpg"), "There is no file none.jpg."),
        (("summarise", "none.txt"), "Cannot read none.txt: No such file"),
        (("summarise", "."), "Cannot read .: Is a directory"),
        (("summarise", "--length", "endless", __file__), "length:"),
        (("gateway",), "REDIS_URL"),
        (("worker",), "REDIS_URL"),
        (("gateway", "--redis-url", "redis://127.0.0.1:1"), "Redis does not answer"),
        (("worker", "--redis-url", "redis://127.0.0.1:1"), "Redis does not answer"),
        (("chat", "--url", "ws://127.0.0.1:1/v1/ws", "hi"), "No assistant answers at ws://127.0.0.1:1/v1/ws"),
        (("keys", "create"), "--owner"),
        (("keys", "create", "--owner", "a b"), "An owner is 1 to 256 letters"),
        (("keys", "create", "--owner", "ada", "--name", ""), "1 to 100 printable characters"),
        (("keys", "create", "--owner", "ada", "--scope", "admin"), "--scope"),
        (("keys", "create", "--owner", "ada", "--days", "0"), "--days"),
        (("keys", "create", "--owner", "ada", "--days", "nan"), "--days"),
        (("keys", "revoke"), "KEY"),
        (("keys", "revoke", "nobody"), "There is no such key"),
        (("keys", "list", "--redis-url", "redis://127.0.0.1:1"), "Redis does not answer"),
        (("serve", "--jwt-issuer", "https://issuer.example"), "all of --jwt-issuer, --jwt-audience and --jwt-keys"),
        (
            ("serve", "--jwt-issuer", "i", "--jwt-audience", "a", "--jwt-keys", "http://issuer.example/keys"),
            "neither a file nor an https:// URL",
        ),
        (("serve", "--jwt-issuer", "i", "--jwt-audience", "a", "--jwt-keys", "none.json"), "none.json"),
        (("serve", "--jwt-algorithms", "HS256"), "'HS256' is not an algorithm that may be set"),
        (("serve", "--origins", "chat.example"), "is no origin"),
        (("chat", "--url", "nonsense", "hi"), "No assistant answers at nonsense"),
    ],
)
def test_what_is_wrong_is_one_line(shell: Shell, arguments: tuple[str, ...], says: str) -> None:
    assert says in shell.fails(*arguments)


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("gateway", "--redis-url", "nonsense"), id="a Redis URL of no scheme"),
        pytest.param(("worker", "--redis-url", "redis://host:port"), id="a Redis port that is none"),
        pytest.param(("serve", "--data", "/dev/null/data"), id="a data folder that cannot be made"),
        pytest.param(("chat", "--url", "ws://127.0.0.1:99999/v1/ws", "hi"), id="a port out of range"),
    ],
)
def test_what_is_wrong_is_one_line_too(shell: Shell, arguments: tuple[str, ...]) -> None:
    shell.fails(*arguments)


def test_what_the_system_refuses_is_one_line(shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "[old]"))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert f"Permission denied: {tmp_path / '[old]'}" in shell.fails("serve", "--data", str(tmp_path / "[old]"))


def test_bad_utf_8_is_no_text(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    assert "is not a UTF-8 text file" in shell.fails("summarise", str(tmp_path / "latin.txt"))


def test_an_empty_text(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").touch()
    assert "needs a text" in shell.fails("summarise", str(tmp_path / "empty.txt"))


def test_an_unknown_variable_stops_every_command(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_PROT", "8000")
    for arguments in (("serve",), ("doctor",), ("caption", "x.jpg")):
        assert "Unknown setting ASSISTANT_PROT: did you mean ASSISTANT_PORT?" in shell.fails(*arguments)


def test_a_bad_variable_is_named(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSISTANT_PORT", "http")
    line = shell.fails("serve")
    assert "port" in line.lower()
    assert "http" in line


def test_a_port_in_use_is_one_line(shell: Shell, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        line = shell.fails("serve", "--port", port, "--data", str(tmp_path / "d"))
    assert f"Port {port} on 127.0.0.1 is in use" in line
    assert "--port" in line


def test_no_arguments_is_the_help(shell: Shell) -> None:
    code, _, err = shell()
    assert code == 2
    assert "serve" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("serve", "--help"), ("chat", "-h")])
def test_help(shell: Shell, arguments: tuple[str, ...]) -> None:
    code, out, err = shell(*arguments)
    assert (code, err) == (0, "")
    assert out.startswith("Usage: ")


def test_version(shell: Shell) -> None:
    from vlbm import __version__

    assert __version__ in shell("--version")[1]


@pytest.mark.parametrize("style", ["short", "detailed", "alt"])
def test_caption(shell: Shell, tmp_path: Path, style: str) -> None:
    (tmp_path / "photo.jpg").write_bytes(pictures.jpeg())
    code, out, err = shell("caption", "--style", style, str(tmp_path / "photo.jpg"))
    assert (code, err) == (0, "")
    assert out.strip().endswith(".")
    assert out.count("\n") == 1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (pictures.truncated_jpeg, "cut short"),
        (pictures.bomb_png, "megapixels"),
        (pictures.heic, "HEIC"),
        (pictures.svg, "SVG"),
        (pictures.empty, "empty"),
        (pictures.eleven_megabytes, "10 MB"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_caption_of_a_bad_picture(shell: Shell, tmp_path: Path, make: object, says: str) -> None:
    assert callable(make)
    (tmp_path / "bad.jpg").write_bytes(make())
    assert says in shell.fails("caption", str(tmp_path / "bad.jpg"))


def test_translate_says_what_the_engine_cannot(shell: Shell) -> None:
    code, out, err = shell("translate", "--to", "es", "a", "red", "bus")
    assert code == 0
    assert out.strip()
    assert err.strip() == "This engine is a script: it does not translate."


def test_summarise_reads_a_file_or_standard_input(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("naïve words", encoding="utf-8")
    code, out, _ = shell("summarise", str(tmp_path / "text.txt"))
    assert (code, bool(out.strip())) == (0, True)


def test_as_a_program(tmp_path: Path) -> None:
    """The same through a real process: standard input that is no UTF-8, and a word that is no option."""
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "ASSISTANT_ENGINE": "scripted", "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "assistant.cli", "summarise", "-"]
    run = subprocess.run(command, input=b"caf\xe9", capture_output=True, env=environment, timeout=60, check=False)
    assert run.returncode == 2
    assert run.stdout == b""
    assert run.stderr.count(b"\n") == 1
    assert run.stderr.startswith(b"assistant: ")


def test_keys_are_made_shown_once_listed_and_revoked(shell: Shell) -> None:
    code, out, err = shell("keys", "create", "--owner", "ada", "--name", "laptop", "--scope", "read", "--days", "2")
    token = out.strip()
    assert (code, out) == (0, f"{token}\n"), "a script takes standard output for the key"
    assert token.startswith("va_")
    assert "not shown again" in err
    assert token not in err
    code, out, _ = shell("keys", "list")
    assert all(word in out for word in ("laptop", "ada", "read", token[3:15]))
    assert token[15:58] not in out
    assert shell("keys", "revoke", token)[0] == 0
    code, out, err = shell("keys", "list")
    assert (code, out) == (0, "")
    assert "keys create" in err


@pytest.mark.parametrize("form", FORMATS)
def test_the_protocol_is_printed(shell: Shell, form: str) -> None:
    assert shell("protocol", form) == (0, FORMATS[form](), "")


def test_commands_load_no_http_server() -> None:
    """It takes time, and only the HTTP API needs it."""
    program = "import sys, assistant.cli, assistant.run; print({'starlette', 'uvicorn'} & set(sys.modules))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "set()\n"
