"""Logging in with a key on the page, in Debian's Chromium, from what the server takes for elsewhere."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.conftest import Start
from tests.e2e.test_keys import Operator
from tests.e2e.test_page import _FLAGS

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise RuntimeError("chromium is missing: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        yield await browser.new_page()
        await browser.close()


async def test_a_key_lets_in_until_it_is_revoked(
    page: Page, start: Start, assistant_command: list[str], tmp_path: Path
) -> None:
    arguments = ["--scripted-delay-ms", "1", "--anonymous", "never", "--data", str(tmp_path)]
    server = await asyncio.to_thread(start, "serve", "--engine", "scripted", *arguments)
    operator = Operator(assistant_command, tmp_path)
    token = await asyncio.to_thread(operator.create, "ada")
    expect.set_options(timeout=20_000)

    await page.goto(server.url)
    await expect(page.get_by_test_id("login-problem")).to_contain_text("assistant keys create")
    await page.get_by_label("Key").fill(f"{token[:-1]}-")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_test_id("login-problem")).to_contain_text("no such key")
    await page.get_by_label("Key").fill(token)
    await page.get_by_role("button", name="Log in").click()
    await page.get_by_test_id("composer").fill("hello")
    await page.get_by_test_id("composer").press("Enter")
    answer = page.get_by_test_id("message-assistant")
    await expect(answer).to_have_attribute("data-status", "completed")

    [cookie] = await page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert await page.evaluate("document.cookie") == ""
    assert token not in await page.evaluate("JSON.stringify(localStorage)")
    await page.reload()
    await expect(answer).to_have_attribute("data-status", "completed")

    await asyncio.to_thread(operator, "revoke", token)
    await expect(page.get_by_test_id("login-problem")).to_contain_text("no longer holds (token revoked)")
    await page.get_by_label("Key").fill(await asyncio.to_thread(operator.create, "eve"))
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_test_id("notice")).to_contain_text("This is a new one")
    await expect(answer).to_have_count(0)
    await page.get_by_test_id("log-out").click()
    await expect(page.get_by_test_id("login-problem")).to_contain_text("wants a key")
    assert await page.context.cookies() == []
