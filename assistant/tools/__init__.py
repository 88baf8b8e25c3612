"""The tools: one typed schema each, used alike over the websocket, in a terminal and by LangChain."""

from collections.abc import Mapping

from assistant.domain.prompts import Prompt
from assistant.ports.tools import Tool
from assistant.tools.caption import Caption
from assistant.tools.summarise import Summarise
from assistant.tools.translate import Translate


def all_tools(prompts: Mapping[str, Prompt]) -> dict[str, Tool]:
    """Every tool by name. A new tool is one file and one line here."""
    tools: list[Tool] = [Caption(prompts["caption"]), Translate(prompts["translate"]), Summarise(prompts["summarise"])]
    return {tool.name: tool for tool in tools}
