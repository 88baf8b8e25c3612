"""The page in Debian's Chromium, with the real model: drop a photo, watch the caption come, reload, find it again."""

import asyncio
import base64
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from assistant.client import Client
from tests import photos
from tests.conftest import Server, Start
from vlbm.evaluation.photos import Photo

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_DROP = """
([selector, name, data]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/jpeg" }));
  const zone = document.querySelector(selector);
  for (const kind of ["dragenter", "dragover", "drop"])
    zone.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}
"""


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    chromium = shutil.which("chromium")
    if chromium is None:
        raise RuntimeError("chromium is missing: apt-get install chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        page = await browser.new_page()
        problems: list[str] = []
        page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: _only_here(request.url, problems))
        yield page
        await browser.close()
    assert not problems


def _only_here(url: str, problems: list[str]) -> None:
    if not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "blob:", "data:")):
        problems.append(f"the page asked another host: {url}")


async def drop(page: Page, photo: Photo) -> None:
    data = base64.b64encode(photo.data).decode()
    await page.evaluate(_DROP, ['[data-testid="drop-zone"]', Path(photo.path).name, data])


async def test_a_dropped_photo_gets_a_streamed_caption_that_survives_a_reload(page: Page, model_server: Server) -> None:
    await page.goto(model_server.url)
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "ready")
    await drop(page, photos.cat())
    await expect(page.get_by_test_id("attachment")).to_have_attribute("data-state", "ready", timeout=15_000)
    await page.get_by_test_id("composer").fill("What is in this picture?")
    await page.get_by_test_id("send").click()
    answer = page.get_by_test_id("message-assistant")
    lengths = await _lengths_while_streaming(page)
    await expect(answer).to_have_attribute("data-status", "completed", timeout=60_000)
    text = await answer.locator(".markdown").inner_text()
    assert "cat" in text.lower()
    assert len(set(lengths)) > 2, "the answer did not stream"

    await page.reload()
    await expect(page.get_by_test_id("message-user")).to_contain_text("What is in this picture?")
    await expect(answer).to_have_attribute("data-status", "completed")
    assert await answer.locator(".markdown").inner_text() == text
    picture = page.get_by_test_id("message-user").locator("img")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


async def _lengths_while_streaming(page: Page) -> list[int]:
    """Lengths of the answer's text, watched by the page itself until the answer is complete."""
    lengths: list[int] = await page.evaluate(
        """() => new Promise((resolve) => {
          const lengths = [];
          const timer = setInterval(() => {
            const answer = document.querySelector('[data-testid="message-assistant"]');
            if (!answer) return;
            lengths.push(answer.innerText.length);
            if (answer.dataset.status !== "streaming") { clearInterval(timer); resolve(lengths); }
          }, 20);
        })"""
    )
    return lengths


async def test_stop_keeps_the_text_so_far(page: Page, model_server: Server) -> None:
    await page.goto(model_server.url)
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "ready")
    await page.get_by_test_id("new-conversation").click()
    await page.get_by_test_id("composer").fill("Write a long story about the sea.")
    await page.get_by_test_id("composer").press("Enter")
    await page.get_by_test_id("stop").click()
    answer = page.get_by_test_id("message-assistant")
    await expect(answer).to_have_attribute("data-status", "cancelled", timeout=20_000)


async def test_what_is_sent_before_the_connection_stands_goes_when_it_does(page: Page, start_session: Start) -> None:
    server = await asyncio.to_thread(start_session, "serve", "--engine", "scripted", "--scripted-delay-ms", "1")
    held = asyncio.get_running_loop().create_future()
    await page.route_web_socket("**/v1/ws", lambda route: held.set_result(route))
    await page.goto(server.url)
    await page.get_by_test_id("composer").fill("hello")
    await page.get_by_test_id("composer").press("Enter")
    await expect(page.get_by_text("Sends when connected.")).to_be_visible()
    (await held).connect_to_server()
    await expect(page.get_by_test_id("message-assistant")).to_have_attribute("data-status", "completed", timeout=20_000)
    await expect(page.get_by_test_id("message-user")).to_have_count(1)
    await expect(page.get_by_test_id("composer")).to_have_value("")


async def test_a_bad_file_is_told_beside_it(page: Page, model_server: Server, tmp_path: Path) -> None:
    await page.goto(model_server.url)
    bad = tmp_path / "words.jpg"
    bad.write_text("these are words")
    await page.get_by_test_id("file-input").set_input_files(bad)
    attachment = page.get_by_test_id("attachment")
    await expect(attachment).to_have_attribute("data-state", "error")
    await expect(attachment).to_contain_text("not a picture")


async def test_conversations_are_listed_renamed_taken_along_and_deleted(
    page: Page, start_session: Start, tmp_path: Path
) -> None:
    server = start_session("serve", "--engine", "scripted", "--scripted-delay-ms", "1")
    await page.goto(server.url)
    await _ask(page, "What is a cat?")
    await page.get_by_test_id("new-conversation").click()
    await _ask(page, "What is a dog?")

    await page.get_by_test_id("list-conversations").click()
    dialog = page.get_by_role("dialog", name="Conversations")
    rows = dialog.get_by_role("listitem")
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("What is a dog?")
    await rows.last.get_by_role("button", name="Rename").click()
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.type("Cats")
    await page.keyboard.press("Enter")
    await expect(rows.last.get_by_role("button", name="Cats")).to_be_visible()

    async with page.expect_download() as saving:
        await rows.last.get_by_role("button", name="Export Markdown").click()
    download = await saving.value
    assert download.suggested_filename == "Cats.md"
    await download.save_as(tmp_path / "cats.md")
    assert (tmp_path / "cats.md").read_text(encoding="utf-8").startswith("# Cats\n")

    await rows.last.get_by_role("button", name="Cats").click()
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_role("main")).to_contain_text("What is a cat?")
    await page.get_by_test_id("list-conversations").click()
    await rows.last.get_by_role("button", name="Delete").click()
    await expect(rows.last.get_by_role("button", name="Keep")).to_be_focused()
    await rows.last.get_by_role("button", name="Delete").click()
    await expect(rows).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(dialog).to_have_count(0)
    await expect(page.get_by_test_id("notice")).to_contain_text("was deleted")
    await expect(page.get_by_role("main")).not_to_contain_text("What is a cat?")


async def test_a_message_is_edited_an_answer_made_again_and_all_stay(page: Page, start_session: Start) -> None:
    server = start_session("serve", "--engine", "scripted", "--scripted-delay-ms", "1")
    await page.goto(server.url)
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "ready")
    await drop(page, photos.cat())
    await expect(page.get_by_test_id("attachment")).to_have_attribute("data-state", "ready", timeout=15_000)
    await _ask(page, "What is this?")
    question, answer = page.get_by_test_id("message-user"), page.get_by_test_id("message-assistant")
    composer = page.get_by_role("textbox")

    await composer.fill("a draft")
    await question.get_by_role("button", name="Edit").click()
    await expect(composer).to_have_value("What is this?")
    await expect(composer).to_be_focused()
    await expect(page.get_by_test_id("attachment")).to_have_count(1)
    await page.keyboard.press("Escape")
    await expect(page.get_by_test_id("editing")).to_have_count(0)
    await expect(page.get_by_test_id("attachment")).to_have_count(0)
    await expect(composer).to_have_value("a draft")
    await question.get_by_role("button", name="Edit").click()
    await expect(page.get_by_test_id("editing")).to_be_visible()
    await composer.fill("What colour is this?")
    await page.keyboard.press("Enter")
    await expect(question).to_have_count(1)
    await expect(question).to_contain_text("What colour is this?")
    await expect(question).to_contain_text("2 of 2")
    await expect(question.locator("img")).to_have_count(1)
    await expect(answer).to_have_attribute("data-status", "completed", timeout=30_000)
    await expect(composer).to_have_value("a draft")

    await answer.get_by_role("button", name="Ask again").focus()
    await page.keyboard.press("Enter")
    await expect(answer).to_contain_text("2 of 2")
    await expect(answer).to_have_attribute("data-status", "completed", timeout=30_000)
    await expect(answer.get_by_role("button", name="Ask again")).to_be_focused()
    await page.reload()
    await expect(question).to_contain_text("What colour is this?")
    await expect(answer).to_have_count(1)
    await answer.get_by_role("button", name="Previous version").click()
    await expect(answer).to_contain_text("1 of 2")

    await composer.fill("And the eyes?")
    await page.keyboard.press("Enter")
    await expect(answer).to_have_count(2)
    await expect(answer.last).to_have_attribute("data-status", "completed", timeout=30_000)
    await expect(answer.first).to_contain_text("1 of 2")
    await question.first.get_by_role("button", name="Previous version").focus()
    await page.keyboard.press("Enter")
    await expect(question).to_have_count(1)
    await expect(question).to_contain_text("What is this?")
    await expect(question.get_by_role("button", name="Previous version")).to_be_focused()
    await page.keyboard.press("ArrowRight")
    await expect(question.first).to_contain_text("What colour is this?")
    await expect(question.last).to_contain_text("And the eyes?")


async def test_branches_of_another_device_are_shown_and_one_that_was_chosen_stays(
    page: Page, start_session: Start
) -> None:
    server = start_session("serve", "--engine", "scripted", "--scripted-delay-ms", "1")
    await page.goto(server.url)
    await _ask(page, "What is a cat?")
    question, answer = page.get_by_test_id("message-user"), page.get_by_test_id("message-assistant")
    session_id = json.loads(await page.evaluate("localStorage.getItem('assistant.session')"))
    async with asyncio.timeout(120), Client(server.socket_url) as client:
        session = await client.open(session_id)
        async for _ in session.ask("What is a dog?", parent="root"):
            pass
        await expect(question).to_have_count(1)
        await expect(question).to_contain_text("What is a dog?")
        async for _ in session.regenerate(session.branch[-1].message_id):
            pass
        await expect(answer).to_contain_text("2 of 2")
        await expect(answer).to_have_attribute("data-status", "completed")
        await expect(answer.locator(".markdown")).to_have_text(session.branch[-1].text)

        await question.get_by_role("button", name="Previous version").click()
        await expect(question).to_contain_text("What is a cat?")
        async for _ in session.ask("What is a bird?", parent="root"):
            pass
        await expect(question).to_contain_text("1 of 3")
        await expect(question).to_contain_text("What is a cat?")
        await page.get_by_role("textbox").fill("And a kitten?")
        await page.keyboard.press("Enter")
        await expect(answer).to_have_count(2)
        await expect(answer.last).to_have_attribute("data-status", "completed", timeout=30_000)
    await page.reload()
    await expect(question).to_have_count(2)
    await expect(question.first).to_contain_text("What is a cat?")
    await expect(question.last).to_contain_text("And a kitten?")


async def _ask(page: Page, text: str) -> None:
    await expect(page.get_by_test_id("connection")).to_have_attribute("data-state", "ready")
    await page.get_by_role("textbox").fill(text)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_contain_text(text)
    await expect(page.locator("[data-status=completed]")).to_have_count(1, timeout=30_000)
