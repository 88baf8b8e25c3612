"""The commands as a person types them, in processes of their own."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests import photos, pictures
from tests.conftest import Server, Start

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(start_session: Start) -> Server:
    return start_session("serve", "--engine", "scripted", "--scripted-delay-ms", "50")


def run(
    command: list[str], *arguments: str | Path, text: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command, *map(str, arguments)],
        input=text,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )


def test_one_question_with_a_picture(assistant_command: list[str], server: Server, tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(pictures.jpeg())
    ended = run(assistant_command, "chat", "--url", server.socket_url, "--image", picture, "What is this?")
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.split()) > 5


def test_a_conversation_reads_lines(assistant_command: list[str], server: Server) -> None:
    ended = run(assistant_command, "chat", "--url", server.socket_url, text="hello\nand now?\n")
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.splitlines()) == 2


def test_ctrl_c_stops_the_answer_and_not_the_conversation(assistant_command: list[str], server: Server) -> None:
    chat = subprocess.Popen(
        [*assistant_command, "chat", "--url", server.socket_url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert chat.stdin is not None
    assert chat.stdout is not None
    chat.stdin.write("tell me more\n")
    chat.stdin.flush()
    first = chat.stdout.read(1)
    chat.send_signal(signal.SIGINT)
    rest, notes = chat.communicate("again\n", timeout=60)
    assert chat.returncode == 0, notes
    assert "(stopped)" in notes
    answers = (first + rest).splitlines()
    assert len(answers) == 2
    assert len(answers[0]) < len(answers[1])


def test_a_caption_names_what_a_photo_shows(assistant_command: list[str], tmp_path: Path) -> None:
    cat = tmp_path / "cat.png"
    cat.write_bytes(photos.cat().data)
    ended = run(assistant_command, "caption", cat)
    assert ended.returncode == 0, ended.stderr
    assert "cat" in ended.stdout.lower()


def test_what_the_model_does_badly_is_said(assistant_command: list[str]) -> None:
    ended = run(assistant_command, "translate", "A cat sleeps.", "--to", "es")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()
    assert "translates free text badly" in " ".join(ended.stderr.split())


def test_a_text_is_summarised(assistant_command: list[str], tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("The ferry leaves at nine. It rains. Bring a coat, and do not be late, because it does not wait.")
    ended = run(assistant_command, "summarise", notes, "--length", "short")
    assert ended.returncode == 0, ended.stderr
    assert len(ended.stdout.split()) > 2


def test_the_doctor_finds_everything(assistant_command: list[str], tmp_path: Path) -> None:
    ended = run(assistant_command, "doctor", "--data", tmp_path)
    assert ended.returncode == 0, ended.stdout
    for word in ("weights", "redis", "web client", "disk", "torch"):
        assert word in ended.stdout
    lacking = run(assistant_command, "doctor", "--redis-url", "redis://127.0.0.1:1/0")
    assert lacking.returncode == 1
    assert "missing redis" in " ".join(lacking.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["serve", "--prot", "8000"], {}, "--port"),
        (["serve"], {"ASSISTANT_PROT": "1"}, "ASSISTANT_PORT"),
        (["serve", "--port", "x"], {}, "--port"),
        (["serve", "--model", "/nowhere"], {}, "/nowhere"),
        (["caption", "/nowhere.jpg"], {}, "/nowhere.jpg"),
        (["chat", "--url", "ws://127.0.0.1:1/v1/ws", "hello"], {}, "127.0.0.1:1"),
        (["worker", "--redis-url", "redis://127.0.0.1:1/0"], {}, "Redis"),
    ],
)
def test_a_wrong_start_is_one_line_and_status_2(
    assistant_command: list[str], tmp_path: Path, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    if arguments[0] == "serve":
        arguments = [*arguments, "--data", str(tmp_path)]
    ended = run(assistant_command, *arguments, **environment)
    assert ended.returncode == 2, ended.stderr
    assert said in ended.stderr
    assert ended.stderr.startswith("assistant: ")
    assert len(ended.stderr.strip().splitlines()) == 1


def test_a_used_port_and_a_used_folder_are_said(assistant_command: list[str], server: Server, tmp_path: Path) -> None:
    ended = run(assistant_command, "serve", "--engine", "scripted", "--port", str(server.port), "--data", tmp_path)
    assert (ended.returncode, f"Port {server.port} on 127.0.0.1 is in use" in ended.stderr) == (2, True)
    arguments = server.process.args
    assert isinstance(arguments, list)
    folder = str(arguments[arguments.index("--data") + 1])
    ended = run(assistant_command, "serve", "--engine", "scripted", "--port", "0", "--data", folder)
    assert (ended.returncode, "Another assistant uses" in ended.stderr) == (2, True)


def test_help_comes_at_once(assistant_command: list[str]) -> None:
    started = time.monotonic()
    assert "serve" in run(assistant_command, "--help").stdout
    assert time.monotonic() - started < 10, "something heavy is imported"


def test_the_private_redis_is_on_no_port_and_goes_with_its_parent(start: Start) -> None:
    server = start("serve", "--engine", "scripted")
    redis = server.redis
    assert not [c for c in redis.net_connections() if c.family in (socket.AF_INET, socket.AF_INET6)]
    server.process.kill()
    server.process.wait()
    redis.wait(timeout=10)


def test_a_conversation_is_named_taken_along_and_deleted(
    assistant_command: list[str], server: Server, tmp_path: Path
) -> None:
    talk, whole = tmp_path / "talk.md", tmp_path / "talk.json"
    lines = ["hello", "/retry", "/rename A walk", "/sessions", f"/export {talk}", f"/export {whole}", f"/export {talk}"]
    text = "\n".join([*lines, "/delete", "/delete yes", "never asked"])
    ended = run(assistant_command, "chat", "--url", server.socket_url, text=text)
    assert ended.returncode == 0, ended.stderr
    said = ended.stdout.splitlines()
    assert said[2] == "Renamed: A walk"
    assert any(line.startswith("s_") and line.endswith("A walk") for line in said)
    assert said[-3:] == [f"Written: {talk}", f"Written: {whole}", "Deleted."]
    assert "is there already" in ended.stderr
    assert "/delete yes" in ended.stderr
    assert talk.read_text(encoding="utf-8").startswith("# A walk\n")
    document = json.loads(whole.read_text(encoding="utf-8"))
    assert [message["role"] for message in document["messages"]] == ["user", "assistant", "assistant"]
    again = run(assistant_command, "chat", "--url", server.socket_url, "--session", document["session_id"], "x")
    assert again.returncode != 0
    assert "no such conversation" in again.stderr
