from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from assistant.domain.errors import InvalidRequest
from assistant.settings import Settings, check_environment, options, variable


def asked(*arguments: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """What a command with every setting gets."""
    found: dict[str, Any] = {}

    @click.command()
    @options(*(item.name for item in fields(Settings)))
    def command(**values: Any) -> None:
        found.update(values)

    done = CliRunner().invoke(command, arguments, env=environment or {}, standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return found


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for item in fields(Settings):
        monkeypatch.delenv(variable(item.name), raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)


def test_every_setting_is_an_option_with_the_same_default() -> None:
    assert Settings(**asked()) == Settings()


def test_the_defaults_of_the_issue() -> None:
    settings = Settings()
    assert (settings.host, settings.port, settings.api_port) == ("127.0.0.1", 8000, 8001)
    assert (settings.engine, settings.model, settings.redis_url) == ("vlbm", "packaged", None)
    assert (settings.anonymous, settings.log_level) == ("loopback", "warning")


def test_data_lives_in_the_user_s_data_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert Settings().data == tmp_path / "vlbm-assistant"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert Settings().data == tmp_path / ".local" / "share" / "vlbm-assistant"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("host", "0.0.0.0", "0.0.0.0"),  # noqa: S104
        ("port", "0", 0),
        ("api_port", "65535", 65535),
        ("data", "/nowhere/x", Path("/nowhere/x")),
        ("redis_url", "redis://r:6379", "redis://r:6379"),
        ("engine", "scripted", "scripted"),
        ("model", "some/folder", "some/folder"),
        ("scripted_delay_ms", "0.5", 0.5),
        ("anonymous", "anywhere", "anywhere"),
        ("anonymous", "never", "never"),
        ("origins", "https://Chat.example, http://127.0.0.1:5173", ("https://chat.example", "http://127.0.0.1:5173")),
        ("jwt_issuer", "https://issuer.example/", "https://issuer.example/"),
        ("jwt_audience", "assistant", "assistant"),
        ("jwt_keys", "https://issuer.example/keys", "https://issuer.example/keys"),
        ("jwt_algorithms", "ES256,EdDSA", ("ES256", "EdDSA")),
        ("log_level", "debug", "debug"),
        ("picture_quota_mb", "10", 10),
    ],
)
def test_each_setting_by_option_and_by_variable(name: str, text: str, value: object) -> None:
    option = f"--{name.replace('_', '-')}"
    assert asked(option, text)[name] == value
    assert asked(environment={variable(name): text})[name] == value


def test_the_command_line_wins_and_our_own_variable_before_the_common_one() -> None:
    assert asked("--port", "1", environment={"ASSISTANT_PORT": "2"})["port"] == 1
    assert asked(environment={"REDIS_URL": "redis://a"})["redis_url"] == "redis://a"
    both = {"REDIS_URL": "redis://a", "ASSISTANT_REDIS_URL": "redis://b"}
    assert asked(environment=both)["redis_url"] == "redis://b"


def test_an_empty_variable_is_none() -> None:
    assert asked(environment={"REDIS_URL": "", "ASSISTANT_PORT": ""}) == asked()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port", "65536"),
        ("port", "-1"),
        ("port", "http"),
        ("api_port", "1.5"),
        ("engine", "gpt"),
        ("anonymous", "nobody"),
        ("origins", "chat.example"),
        ("origins", "https://chat.example/"),
        ("origins", "https://chat.example,null"),
        ("origins", "*"),
        ("origins", "https://["),
        ("jwt_algorithms", "none"),
        ("jwt_algorithms", "HS256"),
        ("jwt_algorithms", "RS256,HS256"),
        ("log_level", "loud"),
        ("picture_quota_mb", "0"),
        ("scripted_delay_ms", "-1"),
        ("scripted_delay_ms", "nan"),
        ("scripted_delay_ms", "inf"),
        ("redis_url", "nonsense"),
        ("redis_url", "http://127.0.0.1"),
        ("redis_url", "redis://host:port"),
        ("redis_url", "redis://host:99999"),
        ("redis_url", "redis://host?no_such_option=1"),
        ("data", "/dev/null/data"),
        ("data", f"/tmp/{'x' * 300}"),  # noqa: S108
        ("scripted_delay_ms", "soon"),
    ],
)
def test_a_value_that_does_not_fit_names_its_setting(name: str, text: str) -> None:
    option = f"--{name.replace('_', '-')}"
    for arguments, environment in (([option, text], {}), ([], {variable(name): text})):
        with pytest.raises(click.BadParameter) as refused:
            asked(*arguments, environment=environment)
        message = refused.value.format_message()
        assert option in message
        assert "\n" not in message


def test_a_redis_url_is_not_repeated_for_it_may_hold_a_password() -> None:
    with pytest.raises(click.BadParameter) as refused:
        asked("--redis-url", "redis://:SEC/RET@host:6379")
    assert "SEC" not in refused.value.format_message()


def test_data_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(click.BadParameter, match="is a file"):
        asked("--data", str(tmp_path / "file"))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("ASSISTANT_PROT", "did you mean ASSISTANT_PORT?"),
        ("ASSISTANT_REDISURL", "did you mean ASSISTANT_REDIS_URL?"),
        ("ASSISTANT_API_PROT", "did you mean ASSISTANT_API_PORT?"),
        ("ASSISTANT_port", "there are ASSISTANT_HOST"),
        ("ASSISTANT_", "there are ASSISTANT_HOST"),
        ("ASSISTANT_ZZZZZZZZZZZZ", "there are ASSISTANT_HOST"),
    ],
)
def test_a_variable_that_is_no_setting_is_an_error_with_the_nearest(name: str, hint: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_environment({"PATH": "/bin", name: "SECRET"})
    message = refused.value.message
    assert name in message
    assert "\n" not in message
    assert "SECRET" not in message
    if "there are" not in hint:
        assert hint in message


def test_what_is_not_ours_is_not_looked_at() -> None:
    known = {variable(item.name): "x" for item in fields(Settings)}
    check_environment(known | {"ASSISTANT_URL": "ws://x", "ASSISTANTS": "y", "MY_ASSISTANT_X": "z", "assistant_x": "w"})
