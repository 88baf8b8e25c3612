"""The tools for LangChain: ``langchain_tools()`` gives one ``StructuredTool`` each, with the schema used everywhere.

They run in this process, so that pictures are paths of files. Answers are JSON objects of the tool's result.
"""

import asyncio
import contextvars
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from langchain_core.tools import StructuredTool

from assistant.bootstrap import load_prompts, make_engine
from assistant.local import LocalTools
from assistant.ports.engine import Engine
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
        return _in_own_loop(run(**arguments))

    return StructuredTool.from_function(
        func=run_blocking,
        coroutine=run,
        name=name,
        description=tool.description,
        args_schema=tool.arguments,
    )


def _in_own_loop(work: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """Run in a thread with an event loop of its own: where ``invoke`` is called a loop may run, as in a notebook."""
    context = contextvars.copy_context()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="tool") as thread:
        return thread.submit(context.run, asyncio.run, work).result()
