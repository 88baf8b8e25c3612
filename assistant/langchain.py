"""The tools for LangChain: ``langchain_tools()`` gives one ``StructuredTool`` each, with the schema used everywhere.

They run in this process, so that pictures are paths of files. Answers are JSON objects of the tool's result.
"""

import asyncio
from typing import Any

from langchain_core.tools import StructuredTool

from assistant.bootstrap import load_prompts, make_engine
from assistant.local import LocalTools
from assistant.ports import Engine
from assistant.settings import Settings
from assistant.tools import all_tools


def langchain_tools(engine: Engine | None = None) -> list[StructuredTool]:
    """``caption``, ``translate`` and ``summarise`` as LangChain tools, for ``invoke`` and ``ainvoke``.

    Args:
        engine: what answers; the packaged model where None (loading it takes seconds).
    """
    local = LocalTools(engine or make_engine(Settings(), lambda _: None), all_tools(load_prompts()))
    return [_structured(local, name) for name in local.tools]


def _structured(local: LocalTools, name: str) -> StructuredTool:
    tool = local.tools[name]

    async def run(**arguments: Any) -> dict[str, Any]:
        return (await local.run(name, arguments)).model_dump(mode="json")

    def run_blocking(**arguments: Any) -> dict[str, Any]:
        return asyncio.run(run(**arguments))

    return StructuredTool.from_function(
        func=run_blocking,
        coroutine=run,
        name=name,
        description=tool.description,
        args_schema=tool.arguments,
    )
