import pytest

from assistant.bootstrap import load_prompts
from assistant.domain.prompts import parse_prompt

SOURCE = "---\nname: greet\nversion: 3\nvariables: name place\n---\n\nHello $name of ${place}, that is $$5.\n"


def test_a_prompt_with_its_header() -> None:
    prompt = parse_prompt(SOURCE)
    assert (prompt.name, prompt.version, prompt.variables) == ("greet", 3, frozenset({"name", "place"}))
    assert prompt.render(name="Ada", place="London") == "Hello Ada of London, that is $5."


def test_a_value_that_looks_like_a_variable_stays_as_it_is() -> None:
    assert parse_prompt(SOURCE).render(name="$place ${name} $", place="x").startswith("Hello $place ${name} $ of x")


@pytest.mark.parametrize("values", [{}, {"name": "a"}, {"name": "a", "place": "b", "more": "c"}])
def test_variables_must_be_given_exactly(values: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"'greet' takes .*'name', 'place'"):
        parse_prompt(SOURCE).render(**values)


@pytest.mark.parametrize(
    "source",
    [
        "",
        "Hello",
        "---\nname: a\nversion: 1\nvariables:\n",
        SOURCE.replace("version: 3", "version: three"),
        SOURCE.replace("variables: name place", "variables: name"),
        SOURCE.replace("variables: name place", "variables: name place more"),
        SOURCE.replace("name: greet", "no colon here"),
        "text before\n" + SOURCE,
    ],
)
def test_a_file_that_is_no_prompt(source: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_prompt(source)


@pytest.mark.parametrize("line", ["name: greet\n", "version: 3\n", "variables: name place\n"])
def test_a_header_without_a_field_says_so(line: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_prompt(SOURCE.replace(line, ""))


def test_a_text_that_cannot_be_rendered_is_found_when_it_is_read() -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_prompt("---\nname: a\nversion: 1\nvariables:\n---\nIt costs $5.\n")


def test_the_prompts_of_the_project_are_there() -> None:
    prompts = load_prompts()
    assert {name: prompt.name for name, prompt in prompts.items()} == {name: name for name in prompts}
    assert {"system", "caption", "translate", "summarise"} <= prompts.keys()
    assert prompts["system"].render()
