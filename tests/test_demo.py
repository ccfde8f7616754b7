"""The page in a real browser: two turns, streamed, with settings; and a smaller model that still opens."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from transformers import AutoModelForCausalLM

from jobs.demo import page, turns
from jobs.scoring.generate import Sampler
from jobs.training.encoder import Encoder
from jobs.training.export import export
from tests.random_model import save_random_model

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
HISTORY = [
    {"role": "user", "content": "Read a file."},
    {"role": "assistant", "content": "```python\nlines = open(path).readlines()\n```"},
]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_model(tmp_path_factory.mktemp("random"))


def test_a_conversation_is_told_as_a_program(checkpoint: Path) -> None:
    encoder = Encoder.open(checkpoint)
    told = [token for token, _ in encoder.conversation(turns("Count them.\nPrint it.", HISTORY), "Python")]
    before, after = "# Read a file.\nlines = open(path).readlines()\n", "# Count them.\n# Print it.\n"
    assert told == [*encoder.text(before), encoder.end_of_text, *encoder.text(after)]
    asked = [token for token, _ in encoder.conversation(turns("Count them.", []), "Go")]
    assert asked == encoder.text("// Count them.\n")


@pytest.fixture(scope="module")
def address(checkpoint: Path) -> Iterator[str]:
    opened = page(Sampler.open(checkpoint, 0.8, 0.95), "random")
    _, url, _ = opened.launch(server_name="127.0.0.1", prevent_thread_lock=True, quiet=True, ssr_mode=False)
    yield url
    opened.close()


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_two_turns_in_a_browser(address: str) -> None:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as browsers:
        browser = browsers.chromium.launch(executable_path=CHROMIUM, args=flags)
        tab = browser.new_page()
        outside: list[str] = []
        tab.on("request", lambda request: outside.append(request.url) if address not in f"{request.url}/" else None)
        tab.goto(address)
        tab.get_by_text("Sampling settings").click()
        tab.get_by_label("number input for Longest answer, in tokens").fill("16")
        box = tab.locator("textarea").first
        for turn in (1, 2):
            box.fill(f"Request {turn}")
            box.press("Enter")
            expect(tab.locator(".message.bot code")).to_have_count(turn)
            expect(tab.get_by_label("Retry").last).to_be_enabled()
        expect(tab.locator(".message.user")).to_have_count(2)
        browser.close()
    assert [url for url in outside if not url.startswith(("data:", "blob:"))] == []


def test_eight_bits_are_smaller_and_open(checkpoint: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(export, ["--checkpoint", str(checkpoint), "--int8", "--out", str(tmp_path / "small")])
    assert result.exit_code == 0, result.output
    assert "ms a token" in result.output
    small, plain = (AutoModelForCausalLM.from_pretrained(folder).eval() for folder in (tmp_path / "small", checkpoint))
    given = torch.tensor([[5, 6, 7, 8]])
    with torch.no_grad():
        torch.testing.assert_close(small(given).logits, plain(given).logits, rtol=0.05, atol=0.05)
    sizes = [
        sum(file.stat().st_size for file in folder.glob("*.safetensors")) for folder in (tmp_path / "small", checkpoint)
    ]
    assert sizes[0] < 0.6 * sizes[1]
    result = CliRunner().invoke(export, ["--checkpoint", str(tmp_path), "--int8", "--out", str(tmp_path / "none")])
    assert "holds no config.json" in result.output
